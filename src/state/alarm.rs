//! Active alarms.

use std::collections::BTreeSet;

use super::changes::Changes;
use crate::proto::etcdserverpb::{AlarmMember, AlarmType};
use crate::storage::engine::Space;

/// The alarms that are raised; a copy is published to readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// Member id and kind, so that lists come out in the same order everywhere.
    raised: BTreeSet<(u64, i32)>,
}

impl Alarms {
    /// The raised alarms of one kind, all of them for [`AlarmType::None`]; ascending by member.
    pub fn list(&self, kind: AlarmType) -> Vec<AlarmMember> {
        let wanted = |alarm: i32| kind == AlarmType::None || alarm == kind as i32;
        let raised = self.raised.iter().filter(|(_, alarm)| wanted(*alarm));
        raised.map(|(member, alarm)| message(*member, *alarm)).collect()
    }

    /// Whether any member raised an alarm of this kind.
    pub fn any(&self, kind: AlarmType) -> bool {
        self.raised.iter().any(|(_, alarm)| *alarm == kind as i32)
    }

    /// Whether a member has this alarm.
    pub fn is_raised(&self, member: u64, kind: AlarmType) -> bool {
        self.raised.contains(&(member, kind as i32))
    }

    /// Raises an alarm, here and in the batch; raising it again changes nothing.
    pub(in crate::state) fn raise(
        &mut self,
        member: u64,
        kind: AlarmType,
        changes: &mut Changes,
    ) -> AlarmMember {
        if self.raised.insert((member, kind as i32)) {
            changes.put(Space::Alarms, &storage_key(member, kind as i32), b"");
        }
        message(member, kind as i32)
    }

    /// Clears an alarm, here and in the batch; `None` if it was not raised.
    pub(in crate::state) fn clear(
        &mut self,
        member: u64,
        kind: AlarmType,
        changes: &mut Changes,
    ) -> Option<AlarmMember> {
        self.raised.remove(&(member, kind as i32)).then(|| {
            changes.delete(Space::Alarms, &storage_key(member, kind as i32));
            message(member, kind as i32)
        })
    }

    /// Adds an alarm read from storage; `false` if the key is not one.
    pub(in crate::state) fn restore(&mut self, key: &[u8]) -> bool {
        let Some((member, kind)) = key.split_first_chunk::<8>() else { return false };
        let Ok(kind) = <[u8; 4]>::try_from(kind) else { return false };
        self.raised.insert((u64::from_be_bytes(*member), i32::from_be_bytes(kind)));
        true
    }
}

fn message(member: u64, alarm: i32) -> AlarmMember {
    AlarmMember { member_id: member, alarm }
}

fn storage_key(member: u64, kind: i32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&member.to_be_bytes());
    key[8..].copy_from_slice(&kind.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_by_kind_in_member_order() {
        let mut alarms = Alarms::default();
        assert!(alarms.restore(&storage_key(9, 1)));
        assert!(alarms.restore(&storage_key(2, 1)));
        assert!(alarms.restore(&storage_key(5, 2)));
        assert!(!alarms.restore(b"short"));
        let members = |kind| alarms.list(kind).iter().map(|a| a.member_id).collect::<Vec<_>>();
        assert_eq!(members(AlarmType::None), [2, 5, 9]);
        assert_eq!(members(AlarmType::Nospace), [2, 9]);
        assert!(alarms.any(AlarmType::Corrupt));
        assert!(
            alarms.is_raised(5, AlarmType::Corrupt) && !alarms.is_raised(5, AlarmType::Nospace)
        );
    }
}
