//! When the certificates of clients end: the first of those that are known is a metric, so that a client
//! that forgot to renew is seen before it stays outside. A client is known for a day after it left: some
//! come once a night.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::telemetry::metrics::{IntGaugeVec, Registry};

/// How long a certificate is known after its last connection ended.
const KEPT: Duration = Duration::from_secs(86_400);
/// Certificates known beside those of open connections.
const MOST: usize = 4096;

/// The ends of certificates by listener; clones share them.
#[derive(Clone)]
pub(super) struct ClientEnds {
    first: IntGaugeVec,
    left: IntGaugeVec,
    known: Arc<Mutex<BTreeMap<Shown, Seen>>>,
}

/// A certificate, by listener and by its end first.
type Shown = (&'static str, i64, String);

/// Where a certificate was seen.
struct Seen {
    /// Open connections that showed it.
    open: usize,
    /// When the last of them was opened or closed.
    at: Instant,
}

impl ClientEnds {
    pub(super) fn new(registry: &Registry) -> Self {
        let first = registry.gauge_vec(
            "etcd_rs_tls_client_certificate_first_not_after_timestamp_seconds",
            "The end of validity of the certificate that ends first among those clients showed within a \
             day, by listener, Unix seconds; zero when there was none.",
            &["listener"],
        );
        let left = registry.gauge_vec(
            "etcd_rs_tls_client_certificate_first_expires_in_seconds",
            "The seconds until the first certificate that clients showed within a day expires, by \
             listener; negative when it has.",
            &["listener"],
        );
        Self { first, left, known: Arc::default() }
    }

    /// Counts a connection until the answer is dropped.
    pub(super) fn enter(
        &self,
        listener: &'static str,
        (not_after, serial): (i64, &str),
        now: Instant,
    ) -> ClientEnd {
        let shown = (listener, not_after, serial.to_owned());
        let mut known = self.known.lock();
        let seen = known.entry(shown.clone()).or_insert(Seen { open: 0, at: now });
        (seen.open, seen.at) = (seen.open + 1, now);
        self.show(listener, &known);
        drop(known);
        ClientEnd { ends: self.clone(), shown }
    }

    fn leave(&self, shown: &Shown, now: Instant) {
        let mut known = self.known.lock();
        if let Some(seen) = known.get_mut(shown) {
            (seen.open, seen.at) = (seen.open - 1, now);
            if seen.open == 0 && known.len() > MOST {
                known.remove(shown);
            }
        }
        self.show(shown.0, &known);
    }

    /// Forgets who has not been here for a day, or could not come any more; tells how long the first of
    /// the others has left. `unix` is the same moment since the Unix epoch.
    pub(super) fn look(&self, now: Instant, unix: Duration) {
        let unix = unix.as_secs().cast_signed();
        let mut known = self.known.lock();
        let mut listeners: Vec<&'static str> =
            known.keys().map(|(listener, ..)| *listener).collect();
        listeners.dedup();
        known.retain(|(_, not_after, _), seen| {
            let is_recent = now.saturating_duration_since(seen.at) < KEPT && *not_after >= unix;
            seen.open > 0 || is_recent
        });
        for listener in listeners {
            self.show(listener, &known);
            let left = self.left.with_label_values(&[listener]);
            match first(listener, &known) {
                Some(end) => left.set(end - unix),
                // Nobody has any time left, which no number tells.
                None => drop(self.left.remove_label_values(&[listener])),
            }
        }
    }

    fn show(&self, listener: &'static str, known: &BTreeMap<Shown, Seen>) {
        self.first.with_label_values(&[listener]).set(first(listener, known).unwrap_or_default());
    }
}

/// The end that comes first.
fn first(listener: &'static str, known: &BTreeMap<Shown, Seen>) -> Option<i64> {
    let mut own = known.range((listener, i64::MIN, String::new())..);
    own.next().filter(|((found, ..), _)| *found == listener).map(|((_, end, _), _)| *end)
}

/// One connection's part.
pub(super) struct ClientEnd {
    ends: ClientEnds,
    shown: Shown,
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        self.ends.leave(&self.shown, crate::types::clock::Clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::clock::Clock;

    #[test]
    fn the_first_end_of_each_listener_is_shown_until_it_was_away_for_a_day() {
        let (ends, now) = (ClientEnds::new(&Registry::new()), Clock.now());
        let shown = |listener: &str| ends.first.with_label_values(&[listener]).get();
        let left = |listener: &str| ends.left.with_label_values(&[listener]).get();
        let late = ends.enter("client", (300, "a"), now);
        let early = ends.enter("client", (100, "b"), now);
        let again = ends.enter("client", (100, "b"), now);
        let peer = ends.enter("peer", (50, "c"), now);
        let second = Duration::from_secs(1);
        ends.look(now, 40 * second);
        assert_eq!((shown("client"), shown("peer")), (100, 50));
        assert_eq!((left("client"), left("peer")), (60, 10));
        drop((early, again));
        ends.look(now + KEPT / 2, 41 * second);
        assert_eq!((shown("client"), left("client")), (100, 59), "it was here today");
        ends.look(Clock.now() + KEPT + second, 42 * second);
        assert_eq!((shown("client"), left("client")), (300, 258), "it was not here for a day");
        // What is over and still connected is the first thing to know.
        ends.look(now, 60 * second);
        assert_eq!(left("peer"), -10);
        drop((late, peer));
        ends.look(now, 60 * second);
        assert_eq!(
            (shown("client"), shown("peer")),
            (300, 0),
            "nobody comes again with what is over"
        );
        ends.look(Clock.now() + KEPT + second, 61 * second);
        assert_eq!(shown("client"), 0);
    }

    #[test]
    fn of_many_that_left_only_some_are_kept() {
        let (ends, now) = (ClientEnds::new(&Registry::new()), Clock.now());
        for serial in 0..2 * MOST {
            drop(ends.enter("client", (100, &serial.to_string()), now));
        }
        assert_eq!(ends.known.lock().len(), MOST);
    }
}
