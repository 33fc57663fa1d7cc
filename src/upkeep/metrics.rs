//! Metrics of upkeep, under etcd's names.

use crate::telemetry::metrics::{IntCounter, Registry};

/// What the lessor does; grants and revocations are counted where they are applied.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) renewed: IntCounter,
    pub(super) expired: IntCounter,
}

impl Metrics {
    /// Registers everything with `registry`.
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            renewed: registry.counter("etcd_debugging_lease_renewed_total", "Renewals of leases."),
            expired: registry
                .counter("etcd_debugging_server_lease_expired_total", "Expired leases."),
        }
    }
}
