//! Everything that only looks: ranges, read-only transactions, history, leases, sizes, hashes.

mod hash;
mod history;
mod stream;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::broadcast;

use super::alarm::Alarms;
use super::apply::authorize::{Demand, authorize};
use super::auth::{Auth, Caller};
use super::error::{ApplyError, ReadError, StateError};
use super::late::{self, Late};
use super::lease::{Lease, LeaseEvent, Leases};
use super::membership::Members;
use super::mvcc::read::{self, Meter};
use super::mvcc::recent::Recent;
use super::mvcc::record::Fetch;
use super::outcome::Response;
use super::rolling::AppliedHash;
use super::shared::{Published, Shared};
use super::{apply, quota};
use crate::proto::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use crate::proto::internal::request::Op;
use crate::proto::mvccpb::KeyValue;
use crate::types::clock::Clock;
use crate::types::ids::LeaseId;
use crate::types::range::KeyRange;
use crate::types::revision::Revision;

pub use super::mvcc::read::RangeAnswer;
pub use hash::Hash;
pub use history::{Limits, Page};
pub use stream::RangeStream;

/// How much room the state takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes on disk.
    pub allocated: u64,
    /// Bytes of live records, history since the last compaction included; what the quota counts.
    pub in_use: u64,
}

/// The readers' side of the state machine. Clones share it; no call makes apply wait.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Runs a read on the newest state; again when a compaction took records away under it.
    fn read<T>(&self, read: impl Fn(&Published) -> Result<T, ReadError>) -> Result<T, ReadError> {
        loop {
            let state = self.shared.published.load();
            match read(&state) {
                Err(ReadError::State(StateError::MissingRecord(_)))
                    if self.shared.published.load().compacted > state.compacted => {}
                result => return result,
            }
        }
    }

    /// Answers a range request from the newest state applied here. The header carries the revision
    /// of that state and nothing else.
    ///
    /// # Errors
    /// The revision is compacted or in the future, a sort option is unknown, the store failed.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
        self.shared.metrics.range();
        let meter = Meter::new(usize::MAX);
        self.read(|state| read::range(state.view(), &*state.records, request, &meter))
    }

    /// As [`Self::range`], with a bound on the bytes held for it, and with the keys as they are stored
    /// where nobody has to look into them.
    ///
    /// # Errors
    /// Besides, [`ReadError::TooLarge`].
    pub fn range_stored(
        &self,
        request: &RangeRequest,
        limit: usize,
    ) -> Result<RangeAnswer, ReadError> {
        self.shared.metrics.range();
        self.read(|state| {
            read::range_stored(state.view(), &*state.records, request, &Meter::new(limit))
        })
    }

    /// Answers a range request in pieces of about `piece_bytes` that belong to one revision.
    ///
    /// # Errors
    /// As [`Self::range`].
    pub fn range_stream(
        &self,
        request: RangeRequest,
        piece_bytes: usize,
    ) -> Result<RangeStream, ReadError> {
        RangeStream::new(Arc::clone(&self.shared), request, piece_bytes)
    }

    /// Answers a transaction that only ranges, with a bound on the bytes held for it. The outer header
    /// carries the revision.
    ///
    /// # Errors
    /// As [`Self::range_stored`], or the transaction holds an operation other than a range.
    pub fn txn_readonly(
        &self,
        request: &TxnRequest,
        limit: usize,
    ) -> Result<TxnResponse, ReadError> {
        self.read(|state| {
            apply::read_only(state.view(), &*state.records, request, &Meter::new(limit))
        })
    }

    /// The reply to a request that was applied here, with its late parts, as the state was then.
    ///
    /// # Errors
    /// [`ReadError::TooLarge`] as [`Self::range_stored`]; [`ReadError::Compacted`] if a compaction
    /// since then took something the reply should hold.
    pub fn complete(
        &self,
        response: &Response,
        late: &[Late],
        limit: usize,
    ) -> Result<Response, ReadError> {
        let state = self.shared.published.load_full();
        late::complete(&state.records, response, late, limit).map_err(|error| {
            let compacted = self.compacted();
            let taken = late.iter().any(|part| part.is_compacted(&error, compacted));
            if taken { ReadError::Compacted } else { error }
        })
    }

    /// The newest revision; 1 for an empty store.
    pub fn revision(&self) -> i64 {
        self.shared.published.load().revision
    }

    /// The compacted revision, -1 for none.
    pub fn compacted(&self) -> i64 {
        self.shared.published.load().compacted
    }

    /// The index of the newest log entry whose effects can be read.
    pub fn applied_index(&self) -> u64 {
        self.shared.published.load().applied
    }

    /// The hash over everything applied so far, with the entry it stands at: both of the same moment.
    pub fn applied_hash(&self) -> AppliedHash {
        self.shared.published.load().hash
    }

    /// The hash over everything applied up to an entry; `None` if that is not among the newest ones,
    /// of which some thousand are remembered.
    pub fn applied_hash_at(&self, applied: u64) -> Option<AppliedHash> {
        self.shared.trail.at(applied)
    }

    /// The oldest entry for which [`Self::applied_hash_at`] knows the hash.
    pub fn oldest_applied_hash(&self) -> u64 {
        self.shared.trail.oldest()
    }

    /// How many keys are live, and how many records the index refers to.
    pub fn key_counts(&self) -> (u64, u64) {
        let state = self.shared.published.load();
        (state.root.len(), state.root.revisions())
    }

    /// The newest revisions with their events, and signals for new ones and for compactions.
    pub fn events(&self) -> &Recent {
        &self.shared.recent
    }

    /// Changes to keys of `range` at main revisions `from` to `to`, both included, read from the
    /// records; ends early when `limits` are reached, never inside a revision.
    ///
    /// # Errors
    /// `from` is below the compacted revision, or the store failed.
    pub fn history(
        &self,
        range: &KeyRange,
        from: i64,
        to: i64,
        limits: Limits,
    ) -> Result<Page, ReadError> {
        history::page(&self.shared, range, from..=to, limits)
    }

    /// The value of a key right before main revision `modified`; `None` if it had none, or if that
    /// is compacted.
    ///
    /// # Errors
    /// The store failed.
    pub fn prev_kv(&self, key: &[u8], modified: i64) -> Result<Option<KeyValue>, ReadError> {
        self.read(|state| {
            if modified - 1 < state.compacted {
                return Ok(None);
            }
            read::get_at(state.view(), &*state.records, key, modified - 1)
        })
    }

    /// As [`Self::prev_kv`] when the record is known from
    /// [`RevisionEvents::prev`](super::mvcc::recent::RevisionEvents::prev): spares the search.
    ///
    /// # Errors
    /// The store failed.
    pub fn prev_record(&self, at: Revision, modified: i64) -> Result<Option<KeyValue>, ReadError> {
        self.read(|state| {
            if modified - 1 < state.compacted {
                return Ok(None);
            }
            Ok(Some(state.records.fetch_kv(at)?))
        })
    }

    /// The hash over all records up to a revision, zero for the current one; equal on members with
    /// equal histories and compactions, and equal to etcd's.
    ///
    /// # Errors
    /// The revision is compacted or in the future, or the store failed. Reads everything: call it
    /// where blocking is allowed.
    pub fn hash_kv(&self, revision: i64) -> Result<Hash, ReadError> {
        let begun = Clock.now();
        let hash = hash::hash_kv(&self.shared, revision)?;
        self.shared.metrics.hash(Clock.now() - begun);
        Ok(hash)
    }

    /// All leases, ascending by id.
    pub fn leases(&self) -> Vec<Lease> {
        self.shared.leases.list()
    }

    /// A lease without its keys.
    pub fn lease(&self, id: LeaseId) -> Option<Lease> {
        self.shared.leases.get(id)
    }

    /// The keys that hang on a lease, ascending.
    pub fn lease_keys(&self, id: LeaseId) -> Vec<Bytes> {
        self.shared.leases.keys(id)
    }

    /// The lease table itself.
    pub fn lease_table(&self) -> &Leases {
        &self.shared.leases
    }

    /// Grants, revocations and checkpoints from now on, in apply order. A receiver that falls
    /// behind is told so and reads [`Self::leases`] anew.
    pub fn lease_events(&self) -> broadcast::Receiver<LeaseEvent> {
        self.shared.lease_events.subscribe()
    }

    /// The active alarms.
    pub fn alarms(&self) -> Arc<Alarms> {
        Arc::clone(&self.shared.published.load().alarms)
    }

    /// What members published about themselves, and the cluster version.
    pub fn members(&self) -> Arc<Members> {
        Arc::clone(&self.shared.published.load().members)
    }

    /// Users and roles.
    pub fn auth(&self) -> Arc<Auth> {
        Arc::clone(&self.shared.published.load().auth)
    }

    /// Whether anybody is asked who it is.
    pub fn is_auth_enabled(&self) -> bool {
        self.shared.published.load().auth.is_enabled()
    }

    /// Whether a caller may do all of what it wants to, by the users and roles of this moment. What is
    /// proposed is judged again when it is applied.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize(&self, caller: &Caller, demand: Demand<'_>) -> Result<(), ApplyError> {
        let state = self.shared.published.load();
        authorize(&state.auth, &self.shared.leases, caller, demand)
    }

    /// How much room the state takes.
    pub fn sizes(&self) -> Sizes {
        let state = self.shared.published.load();
        let in_use = state.live;
        // What is still in memory has its place on disk assigned only when it is written there.
        let allocated = state.records.engine.disk_bytes().max(in_use);
        Sizes { allocated, in_use }
    }

    /// The space quota in bytes; the largest number when there is none.
    pub fn quota(&self) -> u64 {
        self.shared.quota
    }

    /// Bytes that count against the quota.
    pub fn quota_used(&self) -> u64 {
        quota::used(self.shared.published.load().live, self.shared.leases.len())
    }

    /// Whether the quota has room for a request right now; alarms apart.
    pub fn has_room(&self, op: &Op) -> bool {
        match quota::cost(op) {
            0 => true,
            cost => self.quota_used().saturating_add(cost) < self.shared.quota,
        }
    }
}
