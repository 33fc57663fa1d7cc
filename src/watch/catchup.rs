//! How watchers that are behind reach the present again.
//!
//! A round musters watchers whose streams have room, finds the revisions they miss once for all of
//! them, and gives each its part as one response. If memory reaches back far enough the round is done
//! at once; otherwise watchers that stand near each other share a read of history. A watcher that
//! has reached the dispatched revision under the lock is live: nothing can slip between.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::core::{Core, places};
use super::limits::{COHORT, REPLAYED_BYTES, REPLAYED_REVISIONS, WINDOW};
use super::outbox::{Item, Part, Revision};
use super::source::Source;
use crate::state::mvcc::recent::RevisionEvents;
use crate::types::range::{KeyRange, next_key};

/// Watchers looked at when one round is mustered.
const MUSTERED: usize = 8_192;

/// How a round goes on.
pub(super) enum Round {
    /// Nobody behind has room.
    Idle,
    /// It is done.
    Done,
    /// History must be read for these.
    Read(Cohort),
}

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

/// What one watcher gets in a round.
#[derive(Default)]
struct Missed {
    parts: Vec<Part>,
    bytes: usize,
    /// The first revision that is left for another round.
    rest: Option<i64>,
}

impl Missed {
    fn add(&mut self, part: Part) {
        let bytes = part.bytes();
        let full = self.parts.len() >= REPLAYED_REVISIONS || self.bytes + bytes > REPLAYED_BYTES;
        if self.rest.is_none() && full && !self.parts.is_empty() {
            self.rest = Some(part.revision.batch.revision);
        }
        if self.rest.is_none() {
            self.bytes += bytes;
            self.parts.push(part);
        }
    }
}

impl Core {
    /// Begins a round; those that lost their place to the compaction are ended on the way.
    pub(super) fn round(&mut self, source: &dyn Source) -> Round {
        let ready = self.ready();
        let Some(first) = ready.first() else { return Round::Idle };
        self.cursor = first.wrapping_add(1);
        self.round += 1;
        let (lost, ready) = self.part_at(&ready, source.compacted());
        for number in lost {
            self.end_by_compaction(number, source.compacted());
        }
        let Some((turn, number)) = ready.first().copied() else { return Round::Done };
        // Neighbours below come along, as far as one round can see up to the one whose turn it is.
        for base in [lowest_near(&ready, turn, WINDOW), turn] {
            if let Some(batches) = source.recent(base - 1) {
                // It keeps its turn until it is live, so that every round brings somebody home.
                self.cursor = number;
                let (revisions, end) = window(batches, self.dispatched);
                let members = self.enlist(&ready, (base, i64::MAX), usize::MAX);
                self.replay(&members, self.round, &revisions, end);
                return Round::Done;
            }
        }
        Round::Read(self.muster(&ready, turn))
    }

