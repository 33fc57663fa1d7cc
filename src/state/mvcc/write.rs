//! Write transactions: they allocate revisions and stage records and events until a whole batch of
//! them is committed to the engine at once.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::index::{Index, KeyMeta, Root};
use super::read::View;
use super::recent::RevisionEvents;
use super::record::{self, Fetch, Records, StoredKey};
use crate::proto::mvccpb::event::EventType;
use crate::proto::mvccpb::{Event, KeyValue};
use crate::state::error::StateError;
use crate::state::rolling::{Change, Rolling};
use crate::storage::engine::{Batch, Space};
use crate::types::range::KeyRange;
use crate::types::revision::Revision;

struct Staged {
    at: Revision,
    tombstone: bool,
    record: Bytes,
}

/// The single writer. A transaction is open from its first change until [`Writer::end`].
pub(in crate::state) struct Writer {
    index: Index,
    records: Arc<Records>,
    /// The newest ended transaction.
    revision: i64,
    compacted: i64,
    /// Bytes of all records, staged ones included.
    live: u64,
    /// Ascending by revision; none of them is in the engine yet.
    staged: Vec<Staged>,
    /// How many of them are in the rolling hash.
    folded: usize,
    open: RevisionEvents,
    ended: Vec<Arc<RevisionEvents>>,
    /// Records this batch replaced; they leave the cache one batch later, when watchers that want
    /// previous values had their chance.
    replaced: Vec<Revision>,
}

/// Where a writer begins.
pub(in crate::state) struct Start {
    pub(in crate::state) index: Index,
    pub(in crate::state) revision: i64,
    pub(in crate::state) compacted: i64,
    pub(in crate::state) live: u64,
}

