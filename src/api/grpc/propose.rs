//! The way of a write: quota, checks, proposal.

use std::sync::Arc;

use tonic::Status;

use super::Shared;
use super::identity::Asker;
use crate::api::backend::Backend;
use crate::api::{check, status};
use crate::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::proto::etcdserverpb::{AlarmRequest, AlarmType};
use crate::proto::internal::request::Op;
use crate::state::{Outcome, Response, quota};
use crate::storage::space::Room;

/// Checks an operation, proposes it and waits until it is applied here.
///
/// # Errors
/// The disk and the quota speak before the checks do, as in etcd.
pub(super) async fn propose(backend: &Backend, asker: &Asker, op: Op) -> Result<Outcome, Status> {
    match backend.disk.room() {
        Room::Ample => {}
        Room::Low if quota::cost(&op) == 0 => {}
        Room::Low | Room::Full => return Err(status::no_space()),
    }
    if !backend.reader.has_room(&op) {
        raise_no_space(backend).await;
        return Err(status::no_space());
    }
    match &op {
        Op::Put(request) => check::put(request)?,
        Op::DeleteRange(request) => check::delete_range(request)?,
        Op::Txn(request) => check::txn(request, backend.limits.max_txn_ops)?,
        _ => {}
    }
    let caller = asker.resolve(backend).await?;
    backend.proposer.propose_for(&caller, op).await.map_err(status::of_propose)
}

/// As [`propose`], for operations whose whole answer is their result.
pub(super) async fn decide(
    shared: &Arc<Shared>,
    asker: &Asker,
    op: Op,
) -> Result<(i64, Response), Status> {
    let outcome = propose(&shared.backend, asker, op).await?;
    Ok((outcome.revision, outcome.result.map_err(status::of_apply)?))
}

/// The answer that was applied is not the one of the question: a fault of ours.
pub(super) fn mismatch() -> Status {
    status::internal(&"the outcome of the request is of another kind than the request")
}

async fn raise_no_space(backend: &Backend) {
    let member_id = backend.member.0;
    let raised = backend.reader.alarms().list(AlarmType::Nospace);
    if raised.iter().any(|alarm| alarm.member_id == member_id) {
        return;
    }
    tracing::warn!(
        member = %backend.member,
        quota_bytes = backend.reader.quota(),
        "space quota exceeded; raising the NOSPACE alarm"
    );
    let action = AlarmAction::Activate as i32;
    let alarm = AlarmRequest { action, member_id, alarm: AlarmType::Nospace as i32 };
    if let Err(error) = backend.proposer.propose(Op::Alarm(alarm)).await {
        tracing::warn!(%error, "the NOSPACE alarm could not be raised");
    }
}
