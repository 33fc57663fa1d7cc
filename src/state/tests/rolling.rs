//! The hash over everything applied: equal where the log is equal, whatever else differs.

use bytes::Bytes;

use super::support::{Store, delete, entry, op_delete, op_put, put, then};
use super::transfer::receive;
use crate::proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest,
};
use crate::proto::internal::request::Op;
use crate::state::{AppliedHash, Entry, Payload};
use crate::storage::engine::Space;
use crate::types::ids::MemberId;

/// A log with something of everything.
fn log() -> Vec<Entry> {
    let op = |n: u64| match n % 8 {
        0 => Op::LeaseGrant(LeaseGrantRequest { id: 100 + n as i64, ttl: 60 }),
        1 => Op::Put(PutRequest { lease: 99 + n as i64, ..put(&format!("l{n}"), "v") }),
        2 => Op::Txn(then(vec![
            op_put(put("a", "1")),
            op_put(put("b", "2")),
            op_delete(delete("c", "")),
        ])),
        3 => Op::DeleteRange(delete("b", "")),
        4 => Op::Alarm(AlarmRequest { action: (n / 8 % 2) as i32 + 1, member_id: 1, alarm: 7 }),
        5 => Op::Compaction(CompactionRequest { revision: n as i64 / 4, physical: false }),
        6 => Op::LeaseRevoke(LeaseRevokeRequest { id: 94 + n as i64 }),
        _ => Op::Put(put("c", &format!("{n}"))),
    };
    let mut log: Vec<Entry> = (1..=96).map(|n| entry(n, vec![op(n), op(n + 1)])).collect();
    log[40].payload = Payload::Blank;
    log[50].payload =
        Payload::Membership { record: Bytes::new(), members: vec![MemberId(1), MemberId(2)] };
    log[60].payload = Payload::Membership { record: Bytes::new(), members: vec![MemberId(2)] };
    log
}

fn hash(store: &Store) -> AppliedHash {
    store.reader.applied_hash()
}

#[test]
fn it_depends_on_the_log_and_on_nothing_else() {
    let mut single = Store::new();
    let mut expected = vec![hash(&single)];
    for one in log() {
        single.machine.apply(vec![one]).unwrap();
        expected.push(hash(&single));
    }
    assert_eq!((expected[0], expected[96].applied), (AppliedHash::default(), 96));
    let changes = expected.windows(2).filter(|pair| pair[0].hash != pair[1].hash).count();
    assert!(changes > 80, "{changes} of 96 entries show");
    for group in [2, 7, 96] {
        let mut store = Store::new();
        let mut rest = log();
        while !rest.is_empty() {
            let later = rest.split_off(group.min(rest.len()));
            store.machine.apply(rest).unwrap();
            rest = later;
            let now = hash(&store);
            assert_eq!(now, expected[now.applied as usize], "groups of {group}");
            match now.applied % 3 {
                0 => store.settle(),
                1 => store = store.reopen(),
                _ => {}
            }
        }
    }
}

#[test]
fn it_goes_on_from_a_state_that_was_received() {
    let (mut leader, mut member) = (Store::new(), Store::member());
    let mut log = log();
    let rest = log.split_off(50);
    leader.machine.apply(log).unwrap();
    let received = receive(&member, &leader);
    member.machine.adopt(received).unwrap();
    assert_eq!(hash(&member), hash(&leader));
    leader.settle();
    leader.machine.apply(rest.clone()).unwrap();
    member.machine.apply(rest).unwrap();
    assert_eq!(hash(&member), hash(&leader));
}

#[test]
fn any_other_change_gives_another_hash() {
    let after = |op: Op| {
        let mut store = Store::new();
        store.grant(1);
        store.run(op);
        hash(&store).hash
    };
    let other = [
        Op::Put(put("k", "v")),
        Op::Put(put("k", "w")),
        Op::Put(put("kv", "")),
        Op::Put(PutRequest { lease: 1, ..put("k", "v") }),
        Op::LeaseGrant(LeaseGrantRequest { id: 2, ttl: 100 }),
        Op::LeaseGrant(LeaseGrantRequest { id: 2, ttl: 101 }),
        Op::LeaseRevoke(LeaseRevokeRequest { id: 1 }),
        Op::DeleteRange(delete("k", "")),
        Op::Compaction(CompactionRequest { revision: 1, physical: false }),
    ];
    let mut hashes: Vec<u64> = other.into_iter().map(after).collect();
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

#[test]
fn where_an_earlier_release_was_at_work_it_begins_anew() {
    let mut store = Store::new();
    for entry in log().into_iter().take(10) {
        store.machine.apply(vec![entry]).unwrap();
    }
    let old = store.machine.engine.get(Space::Meta, b"rolling_hash").unwrap().unwrap();
    let change = |store: &Store, record: Option<&Bytes>| {
        let mut batch = store.machine.engine.batch();
        match record {
            Some(record) => batch.put(Space::Meta, b"rolling_hash", record),
            None => batch.delete(Space::Meta, b"rolling_hash"),
        }
        batch.commit().unwrap();
    };
    change(&store, None);
    let mut store = store.reopen();
    assert_eq!(hash(&store), AppliedHash { applied: 10, since: 10, hash: 0 });
    for entry in log().into_iter().skip(10).take(10) {
        store.machine.apply(vec![entry]).unwrap();
    }
    let counted = hash(&store);
    assert_eq!((counted.applied, counted.since), (20, 10));
    let store = store.reopen();
    assert_eq!(hash(&store), counted);
    // One that was left behind, while entries were applied without it.
    change(&store, Some(&old));
    assert_eq!(hash(&store.reopen()), AppliedHash { applied: 20, since: 20, hash: 0 });
}

#[test]
fn the_hash_at_an_earlier_entry_is_remembered_until_the_state_is_another() {
    let (mut leader, mut member) = (Store::new(), Store::member());
    let mut log = log();
    let rest = log.split_off(50);
    let mut expected = Vec::new();
    let mut single = Store::new();
    for one in log.iter().chain(&rest) {
        single.machine.apply(vec![one.clone()]).unwrap();
        expected.push(hash(&single));
    }
    leader.machine.apply(log).unwrap();
    for entry in &expected[..50] {
        assert_eq!(leader.reader.applied_hash_at(entry.applied), Some(*entry));
    }
    assert_eq!(leader.reader.applied_hash_at(51), None);
    let received = receive(&member, &leader);
    member.machine.adopt(received).unwrap();
    member.machine.apply(rest).unwrap();
    assert_eq!(member.reader.oldest_applied_hash(), 50);
    assert_eq!(member.reader.applied_hash_at(49), None);
    for entry in &expected[49..] {
        assert_eq!(member.reader.applied_hash_at(entry.applied), Some(*entry));
    }
}
