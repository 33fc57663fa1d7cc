//! What must fit together. Every fault is told, in etcd's words where etcd has words for it.

mod listeners;
mod status;

use serde::Deserialize;

use super::layers::{Origin, Settings};
use super::{Config, TlsVersion, auth, suites, table};

/// What is wrong and what is only worth saying.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Reasons not to start.
    pub(super) faults: Vec<String>,
    /// Things to tell once.
    pub(super) warnings: Vec<String>,
}

impl Findings {
    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }
}

/// The words etcd has for a server nobody could find; also told in a line of their own.
pub(super) const UNADVERTISED: &str =
    "--advertise-client-urls is required when --listen-client-urls is set explicitly";

/// Looks at everything, in the order etcd does.
pub(super) fn check(settings: &Settings, config: &Config, found: &mut Findings) {
    logs(settings, config, found);
    listeners::check(config, found);
    timers(config, found);
    advertised(settings, found);
    leases(settings, config, found);
    comparisons(settings, config, found);
    tls(config, found);
    suites(settings, config, found);
    limits(config, found);
    found.warnings.extend(auth::cost(settings.get("bcrypt-cost")).1);
    status::check(settings, found);
}

fn logs(settings: &Settings, config: &Config, found: &mut Findings) {
    match settings.get::<String>("logger").as_str() {
        "zap" => {}
        "capnslog" => found.fault("--logger=capnslog is removed in v3.5"),
        other => found.fault(format!("unknown logger option {other:?}")),
    }
    let outputs = &config.log.outputs;
    let has = |name: &str| outputs.iter().any(|output| output == name);
    if outputs.len() > 1 && has("default") {
        found.fault("multi logoutput for \"default\" is not supported yet");
    }
    if outputs.len() > 1 && has("systemd/journal") {
        let quoted: Vec<String> = outputs.iter().map(|output| format!("{output:?}")).collect();
        found.fault(format!(
            "running with systemd/journal but other '--log-outputs' values ([{}]) are configured \
             with 'default'; override 'default' value with something else",
            quoted.join(" ")
        ));
    }
    if config.log.enable_rotation {
        rotation(config, found);
    }
}

/// The shape of `log-rotation-config-json`; read here only to find faults.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    #[serde(default, rename = "maxsize")]
    _size: u64,
    #[serde(default, rename = "maxage")]
    _age: u64,
    #[serde(default, rename = "maxbackups")]
    _backups: usize,
    #[serde(default, rename = "localtime")]
    _local_time: bool,
    #[serde(default, rename = "compress")]
    _compress: bool,
}

fn rotation(config: &Config, found: &mut Findings) {
    let files = config.log.outputs.iter().filter(|output| {
        !matches!(output.as_str(), "default" | "stderr" | "stdout" | "systemd/journal")
    });
    if files.count() != 1 {
        found.fault(
            "--log-outputs requires a single file path when --log-rotate-config-json is defined",
        );
    }
    let text = &config.log.rotation_config_json;
    match serde_json::from_str::<Rotation>(text) {
        Ok(_) if !text.trim_start().starts_with('{') => {
            found.fault("invalid log rotation config: expected an object with names");
        }
        Err(why) if why.is_data() => found.fault(format!("invalid log rotation config: {why}")),
        Err(why) if why.is_eof() => {
            found.fault("improperly formatted log rotation config: unexpected end of JSON input");
        }
        Err(why) => found.fault(format!("improperly formatted log rotation config: {why}")),
        Ok(_) => {}
    }
}

fn timers(config: &Config, found: &mut Findings) {
    let heartbeat = config.member.heartbeat_interval.as_millis();
    let election = config.member.election_timeout.as_millis();
    for (name, time) in [("heartbeat-interval", heartbeat), ("election-timeout", election)] {
        if time == 0 {
            found.fault(format!("--{name} must be >0 (set to 0ms)"));
        }
    }
    if heartbeat == 0 || election == 0 {
        return;
    }
    if heartbeat.saturating_mul(5) > election {
        found.fault(format!(
            "--election-timeout[{election}ms] should be at least as 5 times as \
             --heartbeat-interval[{heartbeat}ms]"
        ));
    }
    if election > 50_000 {
        found.fault(format!(
            "--election-timeout[{election}ms] is too long, and should be set less than 50000ms"
        ));
    }
}

