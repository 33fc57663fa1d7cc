//! What one member is: its name, its directories, its URLs, its limits and its timers.

use std::path::PathBuf;
use std::time::Duration;

use crate::types::url::{Scheme, Url};

/// How much is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsMode {
    /// Counters, gauges and the cheap histograms.
    #[default]
    Basic,
    /// Also a latency histogram for every RPC method.
    Extensive,
}

/// Settings of this member alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name other members and `initial-cluster` know this member by.
    pub name: String,
    /// Directory of everything this member stores.
    pub data_dir: PathBuf,
    /// Directory of the write-ahead log, when it is not inside the data directory.
    pub wal_dir: Option<PathBuf>,
    /// Applied entries between two snapshots of the Raft log.
    pub snapshot_count: u64,
    /// Log entries kept behind a snapshot for slow followers.
    pub snapshot_catchup_entries: u64,
    /// Raft heartbeat, one tick.
    pub heartbeat_interval: Duration,
    /// Silence of the leader after which an election begins.
    pub election_timeout: Duration,
    /// Bytes of live data above which only deletes are admitted; zero means 2 GiB, negative none.
    pub quota_backend_bytes: i64,
    /// Operations in one transaction.
    pub max_txn_ops: usize,
    /// Bytes of one request.
    pub max_request_bytes: usize,
    /// HTTP/2 streams of one client connection.
    pub max_concurrent_streams: u32,
    /// Shortest pause between a client's pings.
    pub grpc_keepalive_min_time: Duration,
    /// Pause between the server's pings; zero turns them off.
    pub grpc_keepalive_interval: Duration,
    /// Wait for the answer to such a ping; zero turns them off.
    pub grpc_keepalive_timeout: Duration,
    /// Whether listeners share their port (`SO_REUSEPORT`).
    pub socket_reuse_port: bool,
    /// Whether listeners take over addresses in `TIME_WAIT` (`SO_REUSEADDR`).
    pub socket_reuse_address: bool,
    /// Where clients are served; gRPC only when there are HTTP-only listeners.
    pub listen_client_urls: Vec<Url>,
    /// Where clients are served HTTP and no gRPC.
    pub listen_client_http_urls: Vec<Url>,
    /// Where other members are served.
    pub listen_peer_urls: Vec<Url>,
    /// Where metrics and health are served besides the client listeners.
    pub listen_metrics_urls: Vec<Url>,
    /// Client URLs published in the member record.
    pub advertise_client_urls: Vec<Url>,
    /// Peer URLs published in the member record; part of the member's id.
    pub initial_advertise_peer_urls: Vec<Url>,
    /// How much is measured.
    pub metrics: MetricsMode,
    /// Whether `/debug/pprof/` is served.
    pub enable_pprof: bool,
    /// Pause between progress notifications of an idle watcher.
    pub watch_progress_notify_interval: Duration,
    /// Applying one entry longer than this is worth a warning.
    pub warning_apply_duration: Duration,
    /// Answering one unary request later than this is worth a warning.
    pub warning_unary_request_duration: Duration,
    /// Origins browsers may call from; `*` is any.
    pub cors: Vec<String>,
    /// `Host` names served over plaintext HTTP; `*` is any.
    pub host_whitelist: Vec<String>,
}

/// A URL on this machine, for defaults.
pub(super) fn localhost(port: u16) -> Url {
    Url { scheme: Scheme::Http, authority: format!("localhost:{port}") }
}

impl Default for Member {
    fn default() -> Self {
        Self {
            name: "default".into(),
            data_dir: "default.etcd".into(),
            wal_dir: None,
            snapshot_count: 100_000,
            snapshot_catchup_entries: 5_000,
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_secs(1),
            quota_backend_bytes: 0,
            max_txn_ops: 128,
            max_request_bytes: 1_572_864,
            max_concurrent_streams: u32::MAX,
            grpc_keepalive_min_time: Duration::from_secs(5),
            grpc_keepalive_interval: Duration::from_secs(2 * 60 * 60),
            grpc_keepalive_timeout: Duration::from_secs(20),
            socket_reuse_port: false,
            socket_reuse_address: false,
            listen_client_urls: vec![localhost(2379)],
            listen_client_http_urls: Vec::new(),
            listen_peer_urls: vec![localhost(2380)],
            listen_metrics_urls: Vec::new(),
            advertise_client_urls: vec![localhost(2379)],
            initial_advertise_peer_urls: vec![localhost(2380)],
            metrics: MetricsMode::Basic,
            enable_pprof: false,
            watch_progress_notify_interval: Duration::from_secs(10 * 60),
            warning_apply_duration: Duration::from_millis(100),
            warning_unary_request_duration: Duration::from_millis(300),
            cors: vec!["*".into()],
            host_whitelist: vec!["*".into()],
        }
    }
}
