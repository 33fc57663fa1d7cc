//! One server process, ours or real, on ports the system chose.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::process::Process;

/// Which program serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The daemon of this crate.
    Ours,
    /// Real etcd from this folder.
    Reference(PathBuf),
}

impl Kind {
    /// Path of one of its programs. `ETCD_SUBJECT_DIR` puts other programs in the place of ours:
    /// with real etcd there, the suite checks itself.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let stand_in = std::env::var_os("ETCD_SUBJECT_DIR").map(PathBuf::from);
        match (self, name) {
            (Self::Ours, name) if stand_in.is_some() => stand_in.unwrap_or_default().join(name),
            (Self::Ours, "etcd") => PathBuf::from(env!("CARGO_BIN_EXE_etcd")),
            (Self::Ours, "etcdctl") => PathBuf::from(env!("CARGO_BIN_EXE_etcdctl")),
            (Self::Ours, other) => panic!("no program {other}"),
            (Self::Reference(folder), name) => folder.join(name),
        }
    }

    /// The daemon with its data in `home`, on ports the system chooses. Clients reach it by `scheme`;
    /// `peer` is where other members are told to.
    pub(crate) fn daemon(&self, home: &Path, scheme: &str, peer: &str) -> Command {
        let mut command = Command::new(self.program("etcd"));
        command.current_dir(home).env_clear().args([
            "--data-dir=data",
            &format!("--listen-client-urls={scheme}://127.0.0.1:0"),
            &format!("--advertise-client-urls={scheme}://127.0.0.1:0"),
            "--listen-peer-urls=http://127.0.0.1:0",
            &format!("--initial-advertise-peer-urls={peer}"),
            &format!("--initial-cluster=default={peer}"),
        ]);
        command
    }
}

/// The peer URL of a member that has no others.
pub(crate) const ALONE: &str = "http://127.0.0.1:0";

/// A running server with its own directory.
pub(crate) struct Server {
    home: TempDir,
    scheme: &'static str,
    command: Command,
    address: String,
    /// The process itself.
    pub(crate) process: Process,
}

impl Server {
    /// Starts a plaintext server and waits until it serves.
    pub(crate) fn start(kind: &Kind) -> Self {
        Self::start_with(kind, "http", &[])
    }

    /// Starts a server with extra flags; the scheme says whether clients speak TLS to it.
    pub(crate) fn start_with(kind: &Kind, scheme: &'static str, extra: &[&str]) -> Self {
        Self::start_in(kind, scheme, extra, &[])
    }

    /// Starts a server with extra flags and environment variables.
    pub(crate) fn start_in(
        kind: &Kind,
        scheme: &'static str,
        extra: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = kind.daemon(home.path(), scheme, ALONE);
        command.envs(environment.iter().copied()).arg("--logger=zap").args(extra);
        let (process, address) = launch(&mut command);
        Self { home, scheme, command, address, process }
    }

    /// Starts again on the same data, after the process has ended or been killed.
    pub(crate) fn restart(&mut self) {
        self.process.kill();
        (self.process, self.address) = launch(&mut self.command);
    }

    /// `host:port` clients connect to.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// URL clients connect to.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Folder of its own; the data directory is `data` in it.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }
}

fn launch(command: &mut Command) -> (Process, String) {
    let mut process = Process::start(command);
    let address = process.wait_line("the client address", |line| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let serving = value["msg"].as_str()?.starts_with("serving client traffic");
        let serving = serving && value["traffic"] != "http";
        serving.then(|| value["address"].as_str().map(str::to_owned)).flatten()
    });
    (process, address)
}
