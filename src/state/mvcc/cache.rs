//! Small values of recent revisions, kept in memory.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::types::revision::Revision;

/// Records by revision, up to a budget of bytes. A record never changes, so neither does an entry.
#[derive(Debug)]
pub struct ValueCache {
    budget: usize,
    map: Mutex<(HashMap<Revision, Bytes>, usize)>,
}

impl ValueCache {
    /// A cache of at most `budget` bytes; zero keeps nothing.
    pub fn new(budget: usize) -> Self {
        Self { budget, map: Mutex::default() }
    }

    /// Keeps the record of a revision, if it is small enough and there is room.
    pub fn insert(&self, at: Revision, record: &Bytes) {
        let mut map = self.map.lock();
        if map.1 + record.len() <= self.budget && map.0.insert(at, record.clone()).is_none() {
            map.1 += record.len();
        }
    }

    /// The record of a revision, if it is kept.
    pub fn get(&self, at: Revision) -> Option<Bytes> {
        self.map.lock().0.get(&at).cloned()
    }

    /// Forgets a revision that is not the newest of its key any more.
    pub fn remove(&self, at: Revision) {
        let mut map = self.map.lock();
        if let Some(record) = map.0.remove(&at) {
            map.1 -= record.len();
        }
    }
}
