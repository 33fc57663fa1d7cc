//! Metrics of upkeep, under etcd's names.

use crate::telemetry::metrics::{Histogram, IntCounter, Registry, buckets};

/// What happens to leases.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) granted: IntCounter,
    pub(super) renewed: IntCounter,
    pub(super) revoked: IntCounter,
    pub(super) expired: IntCounter,
    pub(super) ttl: Histogram,
}

impl Metrics {
    /// Registers everything with `registry`.
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            granted: registry.counter("etcd_debugging_lease_granted_total", "Granted leases."),
            renewed: registry.counter("etcd_debugging_lease_renewed_total", "Renewals of leases."),
            revoked: registry.counter("etcd_debugging_lease_revoked_total", "Revoked leases."),
            expired: registry
                .counter("etcd_debugging_server_lease_expired_total", "Expired leases."),
            ttl: registry.histogram(
                "etcd_debugging_lease_ttl_total",
                "Granted times to live, in seconds.",
                buckets::lease_ttl(),
            ),
        }
    }
}
