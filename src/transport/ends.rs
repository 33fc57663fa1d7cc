//! When the certificates of connected clients end: the first of them is a metric, so that a client
//! that forgot to renew is seen before it stays outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::telemetry::metrics::{IntGauge, IntGaugeVec, Registry};

/// The ends of certificates by listener; clones share them.
#[derive(Clone)]
pub(super) struct ClientEnds {
    first: IntGaugeVec,
    open: Arc<Mutex<Open>>,
}

/// How many open connections showed a certificate that ends at this second, by listener.
type Open = BTreeMap<(&'static str, i64), usize>;

impl ClientEnds {
    pub(super) fn new(registry: &Registry) -> Self {
        let first = registry.gauge_vec(
            "etcd_rs_tls_client_certificate_first_not_after_timestamp_seconds",
            "The end of validity of the certificate that ends first among those connected clients \
             showed, by listener, Unix seconds; zero while nobody is connected with one.",
            &["listener"],
        );
        Self { first, open: Arc::default() }
    }

    /// Counts a connection until the answer is dropped.
    pub(super) fn enter(&self, listener: &'static str, not_after: i64) -> ClientEnd {
        let first = self.first.with_label_values(&[listener]);
        let end = ClientEnd { first, open: Arc::clone(&self.open), place: (listener, not_after) };
        let mut open = self.open.lock();
        *open.entry(end.place).or_default() += 1;
        end.show(&open);
        drop(open);
        end
    }
}

/// One connection's part.
pub(super) struct ClientEnd {
    first: IntGauge,
    open: Arc<Mutex<Open>>,
    place: (&'static str, i64),
}

impl ClientEnd {
    fn show(&self, open: &Open) {
        let listener = self.place.0;
        let first = open.range((listener, i64::MIN)..=(listener, i64::MAX)).next();
        self.first.set(first.map_or(0, |((_, end), _)| *end));
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.place);
            }
        }
        self.show(&open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_of_each_listener_is_shown_while_it_is_connected() {
        let ends = ClientEnds::new(&Registry::new());
        let shown = |listener: &str| ends.first.with_label_values(&[listener]).get();
        let late = ends.enter("client", 300);
        let (early, again) = (ends.enter("client", 100), ends.enter("client", 100));
        let peer = ends.enter("peer", 50);
        assert_eq!((shown("client"), shown("peer")), (100, 50));
        drop(early);
        assert_eq!(shown("client"), 100);
        drop(again);
        assert_eq!(shown("client"), 300);
        drop((late, peer));
        assert_eq!((shown("client"), shown("peer")), (0, 0));
    }
}
