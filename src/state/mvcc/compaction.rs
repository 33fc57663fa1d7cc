//! Carrying out compactions: sweep the index a few leaves at a time, delete what it dropped.
//!
//! The compacted revision is on disk before the first record goes, so reads below it already fail.
//! After a restart the sweep of an unfinished compaction begins anew; deleting twice is harmless.

use std::time::{Duration, Instant};

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

/// How fast compactions go: batches of records, a pause after each. A batch is carried out in steps
/// between which apply has its turn, so that no pace holds it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Records deleted in one batch, at least one.
    pub batch: usize,
    /// Pause after a batch; zero is none.
    pub pause: Duration,
}

impl Default for Pace {
    /// No pause: the steps yield to apply anyway. The size then matters little; it is etcd's.
    fn default() -> Self {
        Self { batch: 1000, pause: Duration::ZERO }
    }
}

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
    pace: Pace,
    /// Records this batch may still delete.
    left: usize,
    /// End of the pause after the last batch.
    resumes: Option<Instant>,
}

impl Sweep {
    pub(in crate::state) fn new(at: i64, begun: Instant, pace: Pace) -> Self {
        let pace = Pace { batch: pace.batch.max(1), ..pace };
        Self {
            at,
            from: None,
            swept: false,
            dropped: Vec::new(),
            deleted: 0,
            begun,
            pace,
            left: pace.batch,
            resumes: None,
        }
    }

    /// Until when it pauses, if it does.
    pub(in crate::state) fn pauses(&self, now: Instant) -> Option<Instant> {
        self.resumes.filter(|resumes| *resumes > now)
    }

    /// Goes through a bounded part of the index, unless there are records left to delete from the
    /// last part. Returns whether it did.
    pub(in crate::state) fn search(&mut self, writer: &mut Writer) -> bool {
        let due = self.dropped.is_empty() && !self.swept;
        if due {
            let step = writer.sweep(self.at, self.from.take(), LEAVES);
            self.dropped = step.dropped;
            self.dropped.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
            self.swept = step.next.is_none();
            self.from = step.next;
        }
        due
    }

    /// Deletes a bounded number of records at `now`. Returns whether the sweep is complete with it.
    pub(in crate::state) fn delete(
        &mut self,
        now: Instant,
        writer: &mut Writer,
        records: &Records,
        batch: &mut Batch,
    ) -> Result<bool, StateError> {
        let keep = self.dropped.len().saturating_sub(self.left.min(RECORDS));
        self.left -= self.dropped.len() - keep;
        for (at, tombstone) in self.dropped.drain(keep..).rev() {
            writer.shrink(records.delete(at, tombstone, batch)?);
            self.deleted += 1;
        }
        if self.left == 0 {
            self.left = self.pace.batch;
            self.resumes = now.checked_add(self.pace.pause);
        }
        Ok(self.swept && self.dropped.is_empty())
    }
}
