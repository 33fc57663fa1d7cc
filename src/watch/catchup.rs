//! How watchers that are behind reach the present again.
//!
//! A round musters watchers that stand near each other and whose streams have room, reads the
//! revisions they miss once for all of them, and gives each its part as one response. A watcher that
//! has reached the dispatched revision under the lock is live: nothing can slip between.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::core::{Core, places};
use super::limits::{COHORT, REPLAYED_BYTES, REPLAYED_REVISIONS};
use super::outbox::{Item, Part, Revision, kv_bytes};
use crate::state::mvcc::recent::RevisionEvents;
use crate::types::range::KeyRange;

/// Watchers looked at when one round is mustered.
const MUSTERED: usize = 8_192;

/// The watchers of one round and what must be read for them.
#[derive(Debug)]
pub(super) struct Cohort {
    round: u64,
    members: Vec<u32>,
    /// The lowest revision one of them misses.
    pub(super) from: i64,
    /// The newest revision the live watchers had when the round began.
    pub(super) to: i64,
    /// A range that holds all of theirs.
    pub(super) hull: KeyRange,
    /// Whether one of them wants previous values.
    pub(super) prev_kv: bool,
}

impl Core {
    /// Chooses the watchers of the next round; those that lost their place are ended on the way.
    pub(super) fn muster(&mut self, compacted: i64) -> Option<Cohort> {
        let ready = self.ready();
        let first = *ready.first()?;
        self.cursor = first.wrapping_add(1);
        self.round += 1;
        let base = self.watchers.get(first)?.next.max(compacted);
        let reach = base.saturating_add(i64::try_from(REPLAYED_REVISIONS).unwrap_or(i64::MAX));
        let (mut members, mut hull, mut prev_kv) = (Vec::new(), None, false);
        for number in ready {
            let Some(watcher) = self.watchers.get_mut(number) else { continue };
            if watcher.next < compacted {
                self.end_by_compaction(number, compacted);
            } else if (base..=reach).contains(&watcher.next) && members.len() < COHORT {
                watcher.round = self.round;
                prev_kv |= watcher.wishes.prev_kv;
                hull = Some(hull_of(hull, &watcher.range));
                members.push(number);
            }
        }
        // Nobody left means that all were ended: the next round looks at the others.
        let hull = hull.unwrap_or_else(|| KeyRange::Single(Bytes::new()));
        let to = self.dispatched;
        Some(Cohort { round: self.round, members, from: base, to, hull, prev_kv })
    }

    /// Watchers behind whose streams have room, beginning where the last round left off.
    fn ready(&self) -> Vec<u32> {
        let around = self.behind.range(self.cursor..).chain(self.behind.range(..self.cursor));
        around
            .take(MUSTERED)
            .filter(|number| {
                let stream = self.watchers.get(**number).map(|watcher| watcher.stream);
                let entry = stream.and_then(|stream| self.streams.get(stream));
                entry.is_some_and(|entry| entry.outbox.is_ready())
            })
            .copied()
            .collect()
    }

    /// Gives the cohort what it misses up to `end`, all of which is in `revisions`.
    pub(super) fn replay(&mut self, cohort: &Cohort, revisions: &[Arc<Revision>], end: i64) {
        let mut parts: BTreeMap<u32, Vec<Part>> = BTreeMap::new();
        for revision in revisions {
            let at = revision.batch.revision;
            let hits = self.hits(&revision.batch, |watcher| {
                watcher.round == cohort.round && !watcher.live && watcher.next <= at
            });
            for run in hits.chunk_by(|a, b| a.0 == b.0) {
                let Some((number, _)) = run.first() else { continue };
                let part = Part { revision: Arc::clone(revision), places: places(run) };
                parts.entry(*number).or_default().push(part);
            }
            self.recycle(hits);
        }
        for number in &cohort.members {
            let missed = parts.remove(number).unwrap_or_default();
            self.advance(*number, cohort.round, missed, end);
        }
        self.count();
    }

    /// Moves one member past `end`, unless its stream has no room for what it missed.
    fn advance(&mut self, number: u32, round: u64, missed: Vec<Part>, end: i64) {
        // The place may have a new owner, or none, since the round was mustered.
        let Some(watcher) = self.watchers.get_mut(number).filter(|it| it.round == round) else {
            return;
        };
        watcher.round = 0;
        if !missed.is_empty() {
            let Some(entry) = self.streams.get(watcher.stream) else { return };
            let events = missed.iter().map(|part| part.places.as_slice().len() as u64).sum();
            let (id, wishes, revision) = (watcher.id, watcher.wishes, self.dispatched);
            if !entry.outbox.offer(Item::Replay { id, wishes, revision, parts: missed }) {
                return;
            }
            watcher.quiet = false;
            self.metrics.events.inc_by(events);
        }
        watcher.next = watcher.next.max(end + 1);
        if watcher.next > self.dispatched {
            watcher.live = true;
            self.behind.remove(&number);
        }
    }
}

/// The revisions at the front that fit into one round, and up to where they reach: `to` if all fit.
pub(super) fn fitting(
    batches: Vec<Arc<RevisionEvents>>,
    to: i64,
) -> (Vec<Arc<RevisionEvents>>, i64) {
    let mut bytes = 0;
    let mut taken = Vec::new();
    for batch in batches {
        if batch.revision > to {
            break;
        }
        let size: usize =
            batch.events.iter().filter_map(|event| event.kv.as_ref()).map(kv_bytes).sum();
        let full = taken.len() >= REPLAYED_REVISIONS || bytes + size > REPLAYED_BYTES;
        if full && let Some(last) = taken.last().map(|batch: &Arc<RevisionEvents>| batch.revision) {
            return (taken, last);
        }
        bytes += size;
        taken.push(batch);
    }
    (taken, to)
}

fn hull_of(hull: Option<KeyRange>, range: &KeyRange) -> KeyRange {
    let Some(hull) = hull else { return range.clone() };
    if hull == *range {
        return hull;
    }
    let start = hull.start().min(range.start()).clone();
    match (end_of(&hull), end_of(range)) {
        (Some(a), Some(b)) => KeyRange::Between(start, a.max(b)),
        _ => KeyRange::From(start),
    }
}

fn end_of(range: &KeyRange) -> Option<Bytes> {
    match range {
        // The very next key.
        KeyRange::Single(key) => Some([key, b"\0".as_slice()].concat().into()),
        KeyRange::Between(_, end) => Some(end.clone()),
        KeyRange::From(_) => None,
    }
}
