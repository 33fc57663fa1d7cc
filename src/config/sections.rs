//! The other branches of the tree: the cluster, TLS, logs, compaction and features.

use std::path::PathBuf;
use std::time::Duration;

use super::cluster::InitialMember;
use super::member::localhost;

/// Whether this member founds a cluster or joins one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClusterState {
    /// Found a new cluster.
    #[default]
    New,
    /// Join a cluster that runs.
    Existing,
}

/// How a cluster begins and changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// First members, `name=url,name=url`.
    pub initial_cluster: String,
    /// The same, read: names with their peer URLs, sorted.
    pub initial_members: Vec<InitialMember>,
    /// Found or join.
    pub initial_cluster_state: ClusterState,
    /// Mixed into member and cluster ids, so that two clusters never mix.
    pub token: String,
    /// Whether a candidate first asks whether it could win.
    pub pre_vote: bool,
    /// Whether all other members are forgotten at this start.
    pub force_new: bool,
    /// Whether changes of members are refused that could cost the quorum.
    pub strict_reconfig_check: bool,
    /// Members without a vote at one time.
    pub max_learners: usize,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            initial_cluster: "default=http://localhost:2380".into(),
            initial_members: vec![("default".into(), vec![localhost(2380)])],
            initial_cluster_state: ClusterState::New,
            token: "etcd-cluster".into(),
            pre_vote: true,
            force_new: false,
            strict_reconfig_check: true,
            max_learners: 1,
        }
    }
}

/// TLS of one kind of listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain the listener presents, PEM.
    pub cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// Certificate chain presented when this server is the client.
    pub client_cert_file: Option<PathBuf>,
    /// Its private key.
    pub client_key_file: Option<PathBuf>,
    /// Authorities that sign client certificates; naming one makes client certificates mandatory.
    pub trusted_ca_file: Option<PathBuf>,
    /// Revocation list for client certificates.
    pub crl_file: Option<PathBuf>,
    /// Where lists are kept that other members passed on; it need not be there.
    pub passed_crl_file: Option<PathBuf>,
    /// Whether client certificates are demanded and verified.
    pub client_cert_auth: bool,
    /// Whether to make a self-signed certificate when none is given.
    pub auto: bool,
    /// Common names a client certificate may carry; empty is any.
    pub allowed_cn: Vec<String>,
    /// Subject alternative names a client certificate may carry; empty is any.
    pub allowed_hostname: Vec<String>,
    /// Whether the peer's address need not be named in its certificate.
    pub skip_client_san_verify: bool,
}

impl Tls {
    /// Every file there is to read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let files = [
            &self.cert_file,
            &self.key_file,
            &self.client_cert_file,
            &self.client_key_file,
            &self.trusted_ca_file,
            &self.crl_file,
            &self.passed_crl_file,
        ];
        files.into_iter().flatten()
    }

    /// Whether anything here is set, so that a listener could speak TLS.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A TLS protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// What every TLS listener allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsLimits {
    /// Oldest version spoken.
    pub min: TlsVersion,
    /// Newest version spoken; none is the newest there is.
    pub max: Option<TlsVersion>,
    /// TLS 1.2 suites by their registered names, which are among [`super::SPOKEN_SUITES`]; empty is
    /// all of them.
    pub cipher_suites: Vec<&'static str>,
    /// Life of self-signed certificates in years.
    pub self_signed_cert_validity_years: u32,
    /// Whether nothing is served or advertised in plaintext.
    pub required: bool,
    /// Whether private keys that every user of the machine can read are used all the same.
    pub loose_keys: bool,
}

impl Default for TlsLimits {
    fn default() -> Self {
        Self {
            min: TlsVersion::V12,
            max: None,
            cipher_suites: Vec::new(),
            self_signed_cert_validity_years: 1,
            required: false,
            loose_keys: false,
        }
    }
}

/// Layout of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, as zap writes it.
    #[default]
    Json,
    /// Columns for people.
    Console,
}

/// Severity below which nothing is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator may want to know.
    #[default]
    Info,
    /// What an operator should look at.
    Warn,
    /// What went wrong.
    Error,
    /// Only what ends the process.
    Fatal,
}

impl LogLevel {
    /// The word the flag takes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// Where logs go and what they look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Least severity written.
    pub level: LogLevel,
    /// `default`, `stderr`, `stdout`, `systemd/journal` or paths of files.
    pub outputs: Vec<String>,
    /// Layout of a line.
    pub format: LogFormat,
    /// Whether the one file output is rotated.
    pub enable_rotation: bool,
    /// How it is rotated: `maxsize` (MB), `maxage` (days), `maxbackups`, `localtime`, `compress`.
    pub rotation_config_json: String,
}

/// Rotation as etcd has it when nothing else is said.
pub(super) const ROTATION: &str =
    r#"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"#;

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            outputs: vec!["default".into()],
            format: LogFormat::Json,
            enable_rotation: false,
            rotation_config_json: ROTATION.into(),
        }
    }
}

/// How much history automatic compaction keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// As much as this time saw; zero turns automatic compaction off.
    Periodic(Duration),
    /// This many revisions; zero or less turns automatic compaction off.
    Revision(i64),
}

impl Retention {
    /// Whether anything is compacted automatically.
    pub const fn is_on(self) -> bool {
        match self {
            Self::Periodic(time) => !time.is_zero(),
            Self::Revision(count) => count > 0,
        }
    }
}

/// Automatic compaction and the pace of every compaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoCompaction {
    /// What is kept.
    pub retention: Retention,
    /// Revisions removed between two pauses; zero is the store's own number.
    pub batch_limit: usize,
    /// The pause; zero is none.
    pub sleep_interval: Duration,
}

impl Default for AutoCompaction {
    fn default() -> Self {
        Self {
            retention: Retention::Periodic(Duration::ZERO),
            batch_limit: 0,
            sleep_interval: Duration::ZERO,
        }
    }
}

/// What may be switched on and off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Whether writes are acknowledged before they are on disk: fast, and lost with the power.
    pub unsafe_no_fsync: bool,
    /// Whether the leader replicates the remaining life of leases.
    pub lease_checkpoint: bool,
    /// Whether that remaining life survives a restart.
    pub lease_checkpoint_persist: bool,
}

/// What the process gives up, so that whoever takes it over has little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// Whether it gives up anything: memory images, new privileges, other programs, and writing
    /// where it need not.
    pub on: bool,
    /// Whether a data directory that others may look into is used all the same.
    pub loose_directories: bool,
}

impl Default for Hardening {
    fn default() -> Self {
        Self { on: true, loose_directories: false }
    }
}

/// When members compare what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparisons {
    /// Before this member serves, if it has served before.
    pub initial: bool,
    /// Pause between comparisons of everything; zero is never.
    pub everything: Duration,
    /// Whether the hashes that are kept anyway are compared.
    pub kept: bool,
    /// Pause between those; more than zero.
    pub kept_pause: Duration,
}

impl Default for Comparisons {
    fn default() -> Self {
        Self {
            initial: false,
            everything: Duration::ZERO,
            kept: false,
            kept_pause: Duration::from_secs(60),
        }
    }
}
