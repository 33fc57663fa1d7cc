//! What is counted about sockets and certificates.

use super::ends::ClientEnds;
use crate::telemetry::metrics::{
    HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, buckets,
};
use crate::types::clock::Clock;
use crate::types::url::Url;

/// Counters of all listeners of a node; made once per registry, clones share them.
#[derive(Clone)]
pub struct Metrics {
    /// Open connections by listener.
    pub(super) connections: IntGaugeVec,
    /// Handshakes that came to nothing, by listener and reason.
    pub(super) handshake_failures: IntCounterVec,
    /// Seconds from the first byte to an encrypted connection, by listener.
    pub(super) handshake_seconds: HistogramVec,
    /// Reloads by result.
    pub(super) reloads: IntCounterVec,
    /// How many times credentials have been replaced.
    pub(super) generation: IntGauge,
    /// End of each certificate, authority and list in use.
    pub(super) not_after: IntGaugeVec,
    /// Connections closed because their certificate was revoked, by listener.
    pub(super) revoked: IntCounterVec,
    /// The ends of the certificates of clients that are known.
    pub(super) clients: ClientEnds,
    /// Listeners without encryption that are reached from elsewhere.
    plaintext: IntGaugeVec,
}

impl Metrics {
    /// Registers them, or finds them registered.
    pub fn new(registry: &Registry) -> Self {
        Self {
            connections: registry.gauge_vec(
                "etcd_rs_network_connections",
                "The number of open connections by listener.",
                &["listener"],
            ),
            handshake_failures: registry.counter_vec(
                "etcd_rs_tls_handshake_failures_total",
                "The total number of TLS handshakes that failed, by listener and reason.",
                &["listener", "reason"],
            ),
            handshake_seconds: registry.histogram_vec(
                "etcd_rs_tls_handshake_seconds",
                "The duration of successful TLS handshakes in seconds, by listener.",
                buckets::disk(),
                &["listener"],
            ),
            reloads: registry.counter_vec(
                "etcd_rs_tls_reload_total",
                "The total number of times TLS files were read again, by result.",
                &["result"],
            ),
            generation: registry.gauge(
                "etcd_rs_tls_generation",
                "The number of TLS credential sets taken into use since start.",
            ),
            not_after: registry.gauge_vec(
                "etcd_rs_tls_certificate_not_after_timestamp_seconds",
                "The end of validity of a certificate, authority or revocation list in use, Unix \
                 seconds.",
                &["file", "kind"],
            ),
            revoked: registry.counter_vec(
                "etcd_rs_tls_revoked_connections_total",
                "The total number of connections closed because their certificate was revoked, by \
                 listener.",
                &["listener"],
            ),
            clients: ClientEnds::new(registry),
            plaintext: registry.gauge_vec(
                "etcd_rs_network_plaintext_listeners",
                "The number of listeners other machines reach without encryption, by listener.",
                &["listener"],
            ),
        }
    }

    /// Tells how long the certificates of clients that are known have left; to be asked often.
    pub fn look_at_clients(&self) {
        self.clients.look(Clock.now(), Clock.unix());
    }

    /// Counts, for one listener, how many of its URLs other machines reach without encryption.
    pub fn set_plaintext(&self, listener: &str, urls: &[Url]) {
        let open = urls.iter().filter(|url| !url.scheme.is_tls() && !url.is_local()).count();
        let gauge = self.plaintext.with_label_values(&[listener]);
        gauge.set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}
