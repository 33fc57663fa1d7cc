//! The servers' side: a fresh process on a fresh directory, its certificates, and what it costs.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etcd::certs::{Authority, Leaf, Purpose, Validity, write_certificate, write_key};
use etcd::client::{Client, Options};
use etcd::config::Tls;
use etcd::types::clock::Clock;
use tempfile::TempDir;

type Error = Box<dyn std::error::Error + Send + Sync>;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Clock ticks per second in `/proc`; fixed by the kernel's interface on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Which program is measured.
pub(crate) enum Program {
    /// Real etcd.
    Reference(PathBuf),
    /// The daemon of this crate.
    Ours(PathBuf),
}

impl Program {
    fn path(&self) -> &PathBuf {
        match self {
            Self::Reference(path) | Self::Ours(path) => path,
        }
    }
}

/// Certificates for both sides, or none for plaintext.
pub(crate) struct Identity {
    folder: TempDir,
    plain: bool,
}

impl Identity {
    /// Makes an authority and one certificate for each side.
    pub(crate) fn new(plain: bool) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let validity = Validity::starting(Clock.unix(), DAY);
        let authority = Authority::create("benchmark", validity)?;
        write_certificate(&folder.path().join("ca.crt"), authority.certificate())?;
        for (name, purpose) in [("server", Purpose::Server), ("client", Purpose::Client)] {
            let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let issued = authority.issue(&Leaf {
                common_name: name.to_owned(),
                hosts,
                purpose,
                validity,
            })?;
            write_certificate(&folder.path().join(format!("{name}.crt")), &issued.certificate)?;
            write_key(&folder.path().join(format!("{name}.key")), &issued.key)?;
        }
        Ok(Self { folder, plain })
    }

    fn scheme(&self) -> &'static str {
        if self.plain { "http" } else { "https" }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server_flags(&self) -> Vec<String> {
        if self.plain {
            return Vec::new();
        }
        vec![
            format!("--cert-file={}", self.file("server.crt").display()),
            format!("--key-file={}", self.file("server.key").display()),
            format!("--trusted-ca-file={}", self.file("ca.crt").display()),
            "--client-cert-auth".to_owned(),
        ]
    }

    /// Opens one connection of its own.
    pub(crate) async fn connect(&self, address: &str) -> Result<Client, Error> {
        let tls = (!self.plain).then(|| Tls {
            cert_file: Some(self.file("client.crt")),
            key_file: Some(self.file("client.key")),
            trusted_ca_file: Some(self.file("ca.crt")),
            ..Tls::default()
        });
        let endpoints = vec![format!("{}://{address}", self.scheme())];
        Ok(Client::connect(&Options { endpoints, tls, ..Options::default() }).await?)
    }
}

/// What a process has used up to a moment.
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Largest resident size so far.
    pub(crate) peak_bytes: u64,
}

impl Usage {
    /// What was used after `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(before.cpu), peak_bytes: self.peak_bytes }
    }
}

/// A running server; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Server {
    /// Starts it on a port the system chooses and waits until it says which.
    pub(crate) fn start(program: &Program, identity: &Identity) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let client = format!("{}://127.0.0.1:0", identity.scheme());
        let peer = "http://127.0.0.1:0";
        let mut child = Command::new(program.path())
            .current_dir(folder.path())
            .env_clear()
            .arg("--data-dir=data")
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"))
            .args(identity.server_flags())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take().ok_or("no log")?;
        let mut server = Self { child, address: String::new(), _folder: folder };
        let mut lines = BufReader::new(log).lines();
        for line in lines.by_ref() {
            if let Some(address) = serving_address(&line?) {
                server.address = address;
                break;
            }
        }
        // Keeps the pipe empty, so that the server never waits for us.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        if server.address.is_empty() {
            return Err(format!("{} did not start", program.path().display()).into());
        }
        Ok(server)
    }

    /// `host:port` of its client listener.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage, Error> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').ok_or("odd stat")?.1.split_whitespace().collect();
        // Fields 14 and 15 of the line; the first two are before the parenthesis.
        let ticks: f64 =
            fields.get(11..13).ok_or("short stat")?.iter().flat_map(|f| f.parse::<f64>()).sum();
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak")?;
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse()?;
        Ok(Usage { cpu: Duration::from_secs_f64(ticks / TICKS_PER_SECOND), peak_bytes: kib * 1024 })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have died already; either way it is gone afterwards.
        let _dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn serving_address(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let serving = value["msg"].as_str()?.starts_with("serving client traffic");
    serving.then(|| value["address"].as_str().map(str::to_owned)).flatten()
}
