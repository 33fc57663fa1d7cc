//! From merged settings to the tree the rooms take their branches from.

use std::path::PathBuf;
use std::time::Duration;

use super::auth::{self, Auth, Token};
use super::golang;
use super::layers::Settings;
use super::suites;
use super::{
    AutoCompaction, Cluster, ClusterState, Comparisons, Config, Features, Hardening, Log,
    LogFormat, LogLevel, Member, MetricsMode, Retention, Tls, TlsLimits, TlsVersion,
};
use crate::types::url::Url;

/// What zero means for the pings of clients: the gRPC library's own default, as in etcd.
const GRPC_MIN_TIME: Duration = Duration::from_secs(5 * 60);

/// Builds the tree; what cannot be understood is a fault and keeps its default.
pub(super) fn build(settings: &Settings, faults: &mut Vec<String>) -> Config {
    let view = View(settings);
    Config {
        member: view.member(),
        cluster: view.cluster(faults),
        client_tls: view.client_tls(),
        peer_tls: view.peer_tls(),
        tls: view.tls_limits(faults),
        pki_dir: view.path("pki-dir"),
        log: view.log(faults),
        compaction: view.compaction(faults),
        features: view.features(),
        comparisons: view.comparisons(),
        hardening: view.hardening(),
        auth: view.auth(faults),
    }
}

struct View<'a>(&'a Settings);

