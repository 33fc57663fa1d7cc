//! The verbs of the log: the only place that sees keys, leases, alarms and members together.
//!
//! Each request either ends in a refusal that changed nothing or runs to its end; what could refuse
//! it is looked at before the first change.

mod alarm;
mod auth;
pub(super) mod authorize;
mod compact;
mod compare;
mod gates;
mod kv;
mod lease;
mod txn;

use std::sync::Arc;

use tokio::sync::oneshot;

use super::alarm::Alarms;
use super::auth::Auth;
use super::changes::Changes;
use super::error::{ApplyError, Failure, StateError};
use super::late::{Late, Missing};
use super::lease::{LeaseEvent, Leases};
use super::membership::Members;
use super::meta::Compactions;
use super::mvcc::read::Meter;
use super::mvcc::record::Records;
use super::mvcc::write::Writer;
use super::outcome::{Outcome, Response};
use crate::proto::etcdserverpb::{DeleteRangeResponse, PutResponse, TxnResponse};
use crate::proto::internal::Request;
use crate::proto::internal::request::Op;

pub(super) use auth::TokenEvent;
pub(super) use txn::{branch, read_only};

/// Someone who waits for a compaction to be carried out.
pub(super) struct Waiter {
    pub(super) at: i64,
    pub(super) done: oneshot::Sender<()>,
}

/// All replicated state, and what a batch leaves behind for the machine.
pub(super) struct Tables {
    pub(super) writer: Writer,
    pub(super) records: Arc<Records>,
    pub(super) leases: Arc<Leases>,
    pub(super) alarms: Arc<Alarms>,
    pub(super) members: Arc<Members>,
    pub(super) auth: Arc<Auth>,
    pub(super) compactions: Compactions,
    /// To be announced once the batch is committed.
    pub(super) lease_events: Vec<LeaseEvent>,
    pub(super) token_events: Vec<TokenEvent>,
    pub(super) waiters: Vec<Waiter>,
    /// In bytes.
    pub(super) quota: u64,
}

/// One request being applied.
struct Apply<'a> {
    tables: &'a mut Tables,
    changes: &'a mut Changes,
    /// The entry's position in the log.
    index: u64,
    /// How much of the answers may be read right away.
    early: &'a Meter,
    late: Vec<Late>,
    /// The numbers of the operations that are being carried out, outermost transaction first.
    place: Vec<usize>,
}

/// Applies one request of the entry at `index`.
///
/// # Errors
/// The store failed: the process must stop. A refusal is an outcome.
pub(super) fn apply(
    tables: &mut Tables,
    changes: &mut Changes,
    (index, request): (u64, &Request),
    early: &Meter,
) -> Result<Outcome, StateError> {
    let mut apply = Apply { tables, changes, index, early, late: Vec::new(), place: Vec::new() };
    let mut physical = None;
    let result = match apply.run(request, &mut physical) {
        Ok(response) => Ok(response),
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::Fatal(error)) => return Err(error),
    };
    let late = apply.late;
    let revision = tables.writer.end();
    Ok(Outcome { revision, result, physical, late })
}

impl Apply<'_> {
    /// Leaves a part of the answer to be read later.
    fn leave(&mut self, what: Missing) {
        let compacted = self.tables.writer.compacted();
        self.late.push(Late { place: self.place.clone(), what, compacted });
    }

    fn run(
        &mut self,
        request: &Request,
        physical: &mut Option<oneshot::Receiver<()>>,
    ) -> Result<Response, Failure> {
        let Some(op) = &request.op else { return Err(ApplyError::UnknownOperation.into()) };
        gates::admit(self.tables, request, op)?;
        let has_room = gates::has_room(self.tables, op);
        let response = self.dispatch(op, physical)?;
        // As etcd does: a request that crosses the quota is carried out and still refused.
        if has_room { Ok(response) } else { Err(ApplyError::NoSpace.into()) }
    }

    fn dispatch(
        &mut self,
        op: &Op,
        physical: &mut Option<oneshot::Receiver<()>>,
    ) -> Result<Response, Failure> {
        match op {
            Op::Put(put) => {
                let answer = self.put(put)?;
                Ok(Response::Put(PutResponse { header: None, ..answer }))
            }
            Op::DeleteRange(delete) => {
                let answer = self.delete_range(delete)?;
                Ok(Response::DeleteRange(DeleteRangeResponse { header: None, ..answer }))
            }
            Op::Txn(txn) => {
                let answer = self.txn(txn)?;
                Ok(Response::Txn(TxnResponse { header: None, ..answer }))
            }
            Op::Compaction(compaction) => {
                *physical = self.compact(*compaction)?;
                Ok(Response::Compact)
            }
            Op::LeaseGrant(grant) => self.lease_grant(*grant).map(Response::LeaseGrant),
            Op::LeaseRevoke(revoke) => self.lease_revoke(*revoke).map(|()| Response::LeaseRevoke),
            Op::LeaseCheckpoint(checkpoint) => {
                self.lease_checkpoint(checkpoint);
                Ok(Response::LeaseCheckpoint)
            }
            Op::Alarm(alarm) => Ok(Response::Alarm(self.alarm(*alarm))),
            Op::MemberAttributes(attributes) => {
                Arc::make_mut(&mut self.tables.members).publish(attributes, self.changes);
                Ok(Response::Done)
            }
            Op::ClusterVersion(version) => {
                let members = Arc::make_mut(&mut self.tables.members);
                members.set_cluster_version(&version.version, self.changes);
                Ok(Response::Done)
            }
            Op::Authenticate(asked) => Ok(self.authenticate(asked)?),
            Op::AuthEnable(_)
            | Op::AuthDisable(_)
            | Op::UserAdd(_)
            | Op::UserDelete(_)
            | Op::UserChangePassword(_)
            | Op::UserGrantRole(_)
            | Op::UserRevokeRole(_)
            | Op::RoleAdd(_)
            | Op::RoleDelete(_)
            | Op::RoleGrantPermission(_)
            | Op::RoleRevokePermission(_) => Ok(self.change_auth(op)?),
        }
    }
}
