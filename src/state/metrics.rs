//! What the state tells about itself, under etcd's names.

mod applies;
mod disk;

use std::sync::Arc;
use std::time::Duration;

use applies::Applies;
use disk::Disk;

use super::mvcc::recent::RevisionEvents;
use super::outcome::{Outcome, Response};
use super::shared::Published;
use crate::proto::internal::Request;
use crate::proto::mvccpb::event::EventType;
use crate::telemetry::metrics::{Histogram, IntCounter, IntGauge, IntGaugeVec, Registry, buckets};

/// The metrics of the state machine and its readers.
pub(super) struct Metrics {
    applies: Applies,
    cluster_version: IntGaugeVec,
    disk: Disk,
    puts: IntCounter,
    put_bytes: IntGauge,
    deletes: IntCounter,
    txns: IntCounter,
    ranges: IntCounter,
    ranges_legacy: IntCounter,
    keys: IntGauge,
    revision: IntGauge,
    auth_revision: IntGauge,
    compact_revision: IntGauge,
    in_use: IntGauge,
    allocated: IntGauge,
    compaction: Compaction,
    leases: Leases,
    hash: Histogram,
}

struct Compaction {
    records: IntCounter,
    index_step: Histogram,
    step: Histogram,
    total: Histogram,
    last: IntGauge,
}

struct Leases {
    granted: IntCounter,
    revoked: IntCounter,
    ttl: Histogram,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| registry.counter(name, help);
        let gauge = |name: &str, help: &str| registry.gauge(name, help);
        Self {
            applies: Applies::new(registry),
            cluster_version: registry.gauge_vec(
                "etcd_cluster_version",
                "1 for the version the cluster works at.",
                &["cluster_version"],
            ),
            disk: Disk::new(registry),
            puts: counter("etcd_mvcc_put_total", "Keys put by this member."),
            put_bytes: gauge(
                "etcd_debugging_mvcc_total_put_size_in_bytes",
                "Bytes of keys and values put by this member.",
            ),
            deletes: counter("etcd_mvcc_delete_total", "Keys deleted by this member."),
            txns: counter("etcd_mvcc_txn_total", "Transactions applied by this member."),
            ranges: counter("etcd_mvcc_range_total", "Ranges read from this member."),
            ranges_legacy: counter(
                "etcd_debugging_mvcc_range_total",
                "Ranges read from this member, under the older name.",
            ),
            keys: gauge("etcd_debugging_mvcc_keys_total", "Keys that exist now."),
            revision: gauge("etcd_debugging_mvcc_current_revision", "The store's revision."),
            auth_revision: gauge(
                "etcd_debugging_auth_revision",
                "Counts the changes of users and roles.",
            ),
            compact_revision: gauge(
                "etcd_debugging_mvcc_compact_revision",
                "The compacted revision.",
            ),
            in_use: gauge(
                "etcd_mvcc_db_total_size_in_use_in_bytes",
                "Bytes of live records, which the space quota counts.",
            ),
            allocated: gauge("etcd_mvcc_db_total_size_in_bytes", "Bytes the state takes on disk."),
            compaction: Compaction::new(registry),
            leases: Leases::new(registry),
            hash: registry.histogram(
                "etcd_mvcc_hash_rev_duration_seconds",
                "How long hashes over the store took, in seconds.",
                buckets::hash(),
            ),
        }
    }

    /// Counts what a request came to and how long that took, without the commit.
    pub(super) fn applied(&self, request: &Request, outcome: &Outcome, took: Duration) {
        if let Some(op) = &request.op {
            self.applies.observe(op, outcome.result.is_ok(), took);
        }
        match &outcome.result {
            // etcd counts only what changes or reads more than one thing.
            Ok(Response::Txn(response)) if response.responses.len() > 1 => self.txns.inc(),
            Ok(Response::LeaseGrant(grant)) => {
                self.leases.granted.inc();
                self.leases.ttl.observe(grant.ttl as f64);
            }
            Ok(Response::LeaseRevoke) => self.leases.revoked.inc(),
            _ => {}
        }
    }

    /// Shows the version the cluster agreed on, such as `3.5.0`, as etcd does: without its patch.
    pub(super) fn cluster_version(&self, version: Option<&str>) {
        self.cluster_version.reset();
        if let Some(version) = version {
            let (short, _) = version.rsplit_once('.').unwrap_or((version, ""));
            self.cluster_version.with_label_values(&[short]).set(1);
        }
    }

    /// Counts one commit to the store.
    pub(super) fn commit(&self, took: Duration) {
        self.disk.commit.observe(took.as_secs_f64());
    }

    /// Counts one snapshot of the log: everything applied made durable.
    pub(super) fn snapshot(&self, took: Duration) {
        self.disk.snapshot(took);
    }

    /// Counts committed changes.
    pub(super) fn events(&self, batches: &[Arc<RevisionEvents>]) {
        let (mut puts, mut deletes, mut bytes) = (0, 0, 0);
        for event in batches.iter().flat_map(|batch| &batch.events) {
            if event.r#type == EventType::Delete as i32 {
                deletes += 1;
            } else {
                puts += 1;
                bytes += event.kv.as_ref().map_or(0, |kv| kv.key.len() + kv.value.len());
            }
        }
        self.puts.inc_by(puts);
        self.deletes.inc_by(deletes);
        self.put_bytes.add(bytes.cast_signed() as i64);
    }

    /// Shows a newly published state.
    pub(super) fn published(&self, state: &Published) {
        self.keys.set(state.root.len().cast_signed());
        self.revision.set(state.revision);
        self.auth_revision.set(state.auth.revision().cast_signed());
        self.compact_revision.set(state.compacted.max(0));
        self.in_use.set(state.live.cast_signed());
    }

    /// Shows how much disk the state takes.
    pub(super) fn allocated(&self, bytes: u64) {
        self.allocated.set(bytes.cast_signed());
    }

    /// Counts one range.
    pub(super) fn range(&self) {
        self.ranges.inc();
        self.ranges_legacy.inc();
    }

    /// Counts one step of a compaction through the index.
    pub(super) fn compaction_index_step(&self, took: Duration) {
        self.compaction.index_step.observe(took.as_secs_f64() * 1000.0);
    }

    /// Counts one step of a compaction.
    pub(super) fn compaction_step(&self, took: Duration, deleted: u64) {
        self.compaction.step.observe(took.as_secs_f64() * 1000.0);
        self.compaction.records.inc_by(deleted);
    }

    /// Counts a whole compaction that ended at `now`, since the Unix epoch.
    pub(super) fn compaction(&self, took: Duration, now: Duration) {
        self.compaction.total.observe(took.as_secs_f64() * 1000.0);
        self.compaction.last.set(now.as_secs().cast_signed());
    }

    /// Counts one hash over the store.
    pub(super) fn hash(&self, took: Duration) {
        self.hash.observe(took.as_secs_f64());
    }
}