impl Writer {
    pub(in crate::state) fn new(start: Start, records: Arc<Records>) -> Self {
        Self {
            index: start.index,
            records,
            revision: start.revision,
            compacted: start.compacted,
            live: start.live,
            staged: Vec::new(),
            folded: 0,
            open: no_events(),
            ended: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// What a read inside the open transaction sees: its own changes under the revision it is going
    /// to have, or the newest ended transaction if it changed nothing yet.
    pub(in crate::state) fn view(&self) -> View<'_> {
        View { root: self.index.view(), revision: self.visible(), compacted: self.compacted }
    }

    /// The revision reads see now, and headers carry.
    pub(in crate::state) fn visible(&self) -> i64 {
        self.revision + i64::from(!self.open.events.is_empty())
    }

    pub(in crate::state) fn compacted(&self) -> i64 {
        self.compacted
    }

    pub(in crate::state) fn live(&self) -> u64 {
        self.live
    }

    pub(in crate::state) fn root(&self) -> Root {
        self.index.root()
    }

    /// Writes a key. Returns its previous state.
    pub(in crate::state) fn put(
        &mut self,
        key: &Bytes,
        value: Bytes,
        lease: i64,
    ) -> Result<Option<KeyMeta>, StateError> {
        let at = self.next();
        let (meta, previous) = self.index.put(key, at, lease);
        let kv = KeyValue {
            key: key.clone(),
            create_revision: meta.create,
            mod_revision: at.main,
            version: meta.version,
            value,
            lease,
        };
        let record = record::encode(&kv);
        // Decoded again, so that the event, the cache and readers share the record's memory and do
        // not hold on to the larger request.
        let kv = record::decode(at, record.clone())?;
        self.stage(at, false, record);
        self.emit(EventType::Put, kv, previous);
        Ok(previous)
    }

    /// Deletes the keys of a range. Returns them with their last states, ascending.
    pub(in crate::state) fn delete(&mut self, range: &KeyRange) -> Vec<(Bytes, KeyMeta)> {
        let doomed = self.live_keys(range);
        for (key, meta) in &doomed {
            let at = self.next();
            self.index.tombstone(key, at);
            let record = record::encode(&KeyValue { key: key.clone(), ..KeyValue::default() });
            self.stage(at, true, record);
            let kv = KeyValue { key: key.clone(), mod_revision: at.main, ..KeyValue::default() };
            self.emit(EventType::Delete, kv, Some(*meta));
        }
        doomed
    }

    fn live_keys(&self, range: &KeyRange) -> Vec<(Bytes, KeyMeta)> {
        if let KeyRange::Single(key) = range {
            // A copy of its own: the given key may be a slice of a large request.
            let found = self.index.view().get(key);
            return found.map(|meta| (Bytes::copy_from_slice(key), meta)).into_iter().collect();
        }
        let mut found = Vec::new();
        self.index.view().for_each(range, |key, meta| {
            found.push((Bytes::copy_from_slice(key), meta));
            ControlFlow::Continue(())
        });
        found
    }

    /// Ends the open transaction; without changes there is none and nothing happens. Returns the
    /// store's revision.
    pub(in crate::state) fn end(&mut self) -> i64 {
        if !self.open.events.is_empty() {
            self.revision += 1;
            let mut ended = std::mem::replace(&mut self.open, no_events());
            ended.revision = self.revision;
            self.ended.push(Arc::new(ended));
        }
        self.revision
    }

    /// Accepts a compaction; reads below `at` fail from the next publication on.
    pub(in crate::state) fn set_compacted(&mut self, at: i64) {
        self.compacted = at;
    }

    /// One step of a sweep; see [`Index::compact_step`].
    pub(in crate::state) fn sweep(
        &mut self,
        at: i64,
        from: Option<Bytes>,
        leaves: usize,
    ) -> super::index::Step {
        self.index.compact_step(at, from, leaves)
    }

    /// Accounts for records that a compaction deleted.
    pub(in crate::state) fn shrink(&mut self, bytes: u64) {
        self.live = self.live.saturating_sub(bytes);
    }

    /// Enters what was staged since the last call into the rolling hash.
    pub(in crate::state) fn fold(&mut self, rolling: &mut Rolling) {
        for one in self.staged.get(self.folded..).unwrap_or_default() {
            let key = StoredKey::new(one.at, one.tombstone);
            rolling.add(Change::Put(Space::Records), key.as_bytes(), &one.record);
        }
        self.folded = self.staged.len();
    }

    /// Writes everything staged into the engine's batch.
    pub(in crate::state) fn flush(&self, batch: &mut Batch) {
        for one in &self.staged {
            let key = StoredKey::new(one.at, one.tombstone);
            batch.put_bytes(Space::Records, key.as_bytes(), one.record.clone());
        }
    }

    /// Forgets what was staged, because the batch is committed. Returns the ended transactions.
    pub(in crate::state) fn committed(&mut self) -> Vec<Arc<RevisionEvents>> {
        let replaced = std::mem::take(&mut self.replaced);
        for batch in &self.ended {
            self.replaced.extend(batch.prev.iter().flatten());
        }
        for at in replaced {
            self.records.cache.remove(at);
        }
        self.folded = 0;
        for one in self.staged.drain(..) {
            if !one.tombstone {
                self.records.cache.insert(one.at, &one.record);
            }
        }
        std::mem::take(&mut self.ended)
    }

    fn next(&self) -> Revision {
        Revision::new(self.revision + 1, self.open.events.len() as i64)
    }

    fn stage(&mut self, at: Revision, tombstone: bool, record: Bytes) {
        self.live += record::weight(StoredKey::new(at, tombstone).as_bytes(), &record);
        self.staged.push(Staged { at, tombstone, record });
    }

    fn emit(&mut self, kind: EventType, kv: KeyValue, previous: Option<KeyMeta>) {
        let before = self.revision;
        let prev = previous.map(|meta| meta.modified).and_then(|at| {
            // Changed twice in one transaction: watchers are told what was there before it.
            if at.main > before { self.index.view().get_at(&kv.key, before) } else { Some(at) }
        });
        self.open.events.push(Event { r#type: kind as i32, kv: Some(kv), prev_kv: None });
        self.open.prev.push(prev);
    }
}

impl Fetch for Writer {
    fn fetch(&self, at: Revision) -> Result<Option<Bytes>, StateError> {
        if self.staged.first().is_some_and(|first| at >= first.at) {
            let found = self.staged.binary_search_by_key(&at, |one| one.at);
            return Ok(found
                .ok()
                .and_then(|place| self.staged.get(place))
                .map(|one| one.record.clone()));
        }
        self.records.fetch(at)
    }
}

fn no_events() -> RevisionEvents {
    RevisionEvents { revision: 0, events: Vec::new(), prev: Vec::new() }
}
