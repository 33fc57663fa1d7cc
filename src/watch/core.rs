//! The table of watchers and every decision about them. No waiting, no disk, no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::interest::Interest;
use super::limits::{RANGE_BYTES_PER_STREAM, WATCHER_BYTES, WATCHERS_PER_STREAM};
use super::metrics::Metrics;
use super::outbox::{Item, Outbox, Part, Places, Revision};
use super::response;
use super::slots::Slots;
use super::watcher::{Watcher, Wishes, range_bytes, range_of};
use crate::proto::etcdserverpb::WatchCreateRequest;
use crate::state::mvcc::recent::RevisionEvents;
use crate::types::range::KeyRange;

/// Stands in for a watcher that compaction ended: its id stays taken until the client cancels it.
const ENDED: u32 = u32::MAX;

/// One stream as the hub sees it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) outbox: Arc<Outbox>,
    ids: BTreeMap<i64, u32>,
    next_id: i64,
    range_bytes: usize,
}

/// All watchers of a node.
pub(super) struct Core {
    interest: Interest,
    pub(super) watchers: Slots<Watcher>,
    pub(super) streams: Slots<Entry>,
    /// Watchers that are not live.
    pub(super) behind: BTreeSet<u32>,
    /// The newest revision the live watchers have been given.
    pub(super) dispatched: i64,
    /// Where the next catch-up round looks first, so that all get their turn.
    pub(super) cursor: u32,
    pub(super) round: u64,
    hits: Vec<(u32, u32)>,
    pub(super) metrics: Metrics,
    stopped: bool,
}

/// The newest and the compacted revision of the store at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Store {
    pub(super) revision: i64,
    pub(super) compacted: i64,
}

impl Core {
    pub(super) fn new(dispatched: i64, metrics: Metrics) -> Self {
        Self {
            interest: Interest::default(),
            watchers: Slots::default(),
            streams: Slots::default(),
            behind: BTreeSet::new(),
            dispatched,
            cursor: 0,
            round: 0,
            hits: Vec::new(),
            metrics,
            stopped: false,
        }
    }

    /// Adds a stream; once the hub stops, streams are born closed.
    pub(super) fn open(&mut self, outbox: Arc<Outbox>) -> Option<u32> {
        if self.stopped {
            outbox.close();
        }
        let entry = Entry { outbox, ids: BTreeMap::new(), next_id: 0, range_bytes: 0 };
        let stream = self.streams.insert(entry);
        self.count();
        stream
    }

    /// Forgets a stream and its watchers.
    pub(super) fn close(&mut self, stream: u32) {
        let Some(entry) = self.streams.remove(stream) else { return };
        for watcher in entry.ids.into_values() {
            self.drop_watcher(watcher);
        }
        self.count();
    }

