//! Carrying out compactions: sweep the index a few leaves at a time, delete what it dropped.
//!
//! The compacted revision is on disk before the first record goes, so reads below it already fail.
//! After a restart the sweep of an unfinished compaction begins anew; deleting twice is harmless.

use std::time::Instant;

use bytes::Bytes;

use super::record::Records;
use super::write::Writer;
use crate::state::error::StateError;
use crate::storage::engine::Batch;
use crate::types::revision::Revision;

/// Leaves of the index swept in one step.
const LEAVES: usize = 8;
/// Records deleted in one step: bounds how long apply waits for it to a millisecond or two.
const RECORDS: usize = 256;

/// A compaction being carried out.
pub(in crate::state) struct Sweep {
    /// The compacted revision.
    pub(in crate::state) at: i64,
    from: Option<Bytes>,
    swept: bool,
    /// Dropped from the index but not yet from the records; taken from the end, lowest revision
    /// last, so that neighbours on disk go together.
    dropped: Vec<(Revision, bool)>,
    /// Records deleted so far.
    pub(in crate::state) deleted: u64,
    pub(in crate::state) begun: Instant,
}

impl Sweep {
    pub(in crate::state) fn new(at: i64, begun: Instant) -> Self {
        Self { at, from: None, swept: false, dropped: Vec::new(), deleted: 0, begun }
    }

    /// Does a bounded part of the work. Returns whether the sweep is complete with this batch.
    pub(in crate::state) fn step(
        &mut self,
        writer: &mut Writer,
        records: &Records,
        batch: &mut Batch,
    ) -> Result<bool, StateError> {
        if self.dropped.is_empty() && !self.swept {
            let step = writer.sweep(self.at, self.from.take(), LEAVES);
            self.dropped = step.dropped;
            self.dropped.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
            self.swept = step.next.is_none();
            self.from = step.next;
        }
        let keep = self.dropped.len().saturating_sub(RECORDS);
        for (at, tombstone) in self.dropped.drain(keep..).rev() {
            writer.shrink(records.delete(at, tombstone, batch)?);
            self.deleted += 1;
        }
        Ok(self.swept && self.dropped.is_empty())
    }
}
