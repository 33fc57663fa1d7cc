//! Landlock: from here on the process writes below a few directories only, and starts no program.
//!
//! Reading is left as it is. Certificates are reached through links that are turned to directories
//! nobody knows beforehand, and a renewal that cannot be read ends in an outage; what the user may not
//! read, the kernel refuses anyway.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus,
};

use crate::config::{Config, Tls};

/// Raises the walls and says what they leave.
///
/// # Errors
/// Why there are none: the kernel has no landlock, or one that cannot tell a rename within a directory
/// from one between two, which the log and the store could not live with.
pub(super) fn raise(config: &Config) -> Result<String, String> {
    make_own(config)?;
    let (directories, sockets) = (writable(config), socket_directories(config));
    let everything = AccessFs::from_write(ABI::V3);
    let socket = AccessFs::MakeSock | AccessFs::RemoveFile;
    // Log outputs may be devices.
    let device: BitFlags<AccessFs> = AccessFs::WriteFile | AccessFs::Truncate;
    let text = |error: landlock::RulesetError| error.to_string();
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)
        .map_err(text)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything | AccessFs::Execute)
        .and_then(Ruleset::create)
        .map_err(text)?;
    let devices = [PathBuf::from("/dev")];
    for (paths, access) in [(&directories[..], everything), (&sockets, socket), (&devices, device)]
    {
        for path in paths {
            let opened = PathFd::new(path).map_err(|error| error.to_string())?;
            rules = rules.add_rule(PathBeneath::new(opened, access)).map_err(text)?;
        }
    }
    let status = rules.restrict_self().map_err(text)?;
    let how = match status.ruleset {
        RulesetStatus::NotEnforced => return Err("the kernel does not enforce it".to_owned()),
        RulesetStatus::PartiallyEnforced => "in part, as far as this kernel knows it: ",
        RulesetStatus::FullyEnforced => "",
    };
    let shown: Vec<_> = directories.iter().chain(&sockets).map(|path| path.display()).collect();
    let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
    Ok(format!("{how}writes only below {}; starts no program", shown.join(", ")))
}

/// The directories of data and log have to be there to be named.
fn make_own(config: &Config) -> Result<(), String> {
    let member = &config.member;
    for path in [Some(&member.data_dir), member.wal_dir.as_ref()].into_iter().flatten() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        // Opening it says so again, and ends the start.
        made.map_err(|error| format!("cannot create {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Where files are made, renamed and removed: data and log, certificates, which are renewed in place,
/// log files, which are rotated, and samples of the profiler, which keeps them in a temporary file.
fn writable(config: &Config) -> Vec<PathBuf> {
    let member = &config.member;
    let mut found = vec![member.data_dir.clone()];
    found.extend(member.wal_dir.clone());
    found.extend(member.enable_pprof.then(std::env::temp_dir));
    let certificates = [&config.client_tls, &config.peer_tls].into_iter().flat_map(Tls::files);
    let outputs = config.log.outputs.iter();
    let names = ["default", "stderr", "stdout", "systemd/journal"];
    let logs = outputs.filter(|name| !names.contains(&name.as_str())).map(PathBuf::from);
    let logs: Vec<PathBuf> = logs.filter(|path| !path.starts_with("/dev")).collect();
    // A standard output that is a file may be among the outputs under the name of its device.
    let behind = config.log.outputs.iter().filter_map(|name| fs::canonicalize(name).ok());
    let behind = behind.filter(|path| path.is_file());
    for path in certificates.cloned().chain(logs).chain(behind) {
        found.push(parent(&path));
    }
    tidy(found)
}

fn socket_directories(config: &Config) -> Vec<PathBuf> {
    let member = &config.member;
    let urls = [
        &member.listen_client_urls,
        &member.listen_client_http_urls,
        &member.listen_metrics_urls,
        &member.listen_peer_urls,
    ];
    let sockets = urls.into_iter().flatten().filter(|url| url.scheme.is_unix());
    tidy(sockets.map(|url| parent(Path::new(&url.authority))).collect())
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Each once, and only those that are there: what is missing is told by whoever needs it.
fn tidy(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort_unstable();
    paths.dedup();
    paths.retain(|path| path.is_dir());
    paths
}
