//! Raising alarms, which the whole cluster has to hear of.

use crate::consensus::Proposer;
use crate::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::proto::etcdserverpb::{AlarmRequest, AlarmType};
use crate::proto::internal::request::Op;
use crate::types::ids::MemberId;

/// Raises an alarm about a member. When that fails it is told in the log; whoever looks again tries
/// again.
pub(super) async fn raise(proposer: &Proposer, member: MemberId, kind: AlarmType) {
    let request = AlarmRequest {
        action: AlarmAction::Activate as i32,
        member_id: member.0,
        alarm: kind as i32,
    };
    let alarm = kind.as_str_name();
    match proposer.propose(Op::Alarm(request)).await {
        Ok(outcome) if outcome.result.is_ok() => {
            tracing::warn!(alarm, from = %member, "alarm raised");
        }
        Ok(outcome) => {
            tracing::warn!(alarm, from = %member, error = ?outcome.result, "failed to raise alarm");
        }
        Err(error) => tracing::warn!(alarm, from = %member, %error, "failed to raise alarm"),
    }
}
