//! Where events come from.

use std::sync::Arc;

use tokio::sync::watch;

use crate::proto::mvccpb::KeyValue;
use crate::state::mvcc::recent::RevisionEvents;
use crate::state::reader::Limits;
use crate::state::{ReadError, Reader};
use crate::types::range::KeyRange;

/// How much of history to read at once; at least one revision is always read.
#[derive(Clone, Copy, Debug)]
pub struct HistoryLimits {
    /// Revisions.
    pub revisions: usize,
    /// Bytes of keys and values, about.
    pub bytes: usize,
}

/// A stretch of history.
#[derive(Debug)]
pub struct History {
    /// The revisions that touched the range, with only the events inside it.
    pub batches: Vec<Arc<RevisionEvents>>,
    /// The last revision the stretch covers, whether or not it touched the range.
    pub end: i64,
}

/// Why history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The first revision asked for is gone.
    #[error("history before revision {compacted} is compacted")]
    Compacted {
        /// The oldest revision that can still be read.
        compacted: i64,
    },
    /// The store could not be read.
    #[error("history cannot be read: {0}")]
    Store(String),
}

/// What the hub needs to know of the store; nothing here writes.
pub trait Source: Send + Sync + 'static {
    /// The newest committed revision.
    fn revision(&self) -> i64;

    /// The last compacted revision, -1 when there was none.
    fn compacted(&self) -> i64;

    /// Tells whenever a newer revision is committed.
    fn published(&self) -> watch::Receiver<i64>;

    /// The revisions after `revision`, all of them and in order, from memory; `None` when memory
    /// does not reach back that far.
    fn recent(&self, revision: i64) -> Option<Vec<Arc<RevisionEvents>>>;

    /// Reads the changes of `range` in the revisions of `span`, both ends included, oldest first,
    /// within limits. Blocks on the disk.
    ///
    /// # Errors
    /// If the first revision is compacted or the store cannot be read.
    fn history(
        &self,
        range: &KeyRange,
        span: (i64, i64),
        limits: HistoryLimits,
    ) -> Result<History, HistoryError>;

    /// The key of the event at `place` as it was before the revision; `None` when it was absent or
    /// that is compacted. May read the disk.
    fn previous(&self, batch: &RevisionEvents, place: usize) -> Option<KeyValue>;
}

impl Source for Reader {
    fn revision(&self) -> i64 {
        Self::revision(self)
    }

    fn compacted(&self) -> i64 {
        Self::compacted(self)
    }

    fn published(&self) -> watch::Receiver<i64> {
        self.events().revisions()
    }

    fn recent(&self, revision: i64) -> Option<Vec<Arc<RevisionEvents>>> {
        self.events().since(revision + 1)
    }

    fn history(
        &self,
        range: &KeyRange,
        (from, to): (i64, i64),
        limits: HistoryLimits,
    ) -> Result<History, HistoryError> {
        let HistoryLimits { revisions, bytes } = limits;
        // Below the first revision there is nothing, but clients may ask for it.
        let (from, limits) = (from.max(1), Limits { revisions, bytes, ..Limits::default() });
        match Self::history(self, range, from, to, limits) {
            Ok(page) => Ok(History { batches: page.revisions, end: page.next - 1 }),
            Err(ReadError::Compacted) => {
                Err(HistoryError::Compacted { compacted: Self::compacted(self) })
            }
            Err(error) => Err(HistoryError::Store(error.to_string())),
        }
    }

    fn previous(&self, batch: &RevisionEvents, place: usize) -> Option<KeyValue> {
        let at = batch.prev.get(place).copied().flatten()?;
        self.prev_record(at, batch.revision).unwrap_or_else(|error| {
            tracing::error!(%error, revision = batch.revision, "cannot read a previous value");
            None
        })
    }
}