    /// Ends all streams, now and in future.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        for (_, entry) in self.streams.iter_mut() {
            entry.outbox.close();
        }
    }

    /// Answers a create request; true if the new watcher is behind.
    pub(super) fn create(
        &mut self,
        stream: u32,
        request: &WatchCreateRequest,
        store: Store,
    ) -> bool {
        let Some(entry) = self.streams.get_mut(stream) else { return false };
        let (id, range) = match admit(entry, request) {
            Ok(admitted) => admitted,
            Err(reason) => {
                entry.outbox.note(response::refused(store.revision, reason));
                return false;
            }
        };
        let start = request.start_revision;
        let next = if start == 0 { store.revision + 1 } else { start };
        let watcher = Watcher {
            stream,
            id,
            range: range.clone(),
            wishes: Wishes::of(request),
            live: next > self.dispatched,
            quiet: true,
            next,
            round: 0,
        };
        let live = watcher.live;
        entry.range_bytes += range_bytes(&range);
        entry.outbox.note(response::created(store.revision, id));
        let Some(number) = self.watchers.insert(watcher) else { return false };
        entry.ids.insert(id, number);
        self.interest.insert(&range, number);
        if !live {
            self.behind.insert(number);
        }
        if next < store.compacted {
            self.end_by_compaction(number, store.compacted);
        }
        self.count();
        !live
    }

    /// Answers a cancel request; an unknown id is ignored.
    pub(super) fn cancel(&mut self, stream: u32, id: i64, revision: i64) {
        let Some(entry) = self.streams.get_mut(stream) else { return };
        let Some(number) = entry.ids.remove(&id) else { return };
        entry.outbox.note(response::canceled(revision, id));
        if let Some(watcher) = self.drop_watcher(number)
            && let Some(entry) = self.streams.get_mut(stream)
        {
            entry.range_bytes -= range_bytes(&watcher.range);
        }
        self.count();
    }

    /// Bytes the watchers of a stream take.
    pub(super) fn bytes(&self, stream: u32) -> usize {
        let taken = |entry: &Entry| entry.ids.len() * WATCHER_BYTES + entry.range_bytes;
        self.streams.get(stream).map_or(0, taken)
    }

    /// Answers a progress request if every watcher of the stream has all there is.
    pub(super) fn progress(&mut self, stream: u32) {
        let Some(entry) = self.streams.get(stream) else { return };
        let mut current = entry.ids.values().filter_map(|number| self.watchers.get(*number));
        let mut any = false;
        let all = current.all(|watcher| {
            any = true;
            self.is_current(watcher)
        });
        if any && all {
            entry.outbox.note(response::progress(self.dispatched, response::ALL_WATCHERS));
        }
    }

    /// Tells the watchers that asked for it, and had no event since the last tick, where they are.
    pub(super) fn tick(&mut self, stream: u32) {
        let Some(entry) = self.streams.get(stream) else { return };
        for (id, number) in &entry.ids {
            let Some(watcher) = self.watchers.get(*number) else { continue };
            if !watcher.wishes.progress {
                continue;
            }
            if watcher.quiet && self.is_current(watcher) && entry.outbox.is_short() {
                entry.outbox.note(response::progress(self.dispatched, *id));
            }
            if let Some(watcher) = self.watchers.get_mut(*number) {
                watcher.quiet = true;
            }
        }
    }

    /// Whether nothing at or below the dispatched revision is or will be left for this watcher. One
    /// that begins in the future is not: a lower revision would make its client resume too early.
    fn is_current(&self, watcher: &Watcher) -> bool {
        watcher.live && watcher.next <= self.dispatched + 1
    }

    /// Gives the next revision to the live watchers; true if one of them had no room and is now
    /// behind.
    pub(super) fn dispatch(&mut self, batch: &Arc<RevisionEvents>) -> bool {
        let revision = batch.revision;
        if revision <= self.dispatched {
            // Somebody else took the same revisions from the ring and was faster.
            return false;
        }
        self.dispatched = revision;
        let hits = self.hits(batch, |watcher| watcher.live && watcher.next <= revision);
        let mut shared = None;
        let mut refused = false;
        for run in hits.chunk_by(|a, b| a.0 == b.0) {
            let shared = shared.get_or_insert_with(|| Arc::new(Revision::new(Arc::clone(batch))));
            let Some((number, _)) = run.first() else { continue };
            let part = Part { revision: Arc::clone(shared), places: places(run) };
            if !self.offer_live(*number, part) {
                self.fall_behind(*number, revision);
                refused = true;
            }
        }
        self.hits = hits;
        refused
    }

    fn offer_live(&mut self, number: u32, part: Part) -> bool {
        let Some(watcher) = self.watchers.get_mut(number) else { return true };
        let Some(entry) = self.streams.get(watcher.stream) else { return true };
        let events = part.places.as_slice().len() as u64;
        let item = Item::Live { id: watcher.id, wishes: watcher.wishes, part };
        let taken = entry.outbox.offer(item);
        if taken {
            watcher.quiet = false;
            self.metrics.events.inc_by(events);
        }
        taken
    }

    /// The watchers `chosen` among those a revision concerns, each with the places of its events,
    /// sorted.
    pub(super) fn hits(
        &mut self,
        batch: &RevisionEvents,
        chosen: impl Fn(&Watcher) -> bool,
    ) -> Vec<(u32, u32)> {
        let mut hits = std::mem::take(&mut self.hits);
        hits.clear();
        for (place, event) in (0..).zip(&batch.events) {
            let Some(kv) = &event.kv else { continue };
            self.interest.visit(&kv.key, &mut |number| {
                let wanted = |watcher: &&Watcher| chosen(watcher) && watcher.wishes.want(event);
                if self.watchers.get(number).filter(wanted).is_some() {
                    hits.push((number, place));
                }
            });
        }
        if batch.events.len() > 1 {
            hits.sort_unstable();
        }
        hits
    }

    /// Makes the buffer of [`Self::hits`] available again.
    pub(super) fn recycle(&mut self, hits: Vec<(u32, u32)>) {
        self.hits = hits;
    }

    fn fall_behind(&mut self, number: u32, next: i64) {
        if let Some(watcher) = self.watchers.get_mut(number) {
            watcher.live = false;
            watcher.next = watcher.next.max(next);
            self.behind.insert(number);
            self.count();
        }
    }

    /// The ring did not reach back to the last dispatched revision: everyone catches up from there.
    pub(super) fn lose_touch(&mut self, revision: i64) {
        let from = self.dispatched + 1;
        self.dispatched = self.dispatched.max(revision);
        for (number, watcher) in self.watchers.iter_mut() {
            if watcher.live {
                watcher.next = watcher.next.max(from);
                watcher.live = watcher.next > self.dispatched;
                if !watcher.live {
                    self.behind.insert(number);
                }
            }
        }
        self.count();
    }

    /// Ends a watcher whose next revision is gone, and says which is the oldest left.
    pub(super) fn end_by_compaction(&mut self, number: u32, compacted: i64) {
        let Some(watcher) = self.drop_watcher(number) else { return };
        if let Some(entry) = self.streams.get_mut(watcher.stream) {
            entry.range_bytes -= range_bytes(&watcher.range);
            entry.ids.insert(watcher.id, ENDED);
            entry.outbox.note(response::compacted(watcher.id, compacted));
        }
        self.count();
    }

    fn drop_watcher(&mut self, number: u32) -> Option<Watcher> {
        let watcher = self.watchers.remove(number)?;
        self.interest.remove(&watcher.range, number);
        self.behind.remove(&number);
        Some(watcher)
    }

    pub(super) fn count(&self) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.watchers.set(number(self.watchers.len()));
        self.metrics.streams.set(number(self.streams.len()));
        self.metrics.behind.set(number(self.behind.len()));
    }
}