    /// Splits watchers into those whose next revision is gone and the others, with that revision.
    fn part_at(&self, ready: &[u32], compacted: i64) -> (Vec<u32>, Vec<(i64, u32)>) {
        let (mut lost, mut rest) = (Vec::new(), Vec::new());
        for number in ready {
            match self.watchers.get(*number).map(|watcher| watcher.next) {
                Some(next) if next >= compacted => rest.push((next, *number)),
                Some(_) => lost.push(*number),
                None => {}
            }
        }
        (lost, rest)
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

    /// Marks those that stand between two revisions as members of this round.
    fn enlist(&mut self, ready: &[(i64, u32)], (from, to): (i64, i64), most: usize) -> Vec<u32> {
        let near = ready.iter().filter(|(next, _)| (from..=to).contains(next)).take(most);
        let members: Vec<u32> = near.map(|(_, number)| *number).collect();
        for number in &members {
            if let Some(watcher) = self.watchers.get_mut(*number) {
                watcher.round = self.round;
            }
        }
        members
    }

    /// Chooses whom to read history for: the first, and others within reach of one read.
    fn muster(&mut self, ready: &[(i64, u32)], turn: i64) -> Cohort {
        let base = lowest_near(ready, turn, REPLAYED_REVISIONS);
        let members = self.enlist(ready, (base, reach(base, REPLAYED_REVISIONS)), COHORT);
        let watchers = members.iter().filter_map(|number| self.watchers.get(*number));
        let (mut hull, mut prev_kv) = (None, false);
        for watcher in watchers {
            prev_kv |= watcher.wishes.prev_kv;
            hull = Some(hull_of(hull, &watcher.range));
        }
        let hull = hull.unwrap_or_else(|| KeyRange::Single(Bytes::new()));
        Cohort { round: self.round, members, from: base, to: self.dispatched, hull, prev_kv }
    }

    /// Gives the cohort what was read for it up to `end`, and what was dispatched meanwhile.
    pub(super) fn finish(
        &mut self,
        cohort: &Cohort,
        source: &dyn Source,
        mut revisions: Vec<Arc<Revision>>,
        mut end: i64,
    ) {
        if end < self.dispatched
            && let Some(batches) = source.recent(end)
        {
            let (newer, newer_end) = window(batches, self.dispatched);
            revisions.extend(newer);
            end = newer_end;
        }
        self.replay(&cohort.members, cohort.round, &revisions, end);
    }

    /// Gives members what they miss up to `end`, all of which is in `revisions`.
    fn replay(&mut self, members: &[u32], round: u64, revisions: &[Arc<Revision>], end: i64) {
        let mut missed: BTreeMap<u32, Missed> = BTreeMap::new();
        for revision in revisions {
            let at = revision.batch.revision;
            let hits = self.hits(&revision.batch, |watcher| {
                watcher.round == round && !watcher.live && watcher.next <= at
            });
            for run in hits.chunk_by(|a, b| a.0 == b.0) {
                let Some((number, _)) = run.first() else { continue };
                let part = Part { revision: Arc::clone(revision), places: places(run) };
                missed.entry(*number).or_default().add(part);
            }
            self.recycle(hits);
        }
        for number in members {
            let missed = missed.remove(number).unwrap_or_default();
            self.advance(*number, round, missed, end);
        }
        self.count();
    }

    /// Moves one member past `end`, unless its stream has no room for what it missed.
    fn advance(&mut self, number: u32, round: u64, missed: Missed, end: i64) {
        // The place may have a new owner, or none, since the round began.
        let Some(watcher) = self.watchers.get_mut(number).filter(|it| it.round == round) else {
            return;
        };
        watcher.round = 0;
        if !missed.parts.is_empty() {
            let Some(entry) = self.streams.get(watcher.stream) else { return };
            let parts = missed.parts;
            let events = parts.iter().map(|part| part.places.as_slice().len() as u64).sum();
            let (id, wishes, revision) = (watcher.id, watcher.wishes, self.dispatched);
            if !entry.outbox.offer(Item::Replay { id, wishes, revision, parts }) {
                return;
            }
            watcher.quiet = false;
            self.metrics.events.inc_by(events);
        }
        watcher.next = watcher.next.max(missed.rest.unwrap_or(end + 1));
        if watcher.next > self.dispatched {
            watcher.live = true;
            self.behind.remove(&number);
        }
    }
}

/// The lowest revision somebody misses from which one round of `span` revisions still holds `turn`.
fn lowest_near(ready: &[(i64, u32)], turn: i64, span: usize) -> i64 {
    let near = ready.iter().map(|(next, _)| *next);
    near.filter(|next| *next <= turn && reach(*next, span) >= turn).min().unwrap_or(turn)
}

/// The last of `span` revisions.
fn reach(from: i64, span: usize) -> i64 {
    from.saturating_add(i64::try_from(span).unwrap_or(i64::MAX) - 1)
}

/// The first revisions of a list up to `to`, as many as one round looks at, and how far they reach.
fn window(batches: Vec<Arc<RevisionEvents>>, to: i64) -> (Vec<Arc<Revision>>, i64) {
    let cut = batches.get(WINDOW).map(|batch| batch.revision - 1);
    let end = cut.map_or(to, |cut| cut.min(to));
    let inside = batches.into_iter().take(WINDOW).filter(|batch| batch.revision <= end);
    (inside.map(|batch| Arc::new(Revision::new(batch))).collect(), end)
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
        KeyRange::Single(key) => Some(next_key(key)),
        KeyRange::Between(_, end) => Some(end.clone()),
        KeyRange::From(_) => None,
    }
}
