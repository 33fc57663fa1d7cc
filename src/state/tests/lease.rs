//! Leases: grant, attach, revoke, checkpoint.

use super::support::{Store, delete, keys, op_put, put, then};
use crate::proto::etcdserverpb::{
    LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest, LeaseGrantResponse, PutRequest,
};
use crate::proto::internal::request::Op;
use crate::state::lease::{Lease, LeaseEvent, MAX_TTL};
use crate::state::{ApplyError, Response};
use crate::types::ids::LeaseId;

fn leased(key: &str, lease: i64) -> PutRequest {
    PutRequest { lease, ..put(key, "v") }
}

fn lease_keys(store: &Store, id: i64) -> String {
    let keys = store.reader.lease_keys(LeaseId(id));
    keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect::<Vec<_>>().join(" ")
}

#[test]
fn grants_are_checked_and_short_ones_raised() {
    let mut store = Store::new();
    let cases = [
        (LeaseGrantRequest { id: 7, ttl: 100 }, Ok(100)),
        (LeaseGrantRequest { id: 7, ttl: 100 }, Err(ApplyError::LeaseExists)),
        (LeaseGrantRequest { id: 8, ttl: MAX_TTL + 1 }, Err(ApplyError::TtlTooLarge)),
        (LeaseGrantRequest { id: 7, ttl: MAX_TTL + 1 }, Err(ApplyError::TtlTooLarge)),
        (LeaseGrantRequest { id: 8, ttl: MAX_TTL }, Ok(MAX_TTL)),
        (LeaseGrantRequest { id: 0, ttl: 5 }, Err(ApplyError::LeaseNotFound)),
        (LeaseGrantRequest { id: -3, ttl: 0 }, Ok(1)),
        (LeaseGrantRequest { id: 9, ttl: -1 }, Ok(1)),
    ];
    for (request, expected) in cases {
        let outcome = store.run(Op::LeaseGrant(request));
        let answer = expected.map(|ttl| {
            Response::LeaseGrant(LeaseGrantResponse { id: request.id, ttl, ..Default::default() })
        });
        assert_eq!(outcome.result, answer, "{request:?}");
        assert_eq!(outcome.revision, 1);
    }
    let ids: Vec<i64> = store.reader.leases().iter().map(|lease| lease.id.0).collect();
    assert_eq!(ids, [-3, 7, 8, 9]);
}

#[test]
fn a_key_hangs_on_the_lease_of_its_last_put() {
    let mut store = Store::new();
    store.grant(1);
    store.grant(2);
    for (lease, on_first, on_second) in [(1, "k", ""), (1, "k", ""), (2, "", "k"), (0, "", "")] {
        store.try_put(leased("k", lease)).unwrap();
        assert_eq!(
            (lease_keys(&store, 1), lease_keys(&store, 2)),
            (on_first.into(), on_second.into())
        );
        assert_eq!(store.get("k").unwrap().lease, lease);
    }
    store.try_put(leased("k", 1)).unwrap();
    store.delete("k", "");
    assert_eq!(lease_keys(&store, 1), "");
    store.txn(then(vec![op_put(leased("t", 2))]));
    assert_eq!(lease_keys(&store, 2), "t");
}

#[test]
fn revoking_deletes_the_keys_in_order_in_one_revision() {
    let mut store = Store::new();
    store.grant(1);
    for key in ["c", "a", "b"] {
        store.try_put(leased(key, 1)).unwrap();
    }
    store.put("d", "");
    assert_eq!(store.revoke(1), (6, Ok(Response::LeaseRevoke)));
    assert_eq!(keys(&store.contents()), "d");
    let events = store.reader.events().since(6).unwrap();
    assert_eq!(events.len(), 1);
    let gone: Vec<_> = events[0].events.iter().map(|event| event.kv.clone().unwrap()).collect();
    assert_eq!(keys(&gone), "a b c");
    assert!(store.reader.lease(LeaseId(1)).is_none());
    assert_eq!(store.revoke(1), (6, Err(ApplyError::LeaseNotFound)));
    store.grant(1);
    assert_eq!(store.revoke(1).0, 6, "a lease without keys moves no revision");
}

#[test]
fn checkpoints_are_kept_and_unknown_leases_skipped() {
    let mut store = Store::new();
    store.grant(1);
    let checkpoints =
        [(1, 40), (99, 7)].map(|(id, remaining_ttl)| LeaseCheckpoint { id, remaining_ttl });
    let request = LeaseCheckpointRequest { checkpoints: checkpoints.to_vec() };
    assert_eq!(store.run(Op::LeaseCheckpoint(request)).result, Ok(Response::LeaseCheckpoint));
    let expected = Lease { id: LeaseId(1), ttl: 100, remaining: 40 };
    assert_eq!(store.reader.leases(), [expected]);
    let store = store.reopen();
    assert_eq!(store.reader.leases(), [expected]);
}

#[test]
fn the_leader_hears_of_leases_in_order() {
    let mut store = Store::new();
    let mut events = store.reader.lease_events();
    store.grant(1);
    let request =
        LeaseCheckpointRequest { checkpoints: vec![LeaseCheckpoint { id: 1, remaining_ttl: 9 }] };
    store.run(Op::LeaseCheckpoint(request));
    store.revoke(1).1.unwrap();
    let id = LeaseId(1);
    let expected = [
        LeaseEvent::Granted { id, ttl: 100 },
        LeaseEvent::Checkpointed { id, remaining: 9 },
        LeaseEvent::Revoked { id },
    ];
    assert_eq!(expected.map(|_| events.try_recv().unwrap()), expected);
}

#[test]
fn attachments_survive_a_restart() {
    let mut store = Store::new();
    store.grant(1);
    store.grant(2);
    for key in ["x", "b", "a"] {
        store.try_put(leased(key, 1)).unwrap();
    }
    store.try_put(leased("b", 2)).unwrap();
    store.run(Op::DeleteRange(delete("x", "")));
    let mut store = store.reopen();
    assert_eq!((lease_keys(&store, 1), lease_keys(&store, 2)), ("a".into(), "b".into()));
    assert_eq!(store.revoke(1).0, 7);
    assert_eq!(keys(&store.contents()), "b");
    let store = store.reopen();
    assert!(store.reader.lease(LeaseId(1)).is_none());
}
