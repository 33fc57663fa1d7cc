//! What goes between members, counted under etcd's names. A member appears when it is first heard of.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::telemetry::metrics::{
    HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, buckets,
};
use crate::types::ids::MemberId;

/// What is counted of the other members.
#[derive(Clone, Debug)]
pub(crate) struct PeerMetrics {
    sent: IntCounterVec,
    received: IntCounterVec,
    sent_failures: IntCounterVec,
    received_failures: IntCounterVec,
    round_trip: HistogramVec,
    active: IntGaugeVec,
    disconnected: IntCounterVec,
    /// Whole states that are sent.
    pub(super) sending: Transfers,
    /// Whole states that are received.
    pub(super) receiving: Transfers,
}

impl PeerMetrics {
    /// Registers everything with `registry`.
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name, help, label| registry.counter_vec(name, help, &[label]);
        Self {
            sent: counter("etcd_network_peer_sent_bytes_total", "Bytes sent to members.", "To"),
            received: counter(
                "etcd_network_peer_received_bytes_total",
                "Bytes received from members.",
                "From",
            ),
            sent_failures: counter(
                "etcd_network_peer_sent_failures_total",
                "Messages to members that were not answered.",
                "To",
            ),
            received_failures: counter(
                "etcd_network_peer_received_failures_total",
                "Messages of members that could not be read.",
                "From",
            ),
            round_trip: registry.histogram_vec(
                "etcd_network_peer_round_trip_time_seconds",
                "Time from a question to a member to its answer.",
                buckets::round_trip(),
                &["To"],
            ),
            active: registry.gauge_vec(
                "etcd_network_active_peers",
                "1 while a member is connected.",
                &["Local", "Remote"],
            ),
            disconnected: registry.counter_vec(
                "etcd_network_disconnected_peers_total",
                "How often all connections to a member were lost.",
                &["Local", "Remote"],
            ),
            sending: Transfers::new(registry, "send", "To"),
            receiving: Transfers::new(registry, "receive", "From"),
        }
    }

    /// What goes to and comes from a member: on connections to it every byte, on its own connections
    /// the messages, since only those say who sends them.
    pub(super) fn traffic(&self, member: MemberId) -> Traffic {
        let labels = [member.to_string()];
        Traffic {
            sent: self.sent.with_label_values(&labels),
            received: self.received.with_label_values(&labels),
        }
    }

    /// A single message of so many bytes came from a member.
    pub(super) fn heard(&self, from: MemberId, bytes: usize) {
        self.received.with_label_values(&[&from.to_string()]).inc_by(bytes as u64);
    }

    /// A message to a member was lost, or was not answered in time.
    pub(super) fn not_sent(&self, to: MemberId) {
        self.sent_failures.with_label_values(&[&to.to_string()]).inc();
    }

    /// A message of a member made no sense.
    pub(super) fn not_received(&self, from: MemberId) {
        self.received_failures.with_label_values(&[&from.to_string()]).inc();
    }

    /// A member answered after this time.
    pub(super) fn answered(&self, to: MemberId, took: Duration) {
        self.round_trip.with_label_values(&[&to.to_string()]).observe(took.as_secs_f64());
    }

    /// Counts the connections of `local` to `remote`.
    pub(super) fn presence(&self, local: MemberId, remote: MemberId) -> Presence {
        let labels = [local.to_string(), remote.to_string()];
        let active = self.active.with_label_values(&labels);
        Presence {
            connections: Arc::default(),
            active,
            disconnected: self.disconnected.clone(),
            labels: Arc::new(labels),
        }
    }
}

/// Bytes that go to and come from one member.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    sent: IntCounter,
    received: IntCounter,
}

impl Traffic {
    /// So many went there.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    /// So many came from there.
    pub(super) fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }
}

/// Whether a member is connected: it is as long as any connection to it is there. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Presence {
    connections: Arc<Mutex<usize>>,
    active: IntGauge,
    disconnected: IntCounterVec,
    labels: Arc<[String; 2]>,
}

/// One connection that is there; gone when dropped.
#[derive(Debug)]
pub(super) struct Connected(Presence);

impl Presence {
    /// One more connection is there.
    pub(super) fn connected(&self) -> Connected {
        let mut connections = self.connections.lock();
        *connections += 1;
        self.active.set(1);
        Connected(self.clone())
    }

    /// Whether any connection is there.
    pub(super) fn is_connected(&self) -> bool {
        *self.connections.lock() > 0
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut connections = self.0.connections.lock();
        *connections = connections.saturating_sub(1);
        if *connections == 0 {
            self.0.active.set(0);
            self.0.disconnected.with_label_values(&*self.0.labels).inc();
        }
    }
}

