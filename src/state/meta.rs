//! The few facts about the state as a whole, as stored.

use bytes::Bytes;

use super::error::StateError;
use crate::storage::engine::{Batch, Engine, Space};

/// Written with every batch: how far the log is applied, and what that came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Index of the newest applied entry.
    pub(super) applied: u64,
    /// The revision after it.
    pub(super) revision: i64,
    /// Bytes of all records after it.
    pub(super) live: u64,
    /// The id of that entry, opaque.
    pub(super) log_id: Bytes,
}

impl Default for Progress {
    /// That of an empty store, which is at revision 1.
    fn default() -> Self {
        Self { applied: 0, revision: 1, live: 0, log_id: Bytes::new() }
    }
}

/// Compactions; both -1 before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compactions {
    /// Accepted: reads below it fail.
    pub(super) scheduled: i64,
    /// Carried out: what nobody can read is deleted.
    pub(super) finished: i64,
}

impl Default for Compactions {
    fn default() -> Self {
        Self { scheduled: -1, finished: -1 }
    }
}

const PROGRESS: &[u8] = b"progress";
const COMPACTIONS: &[u8] = b"compactions";
const MEMBERSHIP: &[u8] = b"membership";
const RECEIVED: &[u8] = b"received";

impl Progress {
    /// The stored progress; `None` before the first entry.
    pub(super) fn load(engine: &Engine) -> Result<Option<Self>, StateError> {
        let Some(bytes) = engine.get(Space::Meta, PROGRESS)? else { return Ok(None) };
        match Self::decode(&bytes) {
            Some(progress) => Ok(Some(progress)),
            None => Err(damaged("the progress record", &bytes)),
        }
    }

    pub(super) fn store(&self, batch: &mut Batch) {
        let mut bytes = Vec::with_capacity(24 + self.log_id.len());
        bytes.extend_from_slice(&self.applied.to_be_bytes());
        bytes.extend_from_slice(&self.revision.to_be_bytes());
        bytes.extend_from_slice(&self.live.to_be_bytes());
        bytes.extend_from_slice(&self.log_id);
        batch.put(Space::Meta, PROGRESS, &bytes);
    }

    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let (applied, rest) = bytes.split_first_chunk::<8>()?;
        let (revision, rest) = rest.split_first_chunk::<8>()?;
        let (live, log_id) = rest.split_first_chunk::<8>()?;
        Some(Self {
            applied: u64::from_be_bytes(*applied),
            revision: i64::from_be_bytes(*revision),
            live: u64::from_be_bytes(*live),
            log_id: Bytes::copy_from_slice(log_id),
        })
    }
}

impl Compactions {
    pub(super) fn load(engine: &Engine) -> Result<Self, StateError> {
        let Some(bytes) = engine.get(Space::Meta, COMPACTIONS)? else {
            return Ok(Self::default());
        };
        let words = bytes.split_first_chunk::<8>().and_then(|(scheduled, rest)| {
            let finished = <[u8; 8]>::try_from(rest).ok()?;
            Some((i64::from_be_bytes(*scheduled), i64::from_be_bytes(finished)))
        });
        let (scheduled, finished) =
            words.ok_or_else(|| damaged("the compaction record", &bytes))?;
        Ok(Self { scheduled, finished })
    }

    pub(super) fn store(self, batch: &mut Batch) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.scheduled.to_be_bytes());
        bytes[8..].copy_from_slice(&self.finished.to_be_bytes());
        batch.put(Space::Meta, COMPACTIONS, &bytes);
    }
}

/// The stored membership, opaque.
pub(super) fn membership(engine: &Engine) -> Result<Option<Bytes>, StateError> {
    Ok(engine.get(Space::Meta, MEMBERSHIP)?)
}

pub(super) fn store_membership(membership: &[u8], batch: &mut Batch) {
    batch.put(Space::Meta, MEMBERSHIP, membership);
}

/// The id of the entry at which the state was received from another member; `None` if it never was.
pub(super) fn received(engine: &Engine) -> Result<Option<Bytes>, StateError> {
    Ok(engine.get(Space::Meta, RECEIVED)?)
}

/// Says that the state was received at this entry.
pub(super) fn store_received(log_id: &[u8], batch: &mut Batch) {
    batch.put(Space::Meta, RECEIVED, log_id);
}

pub(super) fn damaged(what: &str, bytes: &[u8]) -> StateError {
    StateError::Damaged { what: what.into(), why: format!("{} bytes do not read", bytes.len()) }
}