impl Compaction {
    fn new(registry: &Registry) -> Self {
        Self {
            records: registry.counter(
                "etcd_debugging_mvcc_db_compaction_keys_total",
                "Records deleted by compactions.",
            ),
            index_step: registry.histogram(
                "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
                "How long steps of compactions through the index took, in milliseconds.",
                buckets::compaction_pause_ms(0.5, 14),
            ),
            step: registry.histogram(
                "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
                "How long steps of compactions held up apply, in milliseconds.",
                buckets::compaction_pause_ms(1.0, 13),
            ),
            total: registry.histogram(
                "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
                "How long compactions took from first to last step, in milliseconds.",
                buckets::compaction_total_ms(),
            ),
            last: registry.gauge(
                "etcd_debugging_mvcc_db_compaction_last",
                "When the newest compaction ended, Unix seconds; 0 before the first since the start.",
            ),
        }
    }
}

impl Leases {
    fn new(registry: &Registry) -> Self {
        Self {
            granted: registry.counter("etcd_debugging_lease_granted_total", "Leases granted."),
            revoked: registry.counter("etcd_debugging_lease_revoked_total", "Leases revoked."),
            ttl: registry.histogram(
                "etcd_debugging_lease_ttl_total",
                "Times to live of granted leases, in seconds.",
                buckets::lease_ttl(),
            ),
        }
    }
}
