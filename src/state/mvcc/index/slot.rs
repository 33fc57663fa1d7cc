//! What a leaf holds for one key: its newest record inline, older ones behind a pointer.

use std::sync::Arc;

use super::KeyMeta;
use super::past::{Past, Record};
use crate::types::revision::Revision;

/// A change to one key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Write {
    /// A put whose outcome follows from what the key was.
    Put { at: Revision, lease: i64 },
    /// A put whose outcome is known.
    Restore(KeyMeta),
    /// A deletion.
    Delete(Revision),
}

/// Forty bytes per key. A key whose newest record is a tombstone has version zero.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    create: i64,
    main: i64,
    lease: i64,
    sub: u32,
    version: u32,
    past: Option<Arc<Past>>,
}

/// Stands for every version that does not fit; [`Past::version`] holds the real one.
const WIDE: u32 = u32::MAX;

impl Slot {
    /// A key that was not there before.
    pub(super) fn new(write: Write) -> Self {
        let mut slot = Self { create: 0, main: 0, lease: 0, sub: 0, version: 0, past: None };
        slot.set(write);
        slot
    }

    /// A key read back with its whole history, ascending, of which `meta` or a tombstone is the
    /// newest.
    pub(super) fn with_past(newest: Write, past: Vec<Record>) -> Self {
        let mut slot = Self::new(newest);
        let version = slot.past.as_ref().map_or(0, |past| past.version);
        slot.past = Past::from_records(past, version);
        slot
    }

    pub(super) fn is_live(&self) -> bool {
        self.version != 0
    }

    fn newest(&self) -> Record {
        Record { main: self.main, sub: self.sub, tombstone: !self.is_live() }
    }

    fn version(&self) -> i64 {
        match (&self.past, self.version) {
            (Some(past), WIDE) => past.version,
            (_, narrow) => i64::from(narrow),
        }
    }

    /// The key's state, if it is live.
    pub(super) fn meta(&self) -> Option<KeyMeta> {
        self.is_live().then(|| KeyMeta {
            create: self.create,
            modified: self.newest().revision(),
            version: self.version(),
            lease: self.lease,
        })
    }

    /// The record that held the key's value at a main revision.
    pub(super) fn at(&self, rev: i64) -> Option<Revision> {
        let record = if self.main <= rev { self.newest() } else { self.past.as_ref()?.at(rev)? };
        record.value()
    }

    /// How many records the key has.
    pub(super) fn records(&self) -> usize {
        1 + self.past.as_ref().map_or(0, |past| past.len())
    }

    /// Every record, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = Record> + '_ {
        let past = self.past.iter().flat_map(|past| past.newest_first());
        std::iter::once(self.newest()).chain(past)
    }

    /// Records a change to a key that has records already.
    pub(super) fn write(&mut self, write: Write) {
        let newest = self.newest();
        Past::push(&mut self.past, newest);
        self.set(write);
    }

    fn set(&mut self, write: Write) {
        let (meta, version) = match write {
            Write::Put { at, lease } => {
                let before = self.meta();
                let create = before.map_or(at.main, |before| before.create);
                let version = before.map_or(0, |before| before.version).saturating_add(1);
                (KeyMeta { create, modified: at, version, lease }, version)
            }
            // A record with a version below one comes from elsewhere; the key is live all the same.
            Write::Restore(meta) => (meta, meta.version.max(1)),
            Write::Delete(at) => (KeyMeta { modified: at, ..KeyMeta::default() }, 0),
        };
        let newest = Record::new(meta.modified, version == 0);
        (self.create, self.lease) = (meta.create, meta.lease);
        (self.main, self.sub) = (newest.main, newest.sub);
        self.version = u32::try_from(version).unwrap_or(WIDE);
        if self.version == WIDE {
            Arc::make_mut(self.past.get_or_insert_default()).version = version;
        }
    }

    /// Whether a compaction at main revision `at` changes anything here.
    pub(super) fn is_stale(&self, at: i64) -> bool {
        let mut older = self.newest_first().skip_while(|record| record.main > at);
        match older.next() {
            Some(kept) => (kept.tombstone && kept.main < at) || older.next().is_some(),
            None => false,
        }
    }

    /// Drops what a compaction at main revision `at` drops, oldest record first. Says whether
    /// anything is left.
    pub(super) fn compact(&mut self, at: i64, dropped: &mut Vec<(Revision, bool)>) -> bool {
        let mut records: Vec<Record> = self.newest_first().collect();
        records.reverse();
        let older = records.partition_point(|record| record.main <= at);
        // A tombstone exactly at the compacted revision stays: a watch may start there.
        let keeps = older > 0 && (!records[older - 1].tombstone || records[older - 1].main == at);
        let gone = records.drain(..older - usize::from(keeps));
        dropped.extend(gone.map(|record| (record.revision(), record.tombstone)));
        if records.pop().is_none() {
            return false;
        }
        records.shrink_to_fit();
        let version = if self.version == WIDE { self.version() } else { 0 };
        self.past = Past::from_records(records, version);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_stays_small() {
        assert_eq!(size_of::<Slot>(), 40);
    }

    #[test]
    fn versions_beyond_32_bits_count_on_and_survive_compaction() {
        let at = |main| Revision::new(main, 0);
        let narrow = i64::from(u32::MAX) - 1;
        let meta = KeyMeta { create: 1, modified: at(5), version: narrow, lease: 0 };
        let mut slot = Slot::new(Write::Restore(meta));
        for step in 1..=40 {
            slot.write(Write::Put { at: at(5 + step), lease: 0 });
            assert_eq!(slot.meta().unwrap().version, narrow + step);
        }
        let mut dropped = Vec::new();
        assert!(slot.is_stale(100) && slot.compact(100, &mut dropped));
        assert_eq!((dropped.len(), slot.records()), (40, 1));
        assert_eq!(slot.meta().unwrap().version, narrow + 40);
        slot.write(Write::Delete(at(200)));
        slot.write(Write::Put { at: at(201), lease: 0 });
        assert_eq!(slot.meta().unwrap().version, 1);
    }
}
