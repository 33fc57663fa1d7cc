//! Stored records: their bytes, and where they are found.

use bytes::Bytes;
use prost::Message;

use super::cache::ValueCache;
use super::neighbours;
use crate::proto::mvccpb::KeyValue;
use crate::state::error::{ReadError, StateError};
use crate::storage::engine::{Batch, Engine, Space};
use crate::types::revision::Revision;

/// The canonical bytes of a record: fields in number order, zero fields left out. Hashes over the
/// store are only comparable with etcd's because of this form.
pub(in crate::state) fn encode(kv: &KeyValue) -> Bytes {
    kv.encode_to_vec().into()
}

/// Reads a record; key and value share its memory.
pub(in crate::state) fn decode(at: Revision, record: Bytes) -> Result<KeyValue, StateError> {
    KeyValue::decode(record).map_err(|error| StateError::Damaged {
        what: format!("record of revision {}.{}", at.main, at.sub),
        why: error.to_string(),
    })
}

/// The key a record is stored under, as long as its kind needs.
pub(in crate::state) struct StoredKey {
    bytes: [u8; crate::types::revision::TOMBSTONE_BYTES],
    len: usize,
}

impl StoredKey {
    pub(in crate::state) fn new(at: Revision, tombstone: bool) -> Self {
        let len = crate::types::revision::REVISION_BYTES + usize::from(tombstone);
        Self { bytes: at.to_tombstone_bytes(), len }
    }

    pub(in crate::state) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// Reads the key of a stored record.
pub(in crate::state) fn read_key(key: &[u8]) -> Result<(Revision, bool), StateError> {
    Revision::from_bytes(key).ok_or_else(|| StateError::Damaged {
        what: "the key of a record".into(),
        why: format!("{} bytes that are not a revision", key.len()),
    })
}

/// Makes of a record what an answer keeps of it, or leaves it out.
pub(in crate::state) type Accept<'a, T> =
    dyn Fn(Revision, Bytes) -> Result<Option<T>, ReadError> + 'a;

/// Something records of puts can be fetched from.
pub(in crate::state) trait Fetch {
    /// The record of a put; `None` if there is none.
    fn fetch(&self, at: Revision) -> Result<Option<Bytes>, StateError>;

    /// As [`Self::fetch`], decoded; an absent record is an error.
    fn fetch_kv(&self, at: Revision) -> Result<KeyValue, StateError> {
        decode(at, self.fetch(at)?.ok_or(StateError::MissingRecord(at))?)
    }

    /// What `accept` makes of many records of puts, in the order of `at`. It sees each as it is read,
    /// in any order; its error ends everything, and so does an absent record.
    fn fetch_each<T>(&self, at: &[Revision], accept: &Accept<'_, T>) -> Result<Vec<T>, ReadError> {
        let record = |at: Revision| -> Result<Option<T>, ReadError> {
            accept(at, self.fetch(at)?.ok_or(StateError::MissingRecord(at))?)
        };
        at.iter().filter_map(|at| record(*at).transpose()).collect()
    }
}

/// Committed records: the engine behind the cache of values.
pub(in crate::state) struct Records {
    pub(in crate::state) engine: Engine,
    pub(in crate::state) cache: ValueCache,
}

impl Fetch for Records {
    fn fetch(&self, at: Revision) -> Result<Option<Bytes>, StateError> {
        if let Some(record) = self.cache.get(at) {
            return Ok(Some(record));
        }
        let record = self.engine.get(Space::Records, &at.to_bytes())?;
        if let Some(record) = &record {
            // A copy of its own: the engine's bytes may hold on to a whole block.
            self.cache.insert(at, &Bytes::copy_from_slice(record));
        }
        Ok(record)
    }

    fn fetch_each<T>(&self, at: &[Revision], accept: &Accept<'_, T>) -> Result<Vec<T>, ReadError> {
        neighbours::fetch_each(self, at, accept)
    }
}

impl Records {
    /// Deletes a record in the batch. Returns the bytes it took, zero if it was gone already.
    pub(in crate::state) fn delete(
        &self,
        at: Revision,
        tombstone: bool,
        batch: &mut Batch,
    ) -> Result<u64, StateError> {
        let key = StoredKey::new(at, tombstone);
        let Some(record) = self.engine.get(Space::Records, key.as_bytes())? else { return Ok(0) };
        batch.delete(Space::Records, key.as_bytes());
        self.cache.remove(at);
        Ok(weight(key.as_bytes(), &record))
    }
}

/// The bytes a record takes, as the space quota counts them.
pub(in crate::state) fn weight(key: &[u8], record: &[u8]) -> u64 {
    (key.len() + record.len()) as u64
}
