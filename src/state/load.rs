//! Reading leases, alarms and members back from storage.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use bytes::Bytes;

use super::alarm::Alarms;
use super::apply::Tables;
use super::error::StateError;
use super::lease::{Lease, Leases};
use super::machine::Options;
use super::membership::Members;
use super::meta::Compactions;
use super::mvcc::index::Root;
use super::mvcc::write::Writer;
use super::quota;
use crate::proto::internal;
use crate::storage::engine::{Engine, Space};
use crate::types::ids::LeaseId;
use crate::types::range::KeyRange;

/// Everything but the index, as it was stored.
pub(super) fn tables(
    engine: &Engine,
    options: &Options,
    writer: Writer,
    compactions: Compactions,
) -> Result<Tables, StateError> {
    let leases = leases(engine)?;
    attach(writer.view().root, &leases)?;
    Ok(Tables {
        writer,
        leases: Arc::new(leases),
        alarms: Arc::new(alarms(engine)?),
        members: Arc::new(members(engine)?),
        compactions,
        lease_events: Vec::new(),
        waiters: Vec::new(),
        quota: quota::bytes(options.quota),
    })
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
