//! Settings of one member: names, places, URLs, limits, timers.

use super::{Kind, Setting};

const OWN_SPACE: &str = "the store here manages its own space and files";
const PINGS: &str = "a silent connection to a member is noticed by its pings here";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "name",
        Kind::Text,
        "default",
        "Name of this member, the one it has in --initial-cluster.",
    ),
    Setting::new(
        "data-dir",
        Kind::Text,
        "",
        "Directory for all data; empty means <name>.etcd in the working directory.",
    ),
    Setting::new(
        "wal-dir",
        Kind::Text,
        "",
        "Directory of the write-ahead log, to put it on a disk of its own.",
    ),
    Setting::new(
        "listen-client-urls",
        Kind::Urls,
        "http://localhost:2379",
        "Where clients are served. Needs --advertise-client-urls as well.",
    ),
    Setting::new(
        "listen-client-http-urls",
        Kind::Urls,
        "",
        "Where clients are served HTTP only; --listen-client-urls then serve gRPC only.",
    ),
    Setting::new(
        "listen-peer-urls",
        Kind::Urls,
        "http://localhost:2380",
        "Where other members are served.",
    ),
    Setting::new(
        "listen-metrics-urls",
        Kind::Urls,
        "",
        "More places for /metrics and the health endpoints.",
    ),
    Setting::new(
        "quota-backend-bytes",
        Kind::Int,
        "0",
        "Bytes of data above which writes are refused: 0 is 2 GiB, negative is no limit.",
    ),
    Setting::new("max-txn-ops", Kind::Uint(64), "128", "Operations in one transaction."),
    Setting::new("max-request-bytes", Kind::Uint(64), "1572864", "Bytes of one request."),
    Setting::new(
        "max-concurrent-streams",
        Kind::Uint(32),
        "4294967295",
        "HTTP/2 streams of one client connection.",
    ),
    Setting::new(
        "grpc-keepalive-min-time",
        Kind::Duration,
        "5s",
        "gRPC clients that ping more often are disconnected; encrypted ones only where a port serves \
         no HTTP.",
    ),
    Setting::new(
        "grpc-keepalive-interval",
        Kind::Duration,
        "2h0m0s",
        "Pause between the server's pings to a client; 0 turns them off.",
    ),
    Setting::new(
        "grpc-keepalive-timeout",
        Kind::Duration,
        "20s",
        "Wait for a client's answer to a ping before it is disconnected; 0 turns pings off.",
    ),
    Setting::new(
        "socket-reuse-port",
        Kind::Bool,
        "false",
        "Share listening ports with other processes (SO_REUSEPORT).",
    )
    .at(&["socket-options.reuse-port", "SocketOpts.ReusePort"]),
    Setting::new(
        "socket-reuse-address",
        Kind::Bool,
        "false",
        "Take over addresses that are still in TIME_WAIT (SO_REUSEADDR).",
    )
    .at(&["socket-options.reuse-address", "SocketOpts.ReuseAddress"]),
    Setting::new(
        "snapshot-count",
        Kind::Uint(64),
        "100000",
        "Applied entries between two snapshots of the log.",
    ),
    Setting::new(
        "snapshot-catchup-entries",
        Kind::Uint(64),
        "5000",
        "Log entries kept behind a snapshot for slow members.",
    )
    .at(&[
        "snapshot-catchup-entries",
        "experimental-snapshot-catch-up-entries",
        "SnapshotCatchUpEntries",
    ])
    .old(&["experimental-snapshot-catchup-entries"]),
    Setting::new(
        "heartbeat-interval",
        Kind::Uint(64),
        "100",
        "Milliseconds between the leader's heartbeats.",
    ),
    Setting::new(
        "election-timeout",
        Kind::Uint(64),
        "1000",
        "Milliseconds without a leader before an election; at least five heartbeats.",
    ),
    Setting::new(
        "initial-election-tick-advance",
        Kind::Bool,
        "true",
        "Shorten the first election after a start.",
    )
    .idle("a single member leads at once"),
    Setting::new("max-snapshots", Kind::Uint(64), "5", "Snapshot files kept.").idle(OWN_SPACE),
    Setting::new("max-wals", Kind::Uint(64), "5", "Log segments kept.").idle(OWN_SPACE),
    Setting::new(
        "backend-bbolt-freelist-type",
        Kind::Text,
        "",
        "Free list of etcd's database file.",
    )
    .idle(OWN_SPACE),
    Setting::new(
        "backend-batch-interval",
        Kind::Duration,
        "0s",
        "Longest pause between commits of etcd's database.",
    )
    .idle(OWN_SPACE),
    Setting::new(
        "backend-batch-limit",
        Kind::Int,
        "0",
        "Most operations between commits of etcd's database.",
    )
    .idle(OWN_SPACE),
    Setting::new(
        "raft-read-timeout",
        Kind::Duration,
        "5s",
        "Deadline for reads from other members.",
    )
    .at(&[])
    .idle(PINGS),
    Setting::new(
        "raft-write-timeout",
        Kind::Duration,
        "5s",
        "Deadline for writes to other members.",
    )
    .at(&[])
    .idle(PINGS),
];
