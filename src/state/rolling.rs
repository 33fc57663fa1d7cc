//! A hash over everything that was ever applied, so that members can be compared at once.
//!
//! It is chained over what entries change, in the order in which they change it. So it depends on the
//! log and on nothing else: not on how entries were gathered into batches, not on restarts, and not on
//! when a compaction gets round to deleting. Members whose states are equal have equal hashes at equal
//! entries; a state that went another way once never comes back to the same hash.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::error::StateError;
use super::meta::{Progress, damaged};
use crate::storage::engine::{Batch, Engine, Space};

/// The hash of a state. Two of them can be compared when `applied` and `since` are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppliedHash {
    /// Index of the newest entry it covers.
    pub applied: u64,
    /// Index of the newest entry it does not cover: zero, unless an earlier release that kept no
    /// hash applied the first entries.
    pub since: u64,
    /// The hash.
    pub hash: u64,
}

/// The hash so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rolling {
    since: u64,
    hash: u64,
}

/// A kind of change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// A key got a value.
    Put(Space),
    /// A key went.
    Delete(Space),
    /// A compaction was accepted. That it deletes records later is no change of its own: when it
    /// does differs from member to member.
    Compaction,
}

/// Numbers of kinds beside those of spaces.
const DELETION: u64 = 0x80;
const COMPACTION: u64 = 0x40;

const KEY: &[u8] = b"rolling_hash";

impl Rolling {
    /// The stored hash. One that does not cover what was applied, or none, begins anew here: an
    /// earlier release has been at work, which does not keep it.
    pub(super) fn load(engine: &Engine, progress: &Progress) -> Result<Self, StateError> {
        let Some(bytes) = engine.get(Space::Meta, KEY)? else { return Ok(Self::after(progress)) };
        let stored =
            Self::decode(&bytes).ok_or_else(|| damaged("the record of the hash", &bytes))?;
        let covers = stored.applied == progress.applied;
        let rolling = Self { since: stored.since, hash: stored.hash };
        Ok(if covers { rolling } else { Self::after(progress) })
    }

    fn after(progress: &Progress) -> Self {
        Self { since: progress.applied, hash: 0 }
    }

    /// Adds one change.
    pub(super) fn add(&mut self, change: Change, key: &[u8], value: &[u8]) {
        let kind = match change {
            Change::Put(space) => space.slot() as u64,
            Change::Delete(space) => DELETION | space.slot() as u64,
            Change::Compaction => COMPACTION,
        };
        // The hash of the key parts it from the value.
        let key = xxh3_64_with_seed(key, self.hash.wrapping_add(kind));
        self.hash = xxh3_64_with_seed(value, key);
    }

    /// What it is after the entry `applied`.
    pub(super) fn at(self, applied: u64) -> AppliedHash {
        AppliedHash { applied, since: self.since, hash: self.hash }
    }

    pub(super) fn store(self, applied: u64, batch: &mut Batch) {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&applied.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.since.to_be_bytes());
        bytes[16..].copy_from_slice(&self.hash.to_be_bytes());
        batch.put(Space::Meta, KEY, &bytes);
    }

    pub(super) fn decode(bytes: &Bytes) -> Option<AppliedHash> {
        let (applied, rest) = bytes.split_first_chunk::<8>()?;
        let (since, hash) = rest.split_first_chunk::<8>()?;
        Some(AppliedHash {
            applied: u64::from_be_bytes(*applied),
            since: u64::from_be_bytes(*since),
            hash: u64::from_be_bytes(hash.try_into().ok()?),
        })
    }
}
