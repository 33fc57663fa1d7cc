//! Reading a whole state back from storage.

use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::alarm::Alarms;
use super::apply::Tables;
use super::auth::Auth;
use super::error::StateError;
use super::lease::{Lease, Leases};
use super::membership::Members;
use super::meta::{self, Compactions, Progress};
use super::mvcc::cache::ValueCache;
use super::mvcc::checkpoint::Stamp;
use super::mvcc::index::{Index, Root};
use super::mvcc::record::Records;
use super::mvcc::reopen;
use super::mvcc::write::{Start, Writer};
use super::rolling::Rolling;
use crate::proto::internal;
use crate::storage::engine::{Engine, Space};
use crate::types::ids::LeaseId;
use crate::types::range::KeyRange;

/// What there is to know of a state beside its tables.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) progress: Progress,
    pub(super) rolling: Rolling,
    /// Whether anything was ever applied.
    pub(super) started: bool,
    /// The newest membership, opaque.
    pub(super) membership: Option<Bytes>,
    /// The id of the entry at which it was received from another member, opaque.
    pub(super) received: Option<Bytes>,
}

/// A state as it was stored, its parts checked against each other.
pub(super) struct Loaded {
    pub(super) facts: Facts,
    /// What the index checkpoint reflected, if one was used.
    pub(super) stamp: Option<Stamp>,
    /// Records read for the index.
    pub(super) replayed: u64,
    compactions: Compactions,
    index: Index,
    leases: Leases,
    alarms: Alarms,
    members: Members,
    auth: Auth,
}

impl Loaded {
    /// Reads the state in an engine; the index from `checkpoint` as far as that goes.
    ///
    /// # Errors
    /// The store failed or holds what it should not.
    pub(super) fn load(engine: &Engine, checkpoint: Option<&Path>) -> Result<Self, StateError> {
        let stored = Progress::load(engine)?;
        let started = stored.is_some();
        let progress = stored.unwrap_or_default();
        let mut compactions = Compactions::load(engine)?;
        let reopened = reopen::reopen(engine, checkpoint, &progress, compactions)?;
        if let Some(stamp) = reopened.stamp {
            // An older sweep than the store's: the index still holds what the store has deleted.
            compactions.finished = compactions.finished.min(stamp.compacted);
        }
        let leases = leases(engine)?;
        attach(reopened.index.view(), &leases)?;
        let facts = Facts {
            rolling: Rolling::load(engine, &progress)?,
            progress,
            started,
            membership: meta::membership(engine)?,
            received: meta::received(engine)?,
        };
        Ok(Self {
            facts,
            stamp: reopened.stamp,
            replayed: reopened.replayed,
            compactions,
            index: reopened.index,
            leases,
            alarms: alarms(engine)?,
            members: members(engine)?,
            auth: auth(engine)?,
        })
    }

    /// Makes it something to work with. Its leases take the place of those in `leases`; `cache_bytes`
    /// are for values, `quota` is in bytes.
    pub(super) fn into_tables(
        self,
        engine: &Engine,
        leases: Arc<Leases>,
        cache_bytes: usize,
        quota: u64,
    ) -> (Facts, Tables) {
        let records =
            Arc::new(Records { engine: engine.clone(), cache: ValueCache::new(cache_bytes) });
        let start = Start {
            index: self.index,
            revision: self.facts.progress.revision,
            compacted: self.compactions.scheduled,
            live: self.facts.progress.live,
        };
        leases.replace(self.leases);
        let tables = Tables {
            writer: Writer::new(start, Arc::clone(&records)),
            records,
            leases,
            alarms: Arc::new(self.alarms),
            members: Arc::new(self.members),
            auth: Arc::new(self.auth),
            compactions: self.compactions,
            lease_events: Vec::new(),
            token_events: Vec::new(),
            waiters: Vec::new(),
            quota,
        };
        (self.facts, tables)
    }
}

fn leases(engine: &Engine) -> Result<Leases, StateError> {
    let leases = Leases::default();
    for pair in engine.scan(Space::Leases, Bound::Unbounded, Bound::Unbounded) {
        let (key, value) = pair?;
        let stored: internal::Lease = prost::Message::decode(value)
            .map_err(|error| damaged("a lease", &key, &error.to_string()))?;
        leases.restore(Lease {
            id: LeaseId(stored.id),
            ttl: stored.ttl,
            remaining: stored.remaining_ttl,
        });
    }
    Ok(leases)
}

fn alarms(engine: &Engine) -> Result<Alarms, StateError> {
    let mut alarms = Alarms::default();
    for pair in engine.scan(Space::Alarms, Bound::Unbounded, Bound::Unbounded) {
        let (key, _) = pair?;
        if !alarms.restore(&key) {
            return Err(damaged("an alarm", &key, "the key has another length"));
        }
    }
    Ok(alarms)
}

fn members(engine: &Engine) -> Result<Members, StateError> {
    let mut members = Members::default();
    for pair in engine.scan(Space::Members, Bound::Unbounded, Bound::Unbounded) {
        let (key, value) = pair?;
        if !members.restore(&key, &value) {
            return Err(damaged("a member", &key, "neither attributes nor a version"));
        }
    }
    Ok(members)
}

fn auth(engine: &Engine) -> Result<Auth, StateError> {
    let mut auth = Auth::default();
    for pair in engine.scan(Space::Auth, Bound::Unbounded, Bound::Unbounded) {
        let (key, value) = pair?;
        if !auth.restore(&key, &value) {
            return Err(damaged(
                "a user or a role",
                &key,
                "neither of them, nor what is beside them",
            ));
        }
    }
    Ok(auth)
}

fn damaged(what: &str, key: &[u8], why: &str) -> StateError {
    StateError::Damaged { what: format!("{what} stored under {key:02x?}"), why: why.into() }
}

/// Hangs every live key on its lease again. A lease takes its keys along when it ends, so that a key
/// without its lease means that leases are lost.
fn attach(root: &Root, leases: &Leases) -> Result<(), StateError> {
    let mut lost = None;
    root.for_each(&KeyRange::From(Bytes::new()), |key, meta| {
        if meta.lease != 0 && !leases.attach(&Bytes::copy_from_slice(key), 0, meta.lease) {
            lost = Some(LeaseId(meta.lease));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    match lost {
        None => Ok(()),
        Some(id) => {
            Err(StateError::Incomplete(format!("lease {id} has keys but is not there itself")))
        }
    }
}
