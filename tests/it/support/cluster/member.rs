//! One member: its addresses and folder, which stay, and its process, which comes and goes.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use etcd::client::Client;

use super::inside::Inside;
use super::plan::Plan;
use crate::support::pki::Pki;
use crate::support::process::Process;
use crate::support::server::Kind;

/// Whether anybody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not started yet, or ended.
    Down,
    /// Stopped by a signal, to go on later.
    Paused,
    /// Running.
    Up,
}

/// Where a member is.
pub(super) struct Addresses {
    /// Where it listens for clients.
    pub(super) client: SocketAddr,
    /// Where it listens for other members.
    pub(super) peer: SocketAddr,
    /// Where other members are told to find it.
    pub(super) advertised: SocketAddr,
}

/// A member of a cluster, or somebody who would like to be one.
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: String,
    /// A client that speaks with this member only.
    pub(crate) client: Client,
    /// The running process, or the last one.
    pub(crate) process: Option<Process>,
    /// The running member, if it is none of its own process.
    pub(super) inside: Option<Inside>,
    /// Program and arguments that run the daemon, if not the daemon itself.
    pub(crate) by: Vec<String>,
    /// Flags that say how it joins; they count only while it has no data.
    pub(crate) bootstrap: Vec<String>,
    pub(super) state: State,
    pub(super) addresses: Addresses,
    home: PathBuf,
    scheme: &'static str,
    peer_scheme: &'static str,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Member {
    pub(super) fn new(
        name: &str,
        home: PathBuf,
        plan: &Plan,
        pki: Option<&Pki>,
        addresses: Addresses,
    ) -> Self {
        std::fs::create_dir(&home).unwrap();
        let scheme = if plan.tls { "https" } else { "http" };
        let peer_scheme = if plan.peer_tls { "https" } else { "http" };
        let mut flags = vec![
            format!("--heartbeat-interval={}", plan.heartbeat),
            format!("--election-timeout={}", plan.election),
            "--logger=zap".to_owned(),
        ];
        if let Some(pki) = pki {
            flags.extend(pki.server_flags().into_iter().chain(pki.peer_flags()));
        }
        flags.extend(plan.flags.iter().cloned());
        let folder = home.to_str().unwrap();
        let environment = plan
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), value.replace("{home}", folder)))
            .collect();
        Self {
            name: name.to_owned(),
            client: super::client(&[format!("{scheme}://{}", addresses.client)], pki),
            process: None,
            inside: None,
            by: Vec::new(),
            bootstrap: Vec::new(),
            state: State::Down,
            addresses,
            home,
            scheme,
            peer_scheme,
            flags,
            environment,
        }
    }

    /// Its folder; the data directory is `data` in it.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// URL for clients.
    pub(crate) fn client_url(&self) -> String {
        format!("{}://{}", self.scheme, self.addresses.client)
    }

    /// `host:port` for clients.
    pub(crate) fn client_address(&self) -> String {
        self.addresses.client.to_string()
    }

    /// URL for other members.
    pub(crate) fn peer_url(&self) -> String {
        format!("{}://{}", self.peer_scheme, self.addresses.advertised)
    }

    /// Listens for other members somewhere else from the next start on, and tells the URL.
    pub(crate) fn move_peer_listener(&mut self) -> String {
        self.addresses.peer = super::address::reserve();
        self.addresses.advertised = self.addresses.peer;
        self.peer_url()
    }

    /// Its part of `--initial-cluster`.
    pub(crate) fn entry(&self) -> String {
        format!("{}={}", self.name, self.peer_url())
    }

    /// The command that starts it, with flags for this time only.
    pub(super) fn command(&self, once: &[&str]) -> Command {
        let daemon = Kind::Ours.program("etcd");
        let mut command = match self.by.split_first() {
            None => Command::new(daemon),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(daemon);
                command
            }
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.home)
            .args(self.arguments(once));
        command
    }

    /// What it is told, with flags for this time only.
    pub(super) fn arguments(&self, once: &[&str]) -> Vec<OsString> {
        let own = [
            format!("--name={}", self.name),
            format!("--data-dir={}", self.data().display()),
            format!("--listen-client-urls={}", self.client_url()),
            format!("--advertise-client-urls={}", self.client_url()),
            format!("--listen-peer-urls={}://{}", self.peer_scheme, self.addresses.peer),
            format!("--initial-advertise-peer-urls={}", self.peer_url()),
        ];
        let once = once.iter().map(ToString::to_string);
        let all = own.into_iter().chain(self.flags.clone()).chain(self.bootstrap.clone());
        all.chain(once).map(OsString::from).collect()
    }

    /// Whether it ended by itself or was stopped.
    pub(super) fn has_ended(&mut self) -> bool {
        match (&self.inside, &mut self.process) {
            (Some(inside), _) => inside.has_ended(),
            (None, Some(process)) => process.has_ended(),
            (None, None) => true,
        }
    }

    /// Everything the last process printed.
    pub(crate) fn output(&self) -> Vec<String> {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        self.process.as_ref().unwrap().signal(name);
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        self.state = State::Down;
        self.process.as_mut().unwrap().wait_end()
    }
}
