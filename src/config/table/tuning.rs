//! Settings of pace and thresholds, the file itself, feature gates, and what is left of old times.

use super::{Kind, Setting, Stage};

const NO_BLOCKING: &str = "defragmentation never blocks here";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "config-file",
        Kind::Text,
        "",
        "YAML file to read first; variables and flags go on top.",
    )
    .at(&[]),
    Setting::new("version", Kind::Bool, "false", "Print the version and stop.").at(&[]),
    Setting::new("enable-grpc-gateway", Kind::Bool, "true", "Serve the JSON gateway under /v3/.")
        .idle("this version has no JSON gateway: /v3/ answers 404 either way"),
    Setting::new(
        "unsafe-no-fsync",
        Kind::Bool,
        "false",
        "Do not wait for the disk: fast, and a power failure loses acknowledged writes.",
    ),
    Setting::new(
        "watch-progress-notify-interval",
        Kind::Duration,
        "10m0s",
        "Pause between progress notifications of an idle watch.",
    )
    .old(&["experimental-watch-progress-notify-interval"]),
    Setting::new(
        "warning-apply-duration",
        Kind::Duration,
        "100ms",
        "Applying an entry longer than this is logged.",
    )
    .old(&["experimental-warning-apply-duration"]),
    Setting::new(
        "warning-unary-request-duration",
        Kind::Duration,
        "300ms",
        "Answering a request later than this is logged.",
    )
    .old(&["experimental-warning-unary-request-duration"]),
    Setting::new(
        "compaction-batch-limit",
        Kind::Int,
        "0",
        "Revisions a compaction removes between two pauses: 0 is 1000, negative no limit.",
    )
    .old(&["experimental-compaction-batch-limit"]),
    Setting::new(
        "compaction-sleep-interval",
        Kind::Duration,
        "0s",
        "That pause; 0 is none, because writes go first even within a batch.",
    )
    .old(&["experimental-compaction-sleep-interval"]),
    Setting::new(
        "feature-gates",
        Kind::Gates,
        "",
        "Feature gates as Name=true,Other=false; see the list below.",
    ),
    Setting::new(
        "corrupt-check-time",
        Kind::Duration,
        "0s",
        "Pause between comparisons of everything members hold, for which each reads it all; 0 is never.",
    )
    .old(&["experimental-corrupt-check-time"]),
    Setting::new(
        "compact-hash-check-time",
        Kind::Duration,
        "1m0s",
        "Pause between comparisons of the hashes members keep; see CompactHashCheck.",
    )
    .old(&["experimental-compact-hash-check-time"]),
    Setting::new(
        "downgrade-check-time",
        Kind::Duration,
        "5s",
        "Pause between looks at a running downgrade.",
    )
    .old(&["experimental-downgrade-check-time"])
    .later("downgrades"),
    Setting::new("memory-mlock", Kind::Bool, "false", "Lock the process in memory.")
        .old(&["experimental-memory-mlock"])
        .later("locking memory"),
    Setting::new(
        "bootstrap-defrag-threshold-megabytes",
        Kind::Uint(64),
        "0",
        "Defragment at a start that frees so many megabytes.",
    )
    .old(&["experimental-bootstrap-defrag-threshold-megabytes"])
    .idle("the store here gives space back by itself"),
];

/// Feature gates; their order is that of `--help`.
pub(super) const GATES: &[Setting] = &[
    gate("LeaseCheckpoint", Stage::Alpha, "Replicate the remaining life of leases.")
        .old(&["experimental-enable-lease-checkpoint"]),
    gate(
        "LeaseCheckpointPersist",
        Stage::Alpha,
        "Keep that remaining life across restarts; needs LeaseCheckpoint.",
    )
    .old(&["experimental-enable-lease-checkpoint-persist"])
    .idle("what is replicated of a lease always survives a restart here"),
    gate("StopGRPCServiceOnDefrag", Stage::Alpha, "Report not serving during defragmentation.")
        .old(&["experimental-stop-grpc-service-on-defrag"])
        .idle(NO_BLOCKING),
    gate(
        "TxnModeWriteWithSharedBuffer",
        Stage::Beta,
        "Share the read buffer inside write transactions.",
    )
    .old(&["experimental-txn-mode-write-with-shared-buffer"])
    .idle("reads never copy a buffer here"),
    gate("FastLeaseKeepAlive", Stage::Beta, "Answer lease renewals without waiting for the log.")
        .idle("renewals never wait for the log here"),
    gate("InitialCorruptCheck", Stage::Alpha, "Compare data with other members before serving.")
        .old(&["experimental-initial-corrupt-check"]),
    gate(
        "CompactHashCheck",
        Stage::Alpha,
        "Compare the hashes that members keep as they apply: costs next to nothing, needs no compaction.",
    )
    .old(&["experimental-compact-hash-check-enabled"]),
    gate("SetMemberLocalAddr", Stage::Alpha, "Dial members from the advertised address.")
        .later("connections to other members"),
    gate("PriorityRequest", Stage::Alpha, "Let some requests pass others.")
        .later("priorities of requests"),
];

/// Flags etcd itself has ignored for years.
pub(super) const RELICS: &[Setting] = &[
    relic("cluster-active-size"),
    relic("cluster-remove-delay"),
    relic("cluster-sync-interval"),
    relic("config"),
    relic("force"),
    relic("max-result-buffer"),
    relic("max-retry-attempts"),
    relic("peer-heartbeat-interval"),
    relic("peer-election-timeout"),
    relic("retry-interval"),
    relic("snapshot"),
    relic("v"),
    relic("vv"),
    relic("test.coverprofile"),
    relic("test.outputdir"),
];

const fn gate(name: &'static str, stage: Stage, help: &'static str) -> Setting {
    let default = match stage {
        Stage::Alpha => "false",
        Stage::Beta => "true",
    };
    Setting::new(name, Kind::Gate(stage), default, help)
}

const fn relic(name: &'static str) -> Setting {
    Setting::new(name, Kind::Relic, "", "Nothing.")
        .idle("etcd removed it long ago and it means nothing any more")
}
