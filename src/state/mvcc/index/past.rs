//! The older records of one key, newest chunk first.
//!
//! A key under constant writing would be copied whole with every batch if its history were one
//! vector. It is a chain: the newest chunk is small and copied cheaply, full chunks are merged into
//! ever larger ones, so that a chain stays short however long the history grows.

use std::sync::Arc;

use crate::types::revision::Revision;

/// One record of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) main: i64,
    pub(super) sub: u32,
    pub(super) tombstone: bool,
}

impl Record {
    pub(super) fn new(at: Revision, tombstone: bool) -> Self {
        // Four thousand million changes of one transaction would not fit into memory.
        Self { main: at.main, sub: u32::try_from(at.sub).unwrap_or(u32::MAX), tombstone }
    }

    pub(super) fn revision(self) -> Revision {
        Revision::new(self.main, i64::from(self.sub))
    }

    /// Its revision, unless it deleted the key.
    pub(super) fn value(self) -> Option<Revision> {
        (!self.tombstone).then(|| self.revision())
    }
}

/// Records a chunk takes before the next one is begun.
const CHUNK: usize = 16;
/// Records beyond which chunks are not merged any more: bounds the copying of a single write.
const MERGED: usize = 4096;

/// A chunk of records, ascending, and those before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    records: Vec<Record>,
    older: Option<Arc<Self>>,
    /// The key's version when it does not fit into its slot; only read from the newest chunk.
    pub(super) version: i64,
}

impl Past {
    /// Adds a record, the newest of the chain.
    pub(super) fn push(past: &mut Option<Arc<Self>>, record: Record) {
        let version = past.as_ref().map_or(0, |past| past.version);
        if let Some(chunk) = past.as_mut().filter(|chunk| chunk.records.len() < CHUNK) {
            Arc::make_mut(chunk).records.push(record);
            return;
        }
        let older = past.take().map(Self::settle);
        *past = Some(Arc::new(Self { records: vec![record], older, version }));
    }

    fn settle(mut chunk: Arc<Self>) -> Arc<Self> {
        while let Some(older) = chunk.older.clone() {
            let (new, old) = (chunk.records.len(), older.records.len());
            if old > new || old + new > MERGED {
                break;
            }
            let records = [older.records.as_slice(), &chunk.records].concat();
            chunk = Arc::new(Self { records, older: older.older.clone(), version: 0 });
        }
        chunk
    }

    /// A chain of these records, ascending; `None` when there is nothing to remember.
    pub(super) fn from_records(records: Vec<Record>, version: i64) -> Option<Arc<Self>> {
        (!records.is_empty() || version != 0)
            .then(|| Arc::new(Self { records, older: None, version }))
    }

    fn chunks(&self) -> impl Iterator<Item = &[Record]> {
        std::iter::successors(Some(self), |chunk| chunk.older.as_deref())
            .map(|chunk| chunk.records.as_slice())
    }

    /// Every record, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = Record> + '_ {
        self.chunks().flat_map(|records| records.iter().rev().copied())
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.chunks().map(<[Record]>::len).sum()
    }

    /// The newest record at or below a main revision.
    pub(super) fn at(&self, rev: i64) -> Option<Record> {
        let records = self
            .chunks()
            .find(|records| records.first().is_some_and(|oldest| oldest.main <= rev))?;
        let above = records.partition_point(|record| record.main <= rev);
        records.get(above.checked_sub(1)?).copied()
    }
}

impl Drop for Past {
    /// Link by link: a long chain that dropped itself recursively would overflow the stack.
    fn drop(&mut self) {
        let mut next = self.older.take();
        while let Some(mut chunk) = next.and_then(Arc::into_inner) {
            next = chunk.older.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_is_searched_in_few_chunks_and_copied_in_small_ones() {
        let mut past = None;
        for main in 0..100_000 {
            Past::push(&mut past, Record::new(Revision::new(main * 2, 0), false));
            if main % 1000 == 0 {
                // A reader's copy keeps what it saw.
                let held = past.clone().unwrap();
                Past::push(&mut past, Record::new(Revision::new(main * 2 + 1, 0), true));
                assert_eq!(held.newest_first().next().unwrap().main, main * 2);
            }
        }
        let past = past.unwrap();
        assert_eq!(past.len(), 100_100);
        assert!(past.chunks().count() < 40, "{}", past.chunks().count());
        for main in [0, 1, 2, 77_777, 150_000, 199_998, 500_000] {
            let slow = past.newest_first().find(|record| record.main <= main);
            assert_eq!(past.at(main), slow);
        }
        assert_eq!(past.at(-1), None);
    }

    #[test]
    fn a_chain_of_any_length_is_freed_without_recursion() {
        let mut past: Option<Arc<Past>> = None;
        for _ in 0..1_000_000 {
            past = Some(Arc::new(Past { records: Vec::new(), older: past, version: 0 }));
        }
        drop(past);
    }
}
