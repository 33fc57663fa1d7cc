//! The index as plainly as it can be written: a sorted map of whole histories.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use bytes::Bytes;

use super::KeyMeta;
use crate::types::range::KeyRange;
use crate::types::revision::Revision;

#[derive(Clone, Debug, Default)]
struct Entry {
    live: Option<KeyMeta>,
    /// Ascending; the flag marks tombstones.
    history: Vec<(Revision, bool)>,
}

impl Entry {
    fn at(&self, rev: i64) -> Option<Revision> {
        let (newest, tombstone) = *self.history.iter().rev().find(|(at, _)| at.main <= rev)?;
        (!tombstone).then_some(newest)
    }
}

type Map = BTreeMap<Bytes, Entry>;

/// The index at one moment. Cheap to clone; never changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Root(Arc<Map>);

/// The index and its single writer.
#[derive(Debug, Default)]
pub(super) struct Index(Root);

impl Index {
    /// An empty index.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The index as it is now, for readers elsewhere.
    pub(super) fn root(&self) -> Root {
        self.0.clone()
    }

    /// The index as it is now, for the writer itself: sees its own unpublished changes and costs
    /// nothing.
    pub(super) fn view(&self) -> &Root {
        &self.0
    }

    /// Records a put. Returns the key's new state and its previous one if it was live.
    pub(super) fn put(
        &mut self,
        key: &Bytes,
        at: Revision,
        lease: i64,
    ) -> (KeyMeta, Option<KeyMeta>) {
        let before = self.0.get(key);
        let meta = KeyMeta {
            create: before.map_or(at.main, |before| before.create),
            modified: at,
            version: before.map_or(0, |before| before.version) + 1,
            lease,
        };
        self.restore(key, meta);
        (meta, before)
    }

    /// Records a put whose outcome is known, as when reading records back.
    pub(super) fn restore(&mut self, key: &[u8], meta: KeyMeta) {
        let entry = Arc::make_mut(&mut self.0.0).entry(Bytes::copy_from_slice(key)).or_default();
        entry.live = Some(meta);
        entry.history.push((meta.modified, false));
    }

    /// Records a deletion. Returns the previous state; `None` when the key was not live, in which
    /// case nothing is recorded.
    pub(super) fn tombstone(&mut self, key: &[u8], at: Revision) -> Option<KeyMeta> {
        let before = self.0.get(key)?;
        self.restore_tombstone(key, at);
        Some(before)
    }

    /// Records a deletion found among the records, whatever the key was before: a compaction may
    /// have left a tombstone alone.
    pub(super) fn restore_tombstone(&mut self, key: &[u8], at: Revision) {
        let entry = Arc::make_mut(&mut self.0.0).entry(Bytes::copy_from_slice(key)).or_default();
        entry.live = None;
        entry.history.push((at, true));
    }

    /// A whole compaction; the dropped records in no particular order.
    pub(super) fn compact(&mut self, at: i64) -> Vec<(Revision, bool)> {
        let mut dropped = Vec::new();
        let map = Arc::make_mut(&mut self.0.0);
        for entry in map.values_mut() {
            let older = entry.history.iter().filter(|(revision, _)| revision.main <= at).count();
            let Some(mut cut) = older.checked_sub(1) else { continue };
            let (revision, tombstone) = entry.history[cut];
            if tombstone && revision.main < at {
                cut += 1;
            }
            dropped.extend(entry.history.drain(..cut));
        }
        map.retain(|_, entry| !entry.history.is_empty());
        dropped
    }
}

impl Root {
    /// The key's state if it is live.
    pub(super) fn get(&self, key: &[u8]) -> Option<KeyMeta> {
        self.0.get(key)?.live
    }

    /// The newest record of the key at or below main revision `rev`; `None` if there is none or it
    /// is a tombstone.
    pub(super) fn get_at(&self, key: &[u8], rev: i64) -> Option<Revision> {
        self.0.get(key)?.at(rev)
    }

    fn entries(&self, range: &KeyRange) -> impl DoubleEndedIterator<Item = (&Bytes, &Entry)> {
        let start: Bound<&[u8]> = Bound::Included(range.start());
        let end = match range {
            KeyRange::Single(key) => Bound::Included(key.as_ref()),
            KeyRange::Between(start, end) => Bound::Excluded(end.max(start).as_ref()),
            KeyRange::From(_) => Bound::Unbounded,
        };
        self.0.range::<[u8], _>((start, end))
    }

    /// Visits the live keys of a range in ascending order until told to stop.
    pub(super) fn for_each(
        &self,
        range: &KeyRange,
        mut visit: impl FnMut(&[u8], KeyMeta) -> ControlFlow<()>,
    ) {
        for (key, entry) in self.entries(range) {
            if entry.live.is_some_and(|meta| visit(key, meta).is_break()) {
                return;
            }
        }
    }

    /// As [`Self::for_each`], in descending order.
    pub(super) fn for_each_rev(
        &self,
        range: &KeyRange,
        mut visit: impl FnMut(&[u8], KeyMeta) -> ControlFlow<()>,
    ) {
        for (key, entry) in self.entries(range).rev() {
            if entry.live.is_some_and(|meta| visit(key, meta).is_break()) {
                return;
            }
        }
    }

    /// Visits the keys of a range that were live at main revision `rev`, ascending, each with the
    /// record that held its value then.
    pub(super) fn for_each_at(
        &self,
        range: &KeyRange,
        rev: i64,
        mut visit: impl FnMut(&[u8], Revision) -> ControlFlow<()>,
    ) {
        for (key, entry) in self.entries(range) {
            if entry.at(rev).is_some_and(|at| visit(key, at).is_break()) {
                return;
            }
        }
    }

    /// How many keys of the range are live.
    pub(super) fn count(&self, range: &KeyRange) -> u64 {
        self.entries(range).filter(|(_, entry)| entry.live.is_some()).count() as u64
    }

    /// How many keys of the range were live at main revision `rev`. Walks the range.
    pub(super) fn count_at(&self, range: &KeyRange, rev: i64) -> u64 {
        self.entries(range).filter(|(_, entry)| entry.at(rev).is_some()).count() as u64
    }

    /// How many keys are live.
    pub(super) fn len(&self) -> u64 {
        self.count(&KeyRange::From(Bytes::new()))
    }

    /// How many records the index refers to, tombstones included.
    pub(super) fn revisions(&self) -> u64 {
        self.0.values().map(|entry| entry.history.len() as u64).sum()
    }
}
