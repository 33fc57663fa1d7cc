//! A daemon that is expected to die, on a data directory that stays.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use super::shim;
use crate::support::process::Process;
use crate::support::server::Kind;
use crate::support::wait::eventually_for;

/// How long a start or a round of load may take in a run that lets all other work go first
/// (`nice -n 19`).
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// What became of a start.
pub(super) enum Start {
    /// It serves at this URL.
    Serving(Process, String),
    /// It ended before that.
    Ended(ExitStatus, Vec<String>),
}

impl Start {
    /// The running daemon.
    ///
    /// # Panics
    /// When it has ended; the message shows its output.
    pub(super) fn serving(self, why: &str) -> (Process, String) {
        match self {
            Self::Serving(process, url) => (process, url),
            Self::Ended(status, lines) => panic!("{why}: {status}\n{}", lines.join("\n")),
        }
    }
}

/// A home for one member: `data` in it is the data directory.
pub(super) struct Subject {
    home: TempDir,
    flags: Vec<String>,
}

impl Subject {
    /// An empty home; `flags` go to every daemon started in it.
    pub(super) fn new(flags: &[&str]) -> Self {
        let flags = flags.iter().map(ToString::to_string).collect();
        Self { home: tempfile::tempdir().unwrap(), flags }
    }

    /// The folder above the data directory.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    /// Where the shim looks for rules.
    pub(super) fn rules(&self) -> PathBuf {
        self.home().join("rules")
    }

    /// Lets the shim follow these rules from now on.
    pub(super) fn set_rules(&self, rules: &str) {
        let draft = self.home().join("rules.new");
        std::fs::write(&draft, rules).unwrap();
        std::fs::rename(&draft, self.rules()).unwrap();
    }

    /// Takes the rules away.
    pub(super) fn clear_rules(&self) {
        std::fs::remove_file(self.rules()).unwrap();
    }

    /// Starts a daemon on the shim, which follows the rules of this home.
    pub(super) fn start_on_shim(&self, environment: &[(&str, &str)]) -> Start {
        let (root, rules) = (self.data(), self.rules());
        let mut all = vec![
            ("LD_PRELOAD", shim::library().to_str().unwrap()),
            ("SHIM_ROOT", root.to_str().unwrap()),
            ("SHIM_RULES", rules.to_str().unwrap()),
            // The shim writes down what it sees beside the data, where a hardened process may not write.
            ("ETCD_HARDEN_PROCESS", "false"),
        ];
        all.extend_from_slice(environment);
        self.start(&all)
    }

    /// Starts a daemon and waits until it serves or ends.
    pub(super) fn start(&self, environment: &[(&str, &str)]) -> Start {
        settle(Process::start(&mut self.command(&[], environment)))
    }

    /// The command that starts a daemon, by way of another program and its arguments.
    pub(super) fn command(&self, by: &[&str], environment: &[(&str, &str)]) -> Command {
        let daemon = Kind::Ours.program("etcd");
        let mut command = match by {
            [] => Command::new(daemon),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(daemon);
                command
            }
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .current_dir(self.home())
            .envs(environment.iter().copied())
            .args([
                "--data-dir=data",
                "--logger=zap",
                "--listen-client-urls=http://127.0.0.1:0",
                "--advertise-client-urls=http://127.0.0.1:0",
                "--listen-peer-urls=http://127.0.0.1:0",
                "--initial-advertise-peer-urls=http://127.0.0.1:0",
                "--initial-cluster=default=http://127.0.0.1:0",
            ]);
        command.args(&self.flags);
        command
    }
}

/// Waits until a daemon serves or has ended.
pub(super) fn settle(mut process: Process) -> Start {
    let address = eventually_for(PATIENCE, "the daemon to serve or to end", || {
        let address = process.output().iter().find_map(|line| serving(line));
        address.map(Some).or_else(|| process.has_ended().then_some(None))
    });
    match address {
        Some(address) => Start::Serving(process, format!("http://{address}")),
        None => {
            let status = process.wait_end();
            Start::Ended(status, process.output())
        }
    }
}

fn serving(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let serves = value["msg"].as_str()?.starts_with("serving client traffic");
    serves.then(|| value["address"].as_str().map(str::to_owned)).flatten()
}
