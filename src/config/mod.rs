//! Configuration as plain data: defaults, file, environment, flags.
//!
//! [`load`] lays four layers on top of each other and lets the uppermost hold: the defaults of the
//! table, the YAML file (`--config-file`, `ETCD_CONFIG_FILE`, or the one beside the directory that
//! `--pki-dir` names from outside any file), variables `ETCD_*`, flags. Every
//! value keeps the place it came from, every fault is told, not only the first.
//!
//! This is on purpose kinder than etcd, which
//! * ignores all variables and all other flags when it is given a file: here they go on top of it;
//! * dies when a variable and a flag set the same thing: here the flag holds;
//! * ignores keys of the file it does not know: here that is a fault, with line and nearest name,
//!   because a misspelt `client-cert-auth` must not start an open server;
//! * accepts in the file only durations in nanoseconds, lists or comma-separated texts but never
//!   both, and numbers or quoted numbers but never both: here all of these are understood;
//! * keeps the last of two equal keys: here that is a fault.
//!
//! What is covered by a higher layer is told once, in [`Loaded::notes`].
//!
//! The room reads the file and, to learn what to advertise, asks the kernel for the default route;
//! it does no other I/O and starts nothing.

mod auth;
mod check;
mod cluster;
mod derive;
mod env;
mod exit;
mod file;
mod flags;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod golang;
mod help;
mod layers;
mod member;
mod pki;
mod sections;
mod suites;
mod table;
mod tree;
mod value;
pub(crate) mod yaml;

use std::ffi::OsString;
use std::path::PathBuf;

pub use auth::{Auth, Jwt, Token};
pub use cluster::InitialMember;
pub use exit::Exit;
pub use member::{Member, MetricsMode};
pub use sections::{
    AutoCompaction, Cluster, ClusterState, Comparisons, Features, Hardening, Log, LogFormat,
    LogLevel, Retention, Tls, TlsLimits, TlsVersion,
};

pub use suites::SPOKEN as SPOKEN_SUITES;
pub(crate) use table::nearest;

use check::Findings;
use layers::Settings;
use table::Status;

/// Everything the daemon is told; each room takes its branch by value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// This member alone.
    pub member: Member,
    /// The cluster it founds or joins.
    pub cluster: Cluster,
    /// TLS towards clients.
    pub client_tls: Tls,
    /// TLS towards other members.
    pub peer_tls: Tls,
    /// What every TLS listener allows.
    pub tls: TlsLimits,
    /// Directory of certificates in the layout of `etcd cert`, from which the TLS files follow that
    /// nobody named.
    pub pki_dir: Option<PathBuf>,
    /// Logs.
    pub log: Log,
    /// Compaction.
    pub compaction: AutoCompaction,
    /// Switches.
    pub features: Features,
    /// Comparisons between members.
    pub comparisons: Comparisons,
    /// What the process gives up.
    pub hardening: Hardening,
    /// Users and their tokens.
    pub auth: Auth,
}

/// A configuration that is good to start with, and what is to be said about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Every setting with its value and the place it came from, in the order of the help.
    pub provenance: Vec<Provenance>,
    /// Lines the daemon logs once as warnings.
    pub warnings: Vec<String>,
    /// Lines the daemon logs once as information: where settings came from, what was covered.
    pub notes: Vec<String>,
}

/// One setting, its value, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Name of the flag or of the feature gate.
    pub name: &'static str,
    /// Value as a flag would take it; secrets are hidden.
    pub value: String,
    /// `default`, `file PATH:LINE`, `environment NAME`, `flag --NAME` or `follows from …`.
    pub origin: String,
    /// Whether this version serves the setting, so that it has an effect.
    pub serves: bool,
}

/// Everything a person may want to know about the flags.
pub fn help() -> String {
    help::text()
}

/// Reads the configuration from `args` (without the program's name) and the environment `env`.
///
/// # Errors
/// An [`Exit`] for `--help` and `--version`, and for any fault, with etcd's texts and exit codes.
pub fn load(
    args: &[OsString],
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Exit> {
    if let Some(program) = args.first().filter(|arg| *arg == "gateway" || *arg == "grpc-proxy") {
        let program = program.to_string_lossy();
        let sentence =
            format!("etcd {program} is not served yet by this version; it has only the server");
        return Err(Exit::refused(&sentence));
    }
    let line = flags::parse(args).map_err(|fault| Exit::misuse(&fault))?;
    if line.help {
        return Err(Exit::help(help::text()));
    }
    if let Some(word) = line.rest.first() {
        return Err(Exit::faults(&[format!("'{word}' is not a valid flag")]));
    }
    let mut settings = Settings::defaults();
    settings.lay(line.given.iter().filter(|given| given.setting.name == "version").cloned());
    if settings.get("version") {
        return Err(Exit::told(exit::version()));
    }
    let named = line.given.iter().rev().find(|given| given.setting.name == "config-file");
    let named = named.and_then(|given| given.value.as_str()).filter(|path| !path.is_empty());
    let environment = env::parse(env);
    let beside = pki::configuration(&line, &environment);
    let mut found = Findings { faults: environment.faults, warnings: environment.warnings };
    let mut notes = Vec::new();
    settings = Settings::defaults();
    if let Some(path) = named.or(environment.file.as_deref()).or(beside.as_deref()) {
        let contents = file::read(path);
        notes.push(format!("loaded server configuration from {path}"));
        found.faults.splice(0..0, contents.faults);
        settings.lay(contents.given);
    }
    for given in environment.given.iter().filter(|given| given.setting.has_flag()) {
        let shown = value::show(given.setting, &given.value);
        notes.push(format!("recognized and used {}={shown}", given.origin));
    }
    settings.lay(environment.given);
    settings.lay(line.given);
    finish(settings, found, notes).map_err(|findings| Exit::faults(&findings.faults))
}

/// What [`check_file`] found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Reasons why no server would start.
    pub faults: Vec<String>,
    /// What a server would warn of.
    pub warnings: Vec<String>,
    /// What the file says, when it has no fault.
    pub config: Option<Config>,
}

/// Every fault and every warning of the file at `path`, as if it were all there is. No other file
/// is opened.
pub fn check_file(path: &str) -> Checked {
    let contents = file::read(path);
    let mut settings = Settings::defaults();
    settings.lay(contents.given);
    let found = Findings { faults: contents.faults, warnings: Vec::new() };
    match finish(settings, found, Vec::new()) {
        Ok(Loaded { config, warnings, .. }) => {
            Checked { faults: Vec::new(), warnings, config: Some(config) }
        }
        Err(Findings { faults, warnings }) => Checked { faults, warnings, config: None },
    }
}

/// Derives, builds and checks; faults found before are told together with the new ones.
fn finish(
    mut settings: Settings,
    mut found: Findings,
    mut notes: Vec<String>,
) -> Result<Loaded, Findings> {
    notes.extend(settings.shadowed());
    notes.extend(derive::derive(&mut settings, derive::default_host));
    let config = tree::build(&settings, &mut found.faults);
    check::check(&settings, &config, &mut found);
    if !found.faults.is_empty() {
        return Err(found);
    }
    let provenance =
        table::all().filter(|setting| setting.name != "version").filter_map(|setting| {
            let value = settings.value(setting.name)?;
            let value = value::show(setting, &value);
            let (name, origin) = (setting.name, settings.origin(setting.name));
            Some(Provenance { name, value, origin, serves: setting.status == Status::Live })
        });
    Ok(Loaded { config, provenance: provenance.collect(), warnings: found.warnings, notes })
}

#[cfg(test)]
mod tests;