/// Checks a create request and finds its id; otherwise the reason for the client.
fn admit(entry: &mut Entry, request: &WatchCreateRequest) -> Result<(i64, KeyRange), String> {
    let range = range_of(request).ok_or_else(|| response::EMPTY_RANGE.to_owned())?;
    if request.watch_id != 0 && entry.ids.contains_key(&request.watch_id) {
        return Err(response::DUPLICATE_ID.to_owned());
    }
    if entry.ids.len() >= WATCHERS_PER_STREAM {
        return Err(format!(
            "mvcc: too many watchers on one stream, {WATCHERS_PER_STREAM} are allowed"
        ));
    }
    if entry.range_bytes + range_bytes(&range) > RANGE_BYTES_PER_STREAM {
        return Err(format!(
            "mvcc: the watched keys of one stream exceed {RANGE_BYTES_PER_STREAM} bytes"
        ));
    }
    if request.watch_id != 0 {
        return Ok((request.watch_id, range));
    }
    while entry.ids.contains_key(&entry.next_id) {
        entry.next_id += 1;
    }
    entry.next_id += 1;
    Ok((entry.next_id - 1, range))
}

/// The places of one watcher's run of hits.
pub(super) fn places(run: &[(u32, u32)]) -> Places {
    match run {
        [(_, place)] => Places::One(*place),
        _ => Places::Several(run.iter().map(|(_, place)| *place).collect()),
    }
}
