//! What entries change beside records: staged for the engine and entered into the rolling hash.

use super::rolling::{Change, Rolling};
use crate::storage::engine::{Batch, Space};

/// A batch of the engine being filled by apply.
pub(super) struct Changes {
    batch: Batch,
    pub(super) rolling: Rolling,
}

impl Changes {
    /// Goes on with the hash where it stood.
    pub(super) fn new(batch: Batch, rolling: Rolling) -> Self {
        Self { batch, rolling }
    }

    /// Sets a key.
    pub(super) fn put(&mut self, space: Space, key: &[u8], value: &[u8]) {
        self.batch.put(space, key, value);
        self.rolling.add(Change::Put(space), key, value);
    }

    /// Removes a key.
    pub(super) fn delete(&mut self, space: Space, key: &[u8]) {
        self.batch.delete(space, key);
        self.rolling.add(Change::Delete(space), key, &[]);
    }

    /// For what is stored and not entered into the hash as it is.
    pub(super) fn apart(&mut self) -> &mut Batch {
        &mut self.batch
    }

    pub(super) fn into_parts(self) -> (Batch, Rolling) {
        (self.batch, self.rolling)
    }
}
