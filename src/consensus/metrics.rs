//! Metrics of consensus, under etcd's names.

use super::peers::PeerMetrics;
use crate::telemetry::metrics::{IntCounter, IntGauge, Registry};

/// What consensus counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) has_leader: IntGauge,
    pub(crate) is_leader: IntGauge,
    pub(crate) is_learner: IntGauge,
    pub(crate) leader_changes: IntCounter,
    pub(crate) committed: IntGauge,
    pub(crate) applied: IntGauge,
    pub(crate) failed: IntCounter,
    pub(crate) slow_applies: IntCounter,
    pub(crate) slow_reads: IntCounter,
    pub(crate) failed_reads: IntCounter,
    pending: IntGauge,
    installing: IntGauge,
    /// What goes between members.
    pub(crate) peers: PeerMetrics,
}

/// Counts a proposal as pending, or a snapshot as being installed, until dropped.
pub(crate) struct Pending<'a>(&'a IntGauge);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Registers everything with `registry`.
    pub(crate) fn new(registry: &Registry) -> Self {
        // Never moved by this implementation, but dashboards expect the series to exist.
        registry.counter(
            "etcd_server_heartbeat_send_failures_total",
            "Heartbeats of the leader that were not sent in time.",
        );
        registry
            .counter("etcd_server_learner_promote_successes", "Learners promoted by this leader.");
        Self {
            has_leader: registry.gauge("etcd_server_has_leader", "1 if a leader is known."),
            is_leader: registry.gauge("etcd_server_is_leader", "1 if this member leads."),
            is_learner: registry.gauge("etcd_server_is_learner", "1 if this member is a learner."),
            leader_changes: registry
                .counter("etcd_server_leader_changes_seen_total", "Changes of leader seen."),
            committed: registry
                .gauge("etcd_server_proposals_committed_total", "Newest committed log entry."),
            applied: registry
                .gauge("etcd_server_proposals_applied_total", "Newest applied log entry."),
            failed: registry.counter("etcd_server_proposals_failed_total", "Failed proposals."),
            slow_applies: registry.counter(
                "etcd_server_slow_apply_total",
                "Batches that took longer to apply than the warning threshold.",
            ),
            slow_reads: registry.counter(
                "etcd_server_slow_read_indexes_total",
                "Linearizable reads that were not confirmed in time.",
            ),
            failed_reads: registry.counter(
                "etcd_server_read_indexes_failed_total",
                "Linearizable reads that failed.",
            ),
            peers: PeerMetrics::new(registry),
            installing: registry.gauge(
                "etcd_server_snapshot_apply_in_progress_total",
                "1 while a snapshot from the leader is applied.",
            ),
            pending: registry
                .gauge("etcd_server_proposals_pending", "Proposals without an outcome yet."),
        }
    }

    /// Counts a snapshot as being installed for as long as the guard lives.
    pub(crate) fn installing(&self) -> Pending<'_> {
        self.installing.inc();
        Pending(&self.installing)
    }

    /// Counts one more pending proposal for as long as the guard lives.
    pub(crate) fn pending(&self) -> Pending<'_> {
        self.pending.inc();
        Pending(&self.pending)
    }
}
