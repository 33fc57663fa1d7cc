//! Where events come from.

use std::sync::Arc;

use tokio::sync::watch;

use crate::proto::mvccpb;
use crate::types::range::KeyRange;

/// The changes of one revision, in the order they were made; `prev_kv` is not filled.
#[derive(Debug, Default)]
pub struct RevisionEvents {
    /// The revision all of them carry.
    pub revision: i64,
    /// One event per changed key.
    pub events: Vec<mvccpb::Event>,
}

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

    /// The key as it was just before `modified`; `None` when it was absent or that is compacted.
    fn previous(&self, key: &[u8], modified: i64) -> Option<mvccpb::KeyValue>;
}
