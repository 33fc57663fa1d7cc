//! What the hub counts, under etcd's names.

use crate::telemetry::metrics::{IntCounter, IntGauge, Registry};

/// Counters and gauges of one hub.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) events: IntCounter,
    pub(super) pending: IntGauge,
    pub(super) behind: IntGauge,
    pub(super) streams: IntGauge,
    pub(super) watchers: IntGauge,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            events: registry.counter(
                "etcd_debugging_mvcc_events_total",
                "Total number of events sent by this member.",
            ),
            pending: registry.gauge(
                "etcd_debugging_mvcc_pending_events_total",
                "Total number of pending events to be sent.",
            ),
            behind: registry.gauge(
                "etcd_debugging_mvcc_slow_watcher_total",
                "Total number of unsynced slow watchers.",
            ),
            streams: registry
                .gauge("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams."),
            watchers: registry
                .gauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers."),
        }
    }
}
