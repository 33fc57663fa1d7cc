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
    let mut replayed = 0;
    for pair in engine.scan(Space::Records, Bound::Included(&from), Bound::Unbounded) {
        let (key, value) = pair?;
        replay(&mut index, &key, value)?;
        replayed += 1;
    }
    Ok(Reopened { index, stamp, replayed })
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

fn replay(index: &mut Index, stored_key: &Bytes, value: Bytes) -> Result<(), StateError> {
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
    Ok(())
}
