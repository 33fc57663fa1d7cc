//! How long the store takes, under the names etcd has for its own.

use std::time::Duration;

use crate::telemetry::metrics::{Histogram, Registry, buckets};

/// Histograms of what the store does.
#[derive(Clone)]
pub(super) struct Disk {
    /// Commits of batches: of applied entries, and of steps of compactions.
    pub(super) commit: Histogram,
    snapshot_sync: Histogram,
    snapshot_save: Histogram,
}

impl Disk {
    pub(super) fn new(registry: &Registry) -> Self {
        let histogram = |name, help| registry.histogram(name, help, buckets::disk());
        Self {
            commit: histogram(
                "etcd_disk_backend_commit_duration_seconds",
                "How long commits of batches to the store took, in seconds.",
            ),
            snapshot_sync: histogram(
                "etcd_snap_fsync_duration_seconds",
                "How long syncing the state for a snapshot of the log took, in seconds.",
            ),
            snapshot_save: histogram(
                "etcd_debugging_snap_save_total_duration_seconds",
                "How long snapshots of the log took, in seconds: as long as their syncs.",
            ),
        }
    }

    /// Counts one snapshot of the log: everything applied made durable.
    pub(super) fn snapshot(&self, took: Duration) {
        self.snapshot_sync.observe(took.as_secs_f64());
        self.snapshot_save.observe(took.as_secs_f64());
    }
}
