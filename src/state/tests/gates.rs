//! What stands before requests: alarms and the quota.

use super::support::{Store, delete, get, keys, op_put, op_txn, put, then};
use crate::proto::etcdserverpb::alarm_request::AlarmAction;
use crate::proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmType, CompactionRequest, LeaseGrantRequest, LeaseRevokeRequest,
    TxnRequest,
};
use crate::proto::internal::request::Op;
use crate::proto::internal::{ClusterVersion, MemberAttributes};
use crate::state::{ApplyError, Options, Response};
use crate::types::ids::MemberId;

fn alarm(store: &mut Store, action: AlarmAction, member: u64, kind: AlarmType) -> Vec<AlarmMember> {
    let request = AlarmRequest { action: action as i32, member_id: member, alarm: kind as i32 };
    match store.run(Op::Alarm(request)).result.unwrap() {
        Response::Alarm(answer) => answer.alarms,
        other => panic!("an alarm was answered with {other:?}"),
    }
}

fn raised(member_id: u64, kind: AlarmType) -> AlarmMember {
    AlarmMember { member_id, alarm: kind as i32 }
}

#[test]
fn alarms_are_raised_listed_and_cleared() {
    use AlarmAction::{Activate, Deactivate, Get};
    use AlarmType::{Corrupt, None, Nospace};
    let mut store = Store::new();
    assert_eq!(alarm(&mut store, Activate, 5, Nospace), [raised(5, Nospace)]);
    assert_eq!(alarm(&mut store, Activate, 5, Nospace), [raised(5, Nospace)]);
    assert_eq!(alarm(&mut store, Activate, 0, Corrupt), [raised(0, Corrupt)]);
    assert_eq!(alarm(&mut store, Activate, 5, None), []);
    assert_eq!(alarm(&mut store, Get, 0, None), [raised(0, Corrupt), raised(5, Nospace)]);
    assert_eq!(alarm(&mut store, Get, 0, Nospace), [raised(5, Nospace)]);
    assert_eq!(alarm(&mut store, Deactivate, 4, Nospace), []);
    let mut store = store.reopen();
    assert_eq!(store.reader.alarms().list(None).len(), 2, "alarms survive a restart");
    assert_eq!(alarm(&mut store, Deactivate, 5, Nospace), [raised(5, Nospace)]);
    assert_eq!(alarm(&mut store, Deactivate, 5, None), []);
    assert_eq!(store.reader.alarms().list(None), [raised(0, Corrupt)]);
    let odd = AlarmRequest { action: 9, member_id: 0, alarm: 1 };
    let outcome = store.run(Op::Alarm(odd));
    assert_eq!(outcome.result, Ok(Response::Alarm(Default::default())));
    let odd = AlarmRequest { action: Activate as i32, member_id: 0, alarm: 7 };
    assert_eq!(store.run(Op::Alarm(odd)).result, Ok(Response::Alarm(Default::default())));
}

/// What each kind of request comes to, in a store with key `k` and lease 1.
fn answers(store: &mut Store) -> Vec<Option<ApplyError>> {
    let put_txn = || TxnRequest { failure: vec![op_put(put("f", ""))], ..Default::default() };
    let ops = vec![
        Op::Put(put("p", "")),
        Op::Txn(put_txn()),
        Op::Txn(then(vec![op_txn(put_txn())])),
        Op::LeaseGrant(LeaseGrantRequest { id: 9, ttl: 9 }),
        Op::DeleteRange(delete("k", "")),
        Op::Txn(then(vec![super::support::op_delete(delete("k", ""))])),
        Op::Compaction(CompactionRequest { revision: 2, physical: false }),
        Op::LeaseRevoke(LeaseRevokeRequest { id: 1 }),
        Op::LeaseCheckpoint(Default::default()),
        Op::MemberAttributes(MemberAttributes::default()),
    ];
    ops.into_iter().map(|op| store.run(op).result.err()).collect()
}

fn stocked(options: Options) -> Store {
    let mut store = Store::with(options);
    store.grant(1);
    store.put("k", "v");
    store
}