/// As in etcd, only flags and variables make the server ask for what it advertises; a file that
/// says nothing of it means the default.
fn advertised(settings: &Settings, found: &mut Findings) {
    let listen = settings.given_as("listen-client-urls");
    let by_hand =
        listen.is_some_and(|given| matches!(given.origin, Origin::Flag(_) | Origin::Variable(_)));
    if by_hand && !settings.is_given("advertise-client-urls") {
        found.fault(UNADVERTISED);
    }
}

fn leases(settings: &Settings, config: &Config, found: &mut Findings) {
    if config.features.lease_checkpoint || !config.features.lease_checkpoint_persist {
        return;
    }
    let given = settings.given_as("LeaseCheckpointPersist");
    found.fault(if given.is_some_and(|given| given.spelt.starts_with("experimental")) {
        "setting experimental-enable-lease-checkpoint-persist requires \
         experimental-enable-lease-checkpoint"
    } else {
        "enabling feature gate LeaseCheckpointPersist requires enabling feature gate \
         LeaseCheckpoint"
    });
}

fn comparisons(settings: &Settings, config: &Config, found: &mut Findings) {
    if config.comparisons.kept_pause.is_zero() {
        let given = settings.given_as("compact-hash-check-time");
        let name = given.map_or("compact-hash-check-time", |given| given.spelt.as_str());
        found.fault(format!("--{name} must be >0 (set to 0s)"));
    }
}

fn tls(config: &Config, found: &mut Findings) {
    let limits = &config.tls;
    if limits.max.is_some_and(|max| limits.min > max) {
        found.fault("min version (TLS1.3) is greater than max version (TLS1.2)");
    }
    let peer = &config.peer_tls;
    if !peer.allowed_cn.is_empty() && !peer.allowed_hostname.is_empty() {
        found.fault(format!(
            "AllowedCN and AllowedHostname are mutually exclusive (cn={:?}, hostname={:?})",
            peer.allowed_cn.join(","),
            peer.allowed_hostname.join(",")
        ));
    }
}

/// The suites are looked at even when nothing listens with TLS, as etcd does.
fn suites(settings: &Settings, config: &Config, found: &mut Findings) {
    let names: Vec<String> = settings.get("cipher-suites");
    if config.tls.min == TlsVersion::V13 && !names.is_empty() {
        found.fault("cipher suites cannot be configured when only TLS1.3 is enabled");
        return;
    }
    let (retired, rest): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| suites::is_retired(name));
    for name in rest.iter().filter(|name| suites::spoken(name).is_none()) {
        let near = table::nearest(name, suites::SPOKEN.into_iter());
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        found.fault(format!("unexpected TLS cipher suite {name:?}{hint}"));
    }
    match (retired.is_empty(), rest.is_empty()) {
        (true, _) => {}
        (false, true) => found.fault(format!(
            "none of the cipher suites {} is available here: all use CBC, RC4, 3DES or static RSA; \
             name at least one ECDHE suite with GCM or CHACHA20",
            retired.join(",")
        )),
        (false, false) => {
            found.warn(format!("cipher suites not available here, left out: {}", retired.join(",")))
        }
    }
}

fn limits(config: &Config, found: &mut Findings) {
    const REQUEST: usize = 10 << 20;
    const QUOTA: i64 = 8 << 30;
    let request = config.member.max_request_bytes;
    if request > REQUEST {
        found.warn(format!(
            "exceeded recommended request limit: max-request-bytes is {request}, recommended is \
             at most {REQUEST}"
        ));
    }
    let quota = config.member.quota_backend_bytes;
    if quota > QUOTA {
        found.warn(format!(
            "quota-backend-bytes is {quota}, more than the recommended maximum {QUOTA}"
        ));
    }
    if config.features.unsafe_no_fsync {
        found.warn("unsafe-no-fsync is set: a power failure loses acknowledged writes");
    }
}
