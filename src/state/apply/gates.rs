//! What stands before every request: corruption, full disk, permission, quota; in this order.

use super::Tables;
use super::authorize::{Demand, authorize};
use crate::proto::etcdserverpb::AlarmType;
use crate::proto::internal::Request;
use crate::proto::internal::request::Op;
use crate::state::auth::Caller;
use crate::state::error::ApplyError;
use crate::state::quota;

/// Lets a request pass, or says what stops it.
pub(super) fn admit(tables: &Tables, request: &Request, op: &Op) -> Result<(), ApplyError> {
    if touches_data(op) && tables.alarms.any(AlarmType::Corrupt) {
        return Err(ApplyError::Corrupt);
    }
    if quota::cost(op) > 0 && tables.alarms.any(AlarmType::Nospace) {
        return Err(ApplyError::NoSpace);
    }
    if !tables.auth.is_enabled() {
        return Ok(());
    }
    authorize(&tables.auth, &tables.leases, &Caller::of(request), Demand::Op(op))
}

/// Whether the quota has room for a request; what costs nothing always finds room.
pub(super) fn has_room(tables: &Tables, op: &Op) -> bool {
    match quota::cost(op) {
        0 => true,
        cost => {
            let used = quota::used(tables.writer.live(), tables.leases.len());
            used.saturating_add(cost) < tables.quota
        }
    }
}

fn touches_data(op: &Op) -> bool {
    matches!(
        op,
        Op::Put(_)
            | Op::DeleteRange(_)
            | Op::Txn(_)
            | Op::Compaction(_)
            | Op::LeaseGrant(_)
            | Op::LeaseRevoke(_)
    )
}
