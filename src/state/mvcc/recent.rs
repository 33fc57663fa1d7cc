//! The newest revisions with their events, kept in memory for watchers.
//!
//! Watchers pull from here when they keep up and from the records when they do not; apply pushes
//! and never waits for either.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::proto::mvccpb::Event;
use crate::types::revision::Revision;

/// What one write transaction changed.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionEvents {
    /// The main revision of the transaction.
    pub revision: i64,
    /// The changes in order; `prev_kv` is not filled.
    pub events: Vec<Event>,
    /// For each event the record that held the key's value before this transaction, if it had one.
    /// It may have been compacted meanwhile.
    pub prev: Vec<Option<Revision>>,
}

impl RevisionEvents {
    fn weight(&self) -> usize {
        let events: usize = self.events.iter().map(event_weight).sum();
        events + size_of::<Self>()
    }
}

fn event_weight(event: &Event) -> usize {
    let content = event.kv.as_ref().map_or(0, |kv| kv.key.len() + kv.value.len());
    content + size_of::<Event>() + size_of::<Option<Revision>>()
}

#[derive(Debug)]
struct Ring {
    batches: VecDeque<Arc<RevisionEvents>>,
    /// Every revision from here on is in `batches`.
    first: i64,
    bytes: usize,
}

/// A bounded memory of the newest revisions; clones share it.
#[derive(Clone, Debug)]
pub struct Recent {
    ring: Arc<RwLock<Ring>>,
    budget: usize,
    published: Arc<watch::Sender<i64>>,
    compacted: Arc<watch::Sender<i64>>,
}

impl Recent {
    /// Entries kept at most; beyond this a reader that copies the list would hold the lock too long.
    const MOST: usize = 16 * 1024;

    /// An empty memory of a store at `revision` that is compacted at `compacted`. `budget` bounds
    /// the bytes it holds on to.
    pub(in crate::state) fn new(revision: i64, compacted: i64, budget: usize) -> Self {
        let ring = Ring { batches: VecDeque::new(), first: revision + 1, bytes: 0 };
        Self {
            ring: Arc::new(RwLock::new(ring)),
            budget,
            published: Arc::new(watch::Sender::new(revision)),
            compacted: Arc::new(watch::Sender::new(compacted)),
        }
    }

    /// Appends committed transactions, in order, and tells whoever waits.
    pub(in crate::state) fn push(&self, batches: Vec<Arc<RevisionEvents>>) {
        let Some(newest) = batches.last().map(|batch| batch.revision) else { return };
        let mut dropped = Vec::new();
        {
            let mut ring = self.ring.write();
            for batch in batches {
                ring.bytes += batch.weight();
                ring.batches.push_back(batch);
            }
            while ring.batches.len() > Self::MOST || ring.bytes > self.budget {
                let Some(oldest) = ring.batches.pop_front() else { break };
                ring.bytes -= oldest.weight();
                ring.first = oldest.revision + 1;
                dropped.push(oldest);
            }
        }
        // What is dropped may be large: freed here, after the lock.
        drop(dropped);
        self.published.send_replace(newest);
    }

    /// Tells whoever waits that revisions below `at` are gone.
    pub(in crate::state) fn compacted_to(&self, at: i64) {
        self.compacted.send_replace(at);
    }

    /// Forgets everything, because the store has become another one at `revision` that is compacted
    /// at `compacted`. Whoever has not come so far reads from history.
    pub(in crate::state) fn restart(&self, revision: i64, compacted: i64) {
        let dropped = {
            let mut ring = self.ring.write();
            ring.first = revision + 1;
            ring.bytes = 0;
            std::mem::take(&mut ring.batches)
        };
        drop(dropped);
        self.compacted.send_replace(compacted);
        self.published.send_replace(revision);
    }

    /// All transactions at or above main revision `rev`; `None` when some of them have been
    /// dropped, in which case read them from history.
    pub fn since(&self, rev: i64) -> Option<Vec<Arc<RevisionEvents>>> {
        let ring = self.ring.read();
        if rev < ring.first {
            return None;
        }
        let from = ring.batches.partition_point(|batch| batch.revision < rev);
        Some(ring.batches.range(from..).cloned().collect())
    }

    /// Wakes on every published revision; its value is the newest one. The events of that revision
    /// can be read by then.
    pub fn revisions(&self) -> watch::Receiver<i64> {
        self.published.subscribe()
    }

    /// Wakes when a compaction is accepted; its value is the compacted revision, -1 for none.
    pub fn compactions(&self) -> watch::Receiver<i64> {
        self.compacted.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::mvccpb::KeyValue;

    fn batch(revision: i64, bytes: usize) -> Arc<RevisionEvents> {
        let kv = KeyValue { value: vec![0; bytes].into(), ..Default::default() };
        let events = vec![Event { kv: Some(kv), ..Default::default() }];
        Arc::new(RevisionEvents { revision, events, prev: vec![None] })
    }

    fn revisions(recent: &Recent, since: i64) -> Option<Vec<i64>> {
        Some(recent.since(since)?.iter().map(|batch| batch.revision).collect())
    }

    #[test]
    fn gives_what_it_has_and_says_when_it_has_not() {
        let recent = Recent::new(5, -1, 1 << 20);
        assert_eq!(revisions(&recent, 5), None);
        assert_eq!(revisions(&recent, 6), Some(vec![]));
        recent.push(vec![batch(6, 1), batch(7, 1)]);
        assert_eq!(revisions(&recent, 6), Some(vec![6, 7]));
        assert_eq!(revisions(&recent, 7), Some(vec![7]));
        assert_eq!(revisions(&recent, 9), Some(vec![]));
        assert_eq!(*recent.revisions().borrow(), 7);
    }

    #[test]
    fn drops_the_oldest_above_its_budget() {
        let recent = Recent::new(1, -1, 5000);
        recent.push((2..10).map(|revision| batch(revision, 1000)).collect());
        let held = revisions(&recent, 9).unwrap();
        assert_eq!(held, [9]);
        assert_eq!(revisions(&recent, 2), None);
        let first = (2..10).find(|rev| recent.since(*rev).is_some()).unwrap();
        assert!(first > 4 && first < 9, "{first}");
        recent.push(vec![batch(10, 10_000)]);
        assert_eq!(revisions(&recent, 10), None, "a batch above the budget is read from history");
        assert_eq!(revisions(&recent, 11), Some(vec![]));
    }

    #[test]
    fn begun_anew_it_holds_nothing_from_before() {
        let recent = Recent::new(1, -1, 1 << 20);
        recent.push(vec![batch(2, 1), batch(3, 1)]);
        recent.restart(9, 4);
        assert_eq!((revisions(&recent, 3), revisions(&recent, 9)), (None, None));
        assert_eq!(revisions(&recent, 10), Some(vec![]));
        assert_eq!((*recent.revisions().borrow(), *recent.compactions().borrow()), (9, 4));
        recent.push(vec![batch(10, 1)]);
        assert_eq!(revisions(&recent, 10), Some(vec![10]));
    }

    #[test]
    fn compactions_are_announced() {
        let recent = Recent::new(9, 3, 100);
        let seen = recent.compactions();
        recent.compacted_to(7);
        assert_eq!(*seen.borrow(), 7);
    }
}