#[test]
fn a_full_disk_refuses_what_needs_room() {
    let mut store = stocked(Options::default());
    alarm(&mut store, AlarmAction::Activate, 3, AlarmType::Nospace);
    let full = Some(ApplyError::NoSpace);
    assert_eq!(answers(&mut store), [full, full, full, full, None, None, None, None, None, None]);
    alarm(&mut store, AlarmAction::Deactivate, 3, AlarmType::Nospace);
    assert!(store.try_put(put("p", "")).is_ok());
}

#[test]
fn corruption_refuses_what_touches_data_and_comes_first() {
    let mut store = stocked(Options::default());
    alarm(&mut store, AlarmAction::Activate, 3, AlarmType::Nospace);
    alarm(&mut store, AlarmAction::Activate, 0, AlarmType::Corrupt);
    let corrupt = Some(ApplyError::Corrupt);
    let mut expected = vec![corrupt; 8];
    expected.extend([None, None]);
    assert_eq!(answers(&mut store), expected);
    assert!(store.get("k").is_some(), "reads go on");
}

#[test]
fn a_put_over_the_quota_is_carried_out_and_refused() {
    // The lease takes 256 bytes of it.
    let mut store = stocked(Options { quota: 856, ..Options::default() });
    let big = "v".repeat(200);
    assert!(store.try_put(put("a", &big)).is_ok());
    assert!(!store.reader.has_room(&Op::Put(put("b", &big))));
    assert_eq!(store.try_put(put("b", &big)), Err(ApplyError::NoSpace));
    assert_eq!(keys(&store.contents()), "a b k");
    assert_eq!(store.reader.revision(), 4);
    store.delete("a", "z");
    assert!(store.try_put(put("c", "")).is_err(), "history still takes room");
    let revision = store.reader.revision();
    store.compact(revision);
    assert!(store.try_put(put("c", "")).is_ok());
}

#[test]
fn live_bytes_count_records_and_survive_a_restart() {
    let mut store = Store::new();
    assert_eq!(store.reader.sizes().in_use, 0);
    store.put("key", "value");
    let one = store.reader.sizes().in_use;
    // 17 bytes of revision, 2 + 3 of key, 2 each of three numbers, 2 + 5 of value.
    assert_eq!(one, 17 + 5 + 6 + 7);
    store.put("key", "value");
    store.delete("key", "");
    assert_eq!(store.reader.sizes().in_use, 2 * one + 18 + 5);
    let mut store = store.reopen();
    assert_eq!(store.reader.sizes().in_use, 2 * one + 18 + 5);
    store.put("next", "");
    store.compact(5);
    assert_eq!(store.reader.sizes().in_use, 17 + 6 + 6);
}

#[test]
fn members_and_the_cluster_version_are_kept() {
    let mut store = Store::new();
    let attributes = MemberAttributes {
        member_id: 7,
        name: "one".into(),
        client_urls: vec!["http://localhost:2379".into()],
        level: 0,
    };
    assert_eq!(store.run(Op::MemberAttributes(attributes)).result, Ok(Response::Done));
    let version = ClusterVersion { version: "3.5.0".into() };
    assert_eq!(store.run(Op::ClusterVersion(version)).result, Ok(Response::Done));
    let store = store.reopen();
    let members = store.reader.members();
    assert_eq!(members.cluster_version(), Some("3.5.0"));
    assert_eq!(members.get(MemberId(7)).unwrap().name, "one");
    assert_eq!(store.reader.range(&get("x")).unwrap().header.unwrap().revision, 1);
}

#[test]
fn leases_take_room_so_that_their_number_is_bounded() {
    let mut store = Store::with(Options { quota: 10_000, ..Options::default() });
    let granted = (1..).take_while(|id| {
        store.run(Op::LeaseGrant(LeaseGrantRequest { id: *id, ttl: 100 })).result.is_ok()
    });
    let granted = granted.count();
    assert!((30..45).contains(&granted), "{granted} leases");
    assert!(store.reader.quota_used() > 9_000);
    (1..10).for_each(|id| drop(store.revoke(id)));
    store.grant(1_000);
}
