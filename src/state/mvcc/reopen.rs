//! Rebuilding the index: from a checkpoint and the records above it, or from all records.

use std::ops::Bound;
use std::path::Path;

use bytes::Bytes;

use super::checkpoint::{self, Stamp};
use super::index::{Index, KeyMeta};
use super::record;
use crate::state::error::StateError;
use crate::state::meta::{Compactions, Progress};
use crate::storage::engine::{Engine, Space};
use crate::types::revision::Revision;

/// The rebuilt index.
pub(in crate::state) struct Reopened {
    pub(in crate::state) index: Index,
    /// What the checkpoint reflected, if one was used.
    pub(in crate::state) stamp: Option<Stamp>,
    /// Records read to bring it up to date.
    pub(in crate::state) replayed: u64,
}

/// Rebuilds the index as it was at the stored revision.
pub(in crate::state) fn reopen(
    engine: &Engine,
    path: Option<&Path>,
    progress: &Progress,
    compactions: Compactions,
) -> Result<Reopened, StateError> {
    let loaded = path.and_then(|path| usable(path, progress, compactions));
    let (mut index, stamp) = match loaded {
        Some((index, stamp)) => (index, Some(stamp)),
        None => (Index::new(), None),
    };
    let from = Revision::new(stamp.map_or(0, |stamp| stamp.revision + 1), 0).to_bytes();
    let kept_from = stamp.map_or(1, |stamp| stamp.revision).max(compactions.scheduled);
    let mut history = History { kept_from, newest: kept_from, end: progress.revision };
    let mut replayed = 0;
    for pair in engine.scan(Space::Records, Bound::Included(&from), Bound::Unbounded) {
        let (key, value) = pair?;
        history.follow(replay(&mut index, &key, value)?)?;
        replayed += 1;
    }
    history.finish()?;
    Ok(Reopened { index, stamp, replayed })
}

/// Checks that no revision is missing and none is ahead of the stored progress: records and
/// progress are written together, so that anything else means that a part of them is lost.
struct History {
    /// Every revision above this one is in the records.
    kept_from: i64,
    newest: i64,
    end: i64,
}

impl History {
    fn follow(&mut self, revision: i64) -> Result<(), StateError> {
        if revision > self.end {
            return Err(StateError::Incomplete(format!(
                "there is a record of revision {revision}, but the newest applied entry led to {}",
                self.end
            )));
        }
        if revision <= self.kept_from || revision == self.newest {
            return Ok(());
        }
        if revision != self.newest + 1 {
            return Err(self.gap());
        }
        self.newest = revision;
        Ok(())
    }

    fn finish(self) -> Result<(), StateError> {
        if self.newest < self.end { Err(self.gap()) } else { Ok(()) }
    }

    fn gap(&self) -> StateError {
        let missing = self.newest + 1;
        StateError::Incomplete(format!("the records of revision {missing} are missing"))
    }
}

/// A checkpoint that the records can complete, if there is one.
fn usable(path: &Path, progress: &Progress, compactions: Compactions) -> Option<(Index, Stamp)> {
    let loaded = match checkpoint::load(path) {
        Ok(loaded) => loaded?,
        Err(error) => {
            tracing::warn!(%error, "index checkpoint is not used, reading all records instead");
            return None;
        }
    };
    let stamp = loaded.1;
    // Newer than the records: after a power cut, for one. Older than a compaction: the records
    // between them may be gone, and with them what happened to their keys. Swept further than the
    // store: records would be left that nobody knows of.
    let fits = stamp.revision <= progress.revision
        && stamp.revision >= compactions.scheduled
        && stamp.compacted <= compactions.finished;
    if !fits {
        tracing::info!(
            checkpoint_revision = stamp.revision,
            checkpoint_compacted = stamp.compacted,
            revision = progress.revision,
            compacted = compactions.scheduled,
            "index checkpoint does not fit the records, reading all of them instead"
        );
    }
    fits.then_some(loaded)
}

/// Enters a record into the index; tells its main revision.
fn replay(index: &mut Index, stored_key: &Bytes, value: Bytes) -> Result<i64, StateError> {
    let (at, tombstone) = record::read_key(stored_key)?;
    let kv = record::decode(at, value)?;
    if tombstone {
        index.restore_tombstone(&kv.key, at);
    } else {
        let meta = KeyMeta {
            create: kv.create_revision,
            modified: at,
            version: kv.version,
            lease: kv.lease,
        };
        index.restore(&kv.key, meta);
    }
    Ok(at.main)
}