impl View<'_> {
    fn text(&self, name: &str) -> String {
        self.0.get(name)
    }

    fn on(&self, name: &str) -> bool {
        self.0.get(name)
    }

    fn count(&self, name: &str) -> u64 {
        self.0.get(name)
    }

    fn size(&self, name: &str) -> usize {
        usize::try_from(self.count(name)).unwrap_or(usize::MAX)
    }

    fn list(&self, name: &str) -> Vec<String> {
        self.0.get(name)
    }

    fn urls(&self, name: &str) -> Vec<Url> {
        self.list(name).iter().filter_map(|url| Url::parse(url).ok()).collect()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.text(name)).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// A time below zero is none.
    fn time(&self, name: &str) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.get::<i64>(name)).unwrap_or_default())
    }

    /// A time for which zero means `usual`.
    fn time_or(&self, name: &str, usual: Duration) -> Duration {
        Some(self.time(name)).filter(|time| !time.is_zero()).unwrap_or(usual)
    }

    fn member(&self) -> Member {
        let usual = Member::default();
        let streams = u32::try_from(self.count("max-concurrent-streams")).unwrap_or(u32::MAX);
        Member {
            name: self.text("name"),
            data_dir: self.text("data-dir").into(),
            wal_dir: self.path("wal-dir"),
            snapshot_count: self.count("snapshot-count"),
            snapshot_catchup_entries: self.count("snapshot-catchup-entries"),
            heartbeat_interval: Duration::from_millis(self.count("heartbeat-interval")),
            election_timeout: Duration::from_millis(self.count("election-timeout")),
            quota_backend_bytes: self.0.get("quota-backend-bytes"),
            max_txn_ops: self.size("max-txn-ops"),
            max_request_bytes: self.size("max-request-bytes"),
            // Zero is no limit, not no service.
            max_concurrent_streams: if streams == 0 { u32::MAX } else { streams },
            grpc_keepalive_min_time: self.time_or("grpc-keepalive-min-time", GRPC_MIN_TIME),
            grpc_keepalive_interval: self.time("grpc-keepalive-interval"),
            grpc_keepalive_timeout: self.time("grpc-keepalive-timeout"),
            socket_reuse_port: self.on("socket-reuse-port"),
            socket_reuse_address: self.on("socket-reuse-address"),
            listen_client_urls: self.urls("listen-client-urls"),
            listen_client_http_urls: self.urls("listen-client-http-urls"),
            listen_peer_urls: self.urls("listen-peer-urls"),
            listen_metrics_urls: self.urls("listen-metrics-urls"),
            advertise_client_urls: self.urls("advertise-client-urls"),
            initial_advertise_peer_urls: self.urls("initial-advertise-peer-urls"),
            // etcd looks for this one word and takes any other for basic.
            metrics: match self.text("metrics").as_str() {
                "extensive" => MetricsMode::Extensive,
                _ => MetricsMode::Basic,
            },
            enable_pprof: self.on("enable-pprof"),
            watch_progress_notify_interval: self
                .time_or("watch-progress-notify-interval", usual.watch_progress_notify_interval),
            warning_apply_duration: self
                .time_or("warning-apply-duration", usual.warning_apply_duration),
            warning_unary_request_duration: self
                .time_or("warning-unary-request-duration", usual.warning_unary_request_duration),
            cors: self.list("cors"),
            host_whitelist: self.list("host-whitelist"),
        }
    }

    fn cluster(&self, faults: &mut Vec<String>) -> Cluster {
        let initial_cluster = self.text("initial-cluster");
        let initial_members = super::cluster::members(&initial_cluster).unwrap_or_else(|fault| {
            faults.push(fault);
            Vec::new()
        });
        Cluster {
            initial_cluster,
            initial_members,
            initial_cluster_state: match self.text("initial-cluster-state").as_str() {
                "existing" => ClusterState::Existing,
                _ => ClusterState::New,
            },
            token: self.text("initial-cluster-token"),
            pre_vote: self.on("pre-vote"),
            force_new: self.on("force-new-cluster"),
            strict_reconfig_check: self.on("strict-reconfig-check"),
            max_learners: usize::try_from(self.0.get::<i64>("max-learners")).unwrap_or(0),
        }
    }

    fn client_tls(&self) -> Tls {
        Tls {
            cert_file: self.path("cert-file"),
            key_file: self.path("key-file"),
            client_cert_file: self.path("client-cert-file"),
            client_key_file: self.path("client-key-file"),
            trusted_ca_file: self.path("trusted-ca-file"),
            crl_file: self.path("client-crl-file"),
            passed_crl_file: None,
            client_cert_auth: self.on("client-cert-auth"),
            auto: self.on("auto-tls"),
            allowed_cn: Vec::new(),
            allowed_hostname: self.list("client-cert-allowed-hostname"),
            skip_client_san_verify: false,
        }
    }

    fn peer_tls(&self) -> Tls {
        Tls {
            cert_file: self.path("peer-cert-file"),
            key_file: self.path("peer-key-file"),
            client_cert_file: self.path("peer-client-cert-file"),
            client_key_file: self.path("peer-client-key-file"),
            trusted_ca_file: self.path("peer-trusted-ca-file"),
            crl_file: self.path("peer-crl-file"),
            passed_crl_file: None,
            client_cert_auth: self.on("peer-client-cert-auth"),
            auto: self.on("peer-auto-tls"),
            allowed_cn: self.list("peer-cert-allowed-cn"),
            allowed_hostname: self.list("peer-cert-allowed-hostname"),
            skip_client_san_verify: self.on("peer-skip-client-san-verification"),
        }
    }

    fn tls_limits(&self, faults: &mut Vec<String>) -> TlsLimits {
        let mut version = |name: &str| match self.text(name).as_str() {
            "" => None,
            "TLS1.2" => Some(TlsVersion::V12),
            "TLS1.3" => Some(TlsVersion::V13),
            other => {
                faults.push(format!(
                    "unexpected TLS version {other:?} (must be one of: TLS1.2, TLS1.3)"
                ));
                None
            }
        };
        let years = u32::try_from(self.count("self-signed-cert-validity")).unwrap_or(u32::MAX);
        TlsLimits {
            min: version("tls-min-version").unwrap_or(TlsVersion::V12),
            max: version("tls-max-version"),
            // Names that are not spoken are told by the check.
            cipher_suites: self
                .list("cipher-suites")
                .iter()
                .filter_map(|name| suites::spoken(name))
                .collect(),
            self_signed_cert_validity_years: years.max(1),
            required: self.on("require-tls"),
            loose_keys: self.on("allow-loose-modes"),
        }
    }

    fn log(&self, faults: &mut Vec<String>) -> Log {
        let level = match self.text("log-level").to_ascii_lowercase().as_str() {
            "debug" => LogLevel::Debug,
            "info" | "" => LogLevel::Info,
            "warn" => LogLevel::Warn,
            "error" => LogLevel::Error,
            "dpanic" | "panic" | "fatal" => LogLevel::Fatal,
            _ => {
                faults.push(format!("unrecognized level: {:?}", self.text("log-level")));
                LogLevel::Info
            }
        };
        let format = match self.text("log-format").as_str() {
            "json" | "" => LogFormat::Json,
            "console" => LogFormat::Console,
            other => {
                faults.push(format!("unknown log format: {other}, supported values json, console"));
                LogFormat::Json
            }
        };
        let outputs = self.list("log-outputs");
        Log {
            level,
            // A server that logs nowhere cannot be helped.
            outputs: if outputs.is_empty() { Log::default().outputs } else { outputs },
            format,
            enable_rotation: self.on("enable-log-rotation"),
            rotation_config_json: self.text("log-rotation-config-json"),
        }
    }

    fn compaction(&self, faults: &mut Vec<String>) -> AutoCompaction {
        let usual = AutoCompaction::default();
        let (mode, keep) =
            (self.text("auto-compaction-mode"), self.text("auto-compaction-retention"));
        let retention = retention(&mode, &keep).unwrap_or_else(|fault| {
            faults.push(fault);
            usual.retention
        });
        // As in etcd, a limit below zero is none.
        let batch_limit = usize::try_from(self.0.get::<i64>("compaction-batch-limit"));
        AutoCompaction {
            retention,
            batch_limit: batch_limit.unwrap_or(usize::MAX),
            sleep_interval: self.time("compaction-sleep-interval"),
        }
    }

    fn comparisons(&self) -> Comparisons {
        Comparisons {
            initial: self.on("InitialCorruptCheck"),
            everything: self.time("corrupt-check-time"),
            kept: self.on("CompactHashCheck"),
            kept_pause: self.time("compact-hash-check-time"),
        }
    }

    fn auth(&self, faults: &mut Vec<String>) -> Auth {
        let token = auth::token(&self.text("auth-token")).unwrap_or_else(|fault| {
            faults.push(fault);
            Token::default()
        });
        let (bcrypt_cost, _) = auth::cost(self.count("bcrypt-cost"));
        Auth { token, ttl: auth::ttl(self.count("auth-token-ttl")), bcrypt_cost }
    }

    fn hardening(&self) -> Hardening {
        Hardening { on: self.on("harden-process"), loose_directories: self.on("allow-loose-modes") }
    }

    fn features(&self) -> Features {
        Features {
            unsafe_no_fsync: self.on("unsafe-no-fsync"),
            lease_checkpoint: self.on("LeaseCheckpoint"),
            lease_checkpoint_persist: self.on("LeaseCheckpointPersist"),
        }
    }
}

