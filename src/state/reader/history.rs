//! Past changes, read back from the records.

use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use crate::proto::mvccpb::event::EventType;
use crate::proto::mvccpb::{Event, KeyValue};
use crate::state::error::{ReadError, StateError};
use crate::state::mvcc::recent::RevisionEvents;
use crate::state::mvcc::record;
use crate::state::shared::{Published, Shared};
use crate::storage::engine::Space;
use crate::types::range::KeyRange;
use crate::types::revision::Revision;

/// Where a page of history ends at the latest; a revision is never cut, so one large revision may
/// exceed them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Revisions with matching changes.
    pub revisions: usize,
    /// Bytes of keys and values of matching changes.
    pub bytes: usize,
    /// Records looked at, matching or not; bounds the time one call takes.
    pub records: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { revisions: 1000, bytes: 8 << 20, records: 100_000 }
    }
}

/// A piece of history.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Revisions with at least one matching change, ascending, each with the matching ones.
    pub revisions: Vec<Arc<RevisionEvents>>,
    /// The revision to go on from; everything below has been looked at.
    pub next: i64,
}

/// Reads a page; see [`crate::state::Reader::history`].
pub(in crate::state) fn page(
    shared: &Shared,
    range: &KeyRange,
    revisions: RangeInclusive<i64>,
    limits: Limits,
) -> Result<Page, ReadError> {
    let (from, to) = revisions.into_inner();
    let state = shared.published.load_full();
    if from < state.compacted {
        return Err(ReadError::Compacted);
    }
    let to = to.min(state.revision);
    let mut collector = Collector::new(&state, range);
    let low = Revision::new(from, 0).to_bytes();
    let high = Revision::new(to.saturating_add(1), 0).to_bytes();
    let records =
        state.records.engine.scan(Space::Records, Bound::Included(&low), Bound::Excluded(&high));
    let mut next = to.saturating_add(1).max(from);
    for (looked, pair) in records.enumerate() {
        let (key, value) = pair.map_err(StateError::from)?;
        let (at, tombstone) = record::read_key(&key)?;
        if collector.is_full(at.main, looked, limits) {
            next = at.main;
            break;
        }
        collector.add(at, tombstone, record::decode(at, value)?);
    }
    collector.end_revision();
    // Records may have gone while they were read: then the page has holes.
    if from < shared.published.load().compacted {
        return Err(ReadError::Compacted);
    }
    Ok(Page { revisions: collector.done, next })
}

struct Collector<'a> {
    state: &'a Published,
    range: &'a KeyRange,
    open: RevisionEvents,
    done: Vec<Arc<RevisionEvents>>,
    bytes: usize,
}

impl<'a> Collector<'a> {
    fn new(state: &'a Published, range: &'a KeyRange) -> Self {
        let open = RevisionEvents { revision: 0, events: Vec::new(), prev: Vec::new() };
        Self { state, range, open, done: Vec::new(), bytes: 0 }
    }

    /// Whether the page should end before a record of this revision.
    fn is_full(&mut self, revision: i64, looked: usize, limits: Limits) -> bool {
        if revision == self.open.revision {
            return false;
        }
        self.end_revision();
        self.open.revision = revision;
        self.done.len() >= limits.revisions.max(1)
            || self.bytes >= limits.bytes.max(1)
            || looked >= limits.records.max(1)
    }

    fn end_revision(&mut self) {
        if !self.open.events.is_empty() {
            let next = RevisionEvents { revision: 0, events: Vec::new(), prev: Vec::new() };
            self.done.push(Arc::new(std::mem::replace(&mut self.open, next)));
        }
    }

    fn add(&mut self, at: Revision, tombstone: bool, mut kv: KeyValue) {
        if !self.range.contains(&kv.key) {
            return;
        }
        self.bytes += kv.key.len() + kv.value.len();
        let created = !tombstone && kv.version == 1;
        let before = at.main - 1;
        let known = !created && before >= self.state.compacted;
        let prev = known.then(|| self.state.root.get_at(&kv.key, before)).flatten();
        let kind = if tombstone { EventType::Delete } else { EventType::Put };
        if tombstone {
            kv.mod_revision = at.main;
        }
        self.open.events.push(Event { r#type: kind as i32, kv: Some(kv), prev_kv: None });
        self.open.prev.push(prev);
    }
}
