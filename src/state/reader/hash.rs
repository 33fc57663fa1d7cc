//! The hash over the history of the store, as etcd computes it.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::state::error::{ReadError, StateError};
use crate::state::mvcc::record;
use crate::state::shared::{Published, Shared};
use crate::storage::engine::{Space, View};
use crate::types::range::KeyRange;
use crate::types::revision::Revision;

/// A hash with what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// CRC-32C over the records that count.
    pub hash: u32,
    /// The compacted revision that decided which records count, -1 for none.
    pub compacted: i64,
    /// The revision up to which records were hashed.
    pub revision: i64,
    /// The store's revision when the hash was begun; for the header.
    pub current: i64,
}

/// What etcd feeds to the hash before the records: the name of the bucket they lie in there.
const PREFIX: &[u8] = b"key";

/// Hashes all records up to `asked`, zero for the current revision. Up to a negative one there are
/// none, and etcd says so instead of calling it compacted.
pub(in crate::state) fn hash_kv(shared: &Shared, asked: i64) -> Result<Hash, ReadError> {
    loop {
        let before = shared.published.load_full();
        let (current, view) = (before.revision, before.records.engine.view());
        // Loaded after the view was taken: whatever a compaction deleted before, it had announced.
        let state = shared.published.load_full();
        if !Arc::ptr_eq(&before.records, &state.records) {
            // Another state took the place of this one in between.
            continue;
        }
        let revision = if asked == 0 { current } else { asked };
        if asked > current {
            return Err(ReadError::FutureRevision);
        }
        if asked >= 0 && revision < state.compacted {
            if asked == 0 {
                continue;
            }
            return Err(ReadError::Compacted);
        }
        let keep_at = if keeps_any(&view, &state, revision)? { revision } else { state.compacted };
        let mut hasher = Hasher { state: &state, keep_at, hash: crc32c::crc32c(PREFIX) };
        // The bytes of a negative revision would sort above all others.
        let end = Revision::new(revision.saturating_add(1).max(0), 0).to_bytes();
        for pair in view.scan(Space::Records, Bound::Unbounded, Bound::Excluded(&end)) {
            let (key, value) = pair.map_err(StateError::from)?;
            hasher.add(&key, &value)?;
        }
        return Ok(Hash { hash: hasher.hash, compacted: state.compacted, revision, current });
    }
}

struct Hasher<'a> {
    state: &'a Published,
    /// Of compacted records only those count that this revision would keep. When it would keep
    /// none, those that the compaction itself kept: etcd has a hole there and skips nothing.
    keep_at: i64,
    hash: u32,
}

/// Whether etcd finds any key worth keeping at a revision. One that is deleted and written anew in the
/// transaction of that very revision is none: etcd sees its deletion first.
fn keeps_any(view: &View, state: &Published, revision: i64) -> Result<bool, StateError> {
    let everything = KeyRange::From(Bytes::new());
    let living = state.root.count_at(&everything, revision);
    let mut overlooked = BTreeSet::new();
    let from = Revision::new(revision.max(0), 0).to_bytes();
    let end = Revision::new(revision.saturating_add(1).max(0), 0).to_bytes();
    for pair in view.scan(Space::Records, Bound::Included(&from), Bound::Excluded(&end)) {
        let (key, value) = pair?;
        let (at, tombstone) = record::read_key(&key)?;
        if tombstone {
            let key = record::decode(at, value)?.key;
            if state.root.get_at(&key, revision).is_some() {
                overlooked.insert(key);
            }
        }
    }
    Ok(living > overlooked.len() as u64)
}

impl Hasher<'_> {
    fn add(&mut self, stored_key: &[u8], value: &Bytes) -> Result<(), StateError> {
        let (at, tombstone) = record::read_key(stored_key)?;
        if at.main <= self.state.compacted {
            let hash_skips = tombstone || {
                let kv = record::decode(at, value.clone())?;
                self.state.root.get_at(&kv.key, self.keep_at) != Some(at)
            };
            if hash_skips {
                return Ok(());
            }
        }
        self.hash = crc32c::crc32c_append(self.hash, stored_key);
        self.hash = crc32c::crc32c_append(self.hash, value);
        Ok(())
    }
}
