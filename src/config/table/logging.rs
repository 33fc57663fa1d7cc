//! Settings of logs, metrics, profiles and traces.

use super::{Kind, Setting};
use crate::config::sections::ROTATION;

const TRACING: &str = "distributed tracing";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("logger", Kind::Text, "zap", "Layout family of the log; zap is the only one."),
    Setting::new(
        "log-level",
        Kind::Text,
        "info",
        "Least severity logged: debug, info, warn, error, panic or fatal.",
    ),
    Setting::new("log-format", Kind::Text, "json", "json for machines, console for people."),
    Setting::new(
        "log-outputs",
        Kind::List,
        "default",
        "stderr, stdout, systemd/journal, or paths of files.",
    ),
    Setting::new(
        "enable-log-rotation",
        Kind::Bool,
        "false",
        "Rotate the log file, which must be the only output.",
    ),
    Setting::new(
        "log-rotation-config-json",
        Kind::Text,
        ROTATION,
        "How to rotate: megabytes, days, number of files.",
    ),
    Setting::new(
        "metrics",
        Kind::Text,
        "basic",
        "basic, or extensive with a histogram for every method.",
    ),
    Setting::new("enable-pprof", Kind::Bool, "false", "Serve profiles under /debug/pprof/."),
    Setting::new("enable-distributed-tracing", Kind::Bool, "false", "Send traces to a collector.")
        .old(&["experimental-enable-distributed-tracing"])
        .later(TRACING),
    Setting::new(
        "distributed-tracing-address",
        Kind::Text,
        "localhost:4317",
        "Address of the collector.",
    )
    .old(&["experimental-distributed-tracing-address"])
    .later(TRACING),
    Setting::new("distributed-tracing-service-name", Kind::Text, "etcd", "Service name in traces.")
        .old(&["experimental-distributed-tracing-service-name"])
        .later(TRACING),
    Setting::new("distributed-tracing-instance-id", Kind::Text, "", "Instance id in traces.")
        .old(&["experimental-distributed-tracing-instance-id"])
        .later(TRACING),
    Setting::new(
        "distributed-tracing-sampling-rate",
        Kind::Int,
        "0",
        "Traces sampled per million requests.",
    )
    .old(&["experimental-distributed-tracing-sampling-rate"])
    .later(TRACING),
];