/// A whole number is hours or revisions, anything else a duration; as a count of revisions a
/// duration counts its nanoseconds, which is what etcd does with it.
fn retention(mode: &str, keep: &str) -> Result<Retention, String> {
    let keep = if keep.is_empty() { "0" } else { keep };
    let number = keep.parse::<i64>().ok().filter(|number| *number >= 0);
    let nanoseconds = || {
        golang::duration(keep)
            .and_then(|time| match time {
                ..0 => Err(format!("{keep:?} is below zero")),
                _ => Ok(time),
            })
            .map_err(|why| format!("error parsing CompactionRetention: {why}"))
    };
    match mode {
        "periodic" => match number.map(u64::try_from) {
            Some(Ok(hours)) => {
                Ok(Retention::Periodic(Duration::from_secs(hours.saturating_mul(3600))))
            }
            _ => Ok(Retention::Periodic(Duration::from_nanos(
                u64::try_from(nanoseconds()?).unwrap_or_default(),
            ))),
        },
        "revision" => Ok(Retention::Revision(number.map_or_else(nanoseconds, Ok)?)),
        "" => Err("undefined auto-compaction-mode".into()),
        other => Err(format!("unknown auto-compaction-mode {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_tree_have_the_same_defaults() {
        let mut faults = Vec::new();
        let mut settings = Settings::defaults();
        super::super::derive::derive(&mut settings, || None);
        assert_eq!(build(&settings, &mut faults), Config::default());
        assert_eq!(faults, Vec::<String>::new());
    }

    #[test]
    fn retention_is_hours_revisions_or_a_duration() {
        let periodic = |seconds| Ok(Retention::Periodic(Duration::from_secs(seconds)));
        for (mode, keep, expected) in [
            ("periodic", "0", periodic(0)),
            ("periodic", "", periodic(0)),
            ("periodic", "2", periodic(7200)),
            ("periodic", "30m", periodic(1800)),
            ("revision", "1000", Ok(Retention::Revision(1000))),
            ("revision", "1us", Ok(Retention::Revision(1000))),
            ("x", "0", Err("unknown auto-compaction-mode \"x\"".into())),
            ("", "0", Err("undefined auto-compaction-mode".into())),
            // etcd dies of a nil pointer here.
            (
                "periodic",
                "-1h",
                Err("error parsing CompactionRetention: \"-1h\" is below zero".into()),
            ),
            (
                "periodic",
                "x",
                Err("error parsing CompactionRetention: time: invalid duration \"x\"".into()),
            ),
            (
                "periodic",
                "-1",
                Err("error parsing CompactionRetention: time: missing unit in duration \"-1\""
                    .into()),
            ),
        ] {
            assert_eq!(retention(mode, keep), expected, "{mode} {keep}");
        }
        assert!(!Retention::Revision(0).is_on());
        assert!(Retention::Periodic(Duration::from_secs(1)).is_on());
    }
}