/// Whole states on their way in one direction.
#[derive(Clone, Debug)]
pub(super) struct Transfers {
    running: IntGaugeVec,
    succeeded: IntCounterVec,
    failed: IntCounterVec,
    seconds: HistogramVec,
}

/// One transfer; it failed unless it is said to have succeeded.
pub(super) struct Transferring<'a> {
    transfers: &'a Transfers,
    member: String,
    succeeded: bool,
}

impl Transfers {
    fn new(registry: &Registry, way: &str, label: &str) -> Self {
        let name = |what: &str| format!("etcd_network_snapshot_{way}_{what}");
        let help = |what: &str| format!("Whole states, by member: {what}.");
        Self {
            running: registry.gauge_vec(&name("inflights_total"), &help("under way"), &[label]),
            succeeded: registry.counter_vec(&name("success"), &help("arrived"), &[label]),
            failed: registry.counter_vec(&name("failures"), &help("broken off"), &[label]),
            seconds: registry.histogram_vec(
                &name("total_duration_seconds"),
                &help("time until they had arrived"),
                buckets::defrag(),
                &[label],
            ),
        }
    }

    /// A transfer begins; it ends with the value.
    pub(super) fn begin(&self, member: MemberId) -> Transferring<'_> {
        let member = member.to_string();
        self.running.with_label_values(&[&member]).inc();
        Transferring { transfers: self, member, succeeded: false }
    }
}

impl Transferring<'_> {
    /// It arrived after this time.
    pub(super) fn succeeded(mut self, took: Duration) {
        self.succeeded = true;
        let labels = [self.member.as_str()];
        self.transfers.succeeded.with_label_values(&labels).inc();
        self.transfers.seconds.with_label_values(&labels).observe(took.as_secs_f64());
    }
}

impl Drop for Transferring<'_> {
    fn drop(&mut self) {
        let labels = [self.member.as_str()];
        self.transfers.running.with_label_values(&labels).dec();
        if !self.succeeded {
            self.transfers.failed.with_label_values(&labels).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: MemberId = MemberId(0xa);
    const TWO: MemberId = MemberId(0xb);

    fn shows(registry: &Registry, line: &str) -> bool {
        registry.render().lines().any(|shown| shown == line)
    }

    #[test]
    fn a_member_shows_once_it_is_heard_of() {
        let registry = Registry::new();
        let metrics = PeerMetrics::new(&registry);
        assert_eq!(registry.render(), "");
        metrics.traffic(TWO).sent(7);
        metrics.not_received(TWO);
        assert!(shows(&registry, "etcd_network_peer_sent_bytes_total{To=\"b\"} 7"));
        assert!(shows(&registry, "etcd_network_peer_received_failures_total{From=\"b\"} 1"));
        assert!(!registry.render().contains("round_trip"));
        metrics.answered(TWO, Duration::from_micros(150));
        let bucket = "etcd_network_peer_round_trip_time_seconds_bucket{To=\"b\",le=\"0.0002\"} 1";
        assert!(shows(&registry, bucket), "{}", registry.render());
    }

    #[test]
    fn a_member_is_there_as_long_as_any_connection_is() {
        let registry = Registry::new();
        let presence = PeerMetrics::new(&registry).presence(ONE, TWO);
        let active =
            |now: u32| format!("etcd_network_active_peers{{Local=\"a\",Remote=\"b\"}} {now}");
        let (first, second) = (presence.connected(), presence.connected());
        drop(first);
        assert!(shows(&registry, &active(1)));
        assert!(!registry.render().contains("disconnected"));
        drop(second);
        assert!(shows(&registry, &active(0)));
        let lost = "etcd_network_disconnected_peers_total{Local=\"a\",Remote=\"b\"} 1";
        assert!(shows(&registry, lost));
    }

    #[test]
    fn a_transfer_has_failed_unless_it_is_said_to_have_arrived() {
        let registry = Registry::new();
        let metrics = PeerMetrics::new(&registry);
        let first = metrics.sending.begin(TWO);
        assert!(shows(&registry, "etcd_network_snapshot_send_inflights_total{To=\"b\"} 1"));
        drop(first);
        metrics.sending.begin(TWO).succeeded(Duration::from_secs(1));
        assert!(shows(&registry, "etcd_network_snapshot_send_inflights_total{To=\"b\"} 0"));
        assert!(shows(&registry, "etcd_network_snapshot_send_failures{To=\"b\"} 1"));
        assert!(shows(&registry, "etcd_network_snapshot_send_success{To=\"b\"} 1"));
    }
}
