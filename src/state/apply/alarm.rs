//! Alarms: list, raise, clear.

use std::sync::Arc;

use super::Apply;
use crate::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::proto::etcdserverpb::{AlarmRequest, AlarmResponse, AlarmType};

impl Apply<'_> {
    /// Carries out an alarm request. What it does not know, it answers with an empty list.
    pub(super) fn alarm(&mut self, request: AlarmRequest) -> AlarmResponse {
        let alarms = &mut self.tables.alarms;
        let action = AlarmAction::try_from(request.action);
        let alarms = match (action, AlarmType::try_from(request.alarm)) {
            (Ok(AlarmAction::Get), Ok(kind)) => alarms.list(kind),
            (Ok(AlarmAction::Activate | AlarmAction::Deactivate), Ok(AlarmType::None)) => vec![],
            (Ok(AlarmAction::Activate), Ok(kind)) => {
                vec![Arc::make_mut(alarms).raise(request.member_id, kind, self.changes)]
            }
            (Ok(AlarmAction::Deactivate), Ok(kind)) => {
                let cleared = Arc::make_mut(alarms).clear(request.member_id, kind, self.changes);
                cleared.into_iter().collect()
            }
            (Err(_), _) | (_, Err(_)) => vec![],
        };
        AlarmResponse { header: None, alarms }
    }
}
