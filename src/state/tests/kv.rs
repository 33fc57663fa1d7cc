//! Put and delete: revisions, versions, previous values, refusals.

use super::support::{Store, all, delete, keys, put};
use crate::proto::etcdserverpb::PutRequest;
use crate::proto::internal::request::Op;
use crate::state::{ApplyError, Payload};

#[test]
fn a_put_advances_revision_and_version_even_when_nothing_changes() {
    let mut store = Store::new();
    assert_eq!(store.reader.revision(), 1);
    assert_eq!(store.put("k", "v"), 2);
    assert_eq!(store.put("k", "v"), 3);
    let kv = store.get("k").unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (2, 3, 2));
}

#[test]
fn a_key_created_again_starts_anew() {
    let mut store = Store::new();
    store.put("k", "1");
    store.put("k", "2");
    assert_eq!(store.delete("k", "").0, 4);
    assert!(store.get("k").is_none());
    store.put("k", "3");
    let kv = store.get("k").unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (5, 5, 1));
}

#[test]
fn a_put_tells_the_previous_value_only_when_asked() {
    let mut store = Store::new();
    let asking = |value| PutRequest { prev_kv: true, ..put("k", value) };
    assert_eq!(store.try_put(asking("1")).unwrap().1.prev_kv, None);
    let prev = store.try_put(asking("2")).unwrap().1.prev_kv.unwrap();
    assert_eq!((prev.value.as_ref(), prev.mod_revision), (&b"1"[..], 2));
    assert_eq!(store.try_put(put("k", "3")).unwrap().1.prev_kv, None);
}

#[test]
fn a_put_may_keep_value_or_lease() {
    let mut store = Store::new();
    store.grant(7);
    store.grant(8);
    store.try_put(PutRequest { lease: 7, ..put("k", "old") }).unwrap();
    store.try_put(PutRequest { ignore_value: true, lease: 8, ..put("k", "") }).unwrap();
    let kv = store.get("k").unwrap();
    assert_eq!((kv.value.as_ref(), kv.lease, kv.version), (&b"old"[..], 8, 2));
    store.try_put(PutRequest { ignore_lease: true, ..put("k", "new") }).unwrap();
    let kv = store.get("k").unwrap();
    assert_eq!((kv.value.as_ref(), kv.lease), (&b"new"[..], 8));
    let both = PutRequest { ignore_lease: true, ignore_value: true, ..put("k", "") };
    assert_eq!(store.try_put(both).unwrap().0, 5);
    let kv = store.get("k").unwrap();
    assert_eq!((kv.value.as_ref(), kv.lease, kv.version), (&b"new"[..], 8, 4));
}

#[test]
fn refused_puts_consume_no_revision() {
    let mut store = Store::new();
    let cases = [
        (PutRequest { ignore_value: true, ..put("k", "") }, ApplyError::KeyNotFound),
        (PutRequest { ignore_lease: true, ..put("k", "") }, ApplyError::KeyNotFound),
        (PutRequest { lease: 5, ..put("k", "") }, ApplyError::LeaseNotFound),
        (PutRequest { lease: 5, ignore_value: true, ..put("k", "") }, ApplyError::LeaseNotFound),
        (put("", "v"), ApplyError::EmptyKey),
    ];
    for (request, expected) in cases {
        assert_eq!(store.try_put(request.clone()).unwrap_err(), expected, "{request:?}");
    }
    assert_eq!(store.reader.revision(), 1);
    assert_eq!(store.put("k", ""), 2);
}

#[test]
fn a_deletion_of_many_keys_is_one_revision() {
    let mut store = Store::new();
    for key in ["a", "b", "c", "d"] {
        store.put(key, key);
    }
    let outcome = store.run(Op::DeleteRange(crate::proto::etcdserverpb::DeleteRangeRequest {
        prev_kv: true,
        ..delete("b", "d")
    }));
    assert_eq!(outcome.revision, 6);
    let crate::state::Response::DeleteRange(answer) = outcome.result.unwrap() else { panic!() };
    assert_eq!((answer.deleted, keys(&answer.prev_kvs)), (2, "b c".into()));
    assert_eq!(keys(&store.contents()), "a d");
    let events = store.reader.events().since(6).unwrap();
    let seen: Vec<_> = events[0].events.iter().map(|event| event.kv.clone().unwrap()).collect();
    assert_eq!(keys(&seen), "b c");
    assert!(seen.iter().all(|kv| kv.mod_revision == 6 && kv.version == 0 && kv.value.is_empty()));
}

#[test]
fn deletions_of_nothing_succeed_and_move_nothing() {
    let mut store = Store::new();
    store.put("k", "v");
    for (key, end) in [("x", ""), ("x", "z"), ("z", "a"), ("l", "\0")] {
        let (revision, answer) = store.delete(key, end);
        assert_eq!((revision, answer.deleted), (2, 0), "{key} to {end}");
    }
    let outcome = store.run(Op::DeleteRange(delete("", "")));
    assert_eq!(outcome.result, Err(ApplyError::EmptyKey));
}

#[test]
fn intervals_follow_etcds_conventions() {
    for (key, end, left) in
        [("b", "", "a c"), ("a", "c", "c"), ("b", "\0", "a"), ("\0", "\0", ""), ("c", "a", "a b c")]
    {
        let mut store = Store::new();
        for key in ["a", "b", "c"] {
            store.put(key, "");
        }
        store.delete(key, end);
        assert_eq!(keys(&store.reader.range(&all()).unwrap().kvs), left, "{key} to {end:?}");
    }
}

#[test]
fn requests_of_one_batch_see_each_other_and_have_revisions_of_their_own() {
    let mut store = Store::new();
    let outcomes = store.batch(vec![
        Op::Put(put("k", "1")),
        Op::Put(PutRequest { ignore_value: true, prev_kv: true, ..put("k", "") }),
        Op::Put(PutRequest { lease: 9, ..put("k", "2") }),
        Op::DeleteRange(delete("k", "")),
        Op::Put(put("k", "3")),
    ]);
    let revisions: Vec<_> = outcomes.iter().map(|outcome| outcome.revision).collect();
    assert_eq!(revisions, [2, 3, 3, 4, 5]);
    assert_eq!(outcomes[2].result, Err(ApplyError::LeaseNotFound));
    let crate::state::Response::Put(second) = outcomes[1].result.as_ref().unwrap() else {
        panic!()
    };
    assert_eq!(second.prev_kv.as_ref().unwrap().value, "1");
    let events = store.reader.events().since(2).unwrap();
    assert_eq!(events.iter().map(|one| one.revision).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert_eq!(*store.reader.events().revisions().borrow(), 5);
}

#[test]
fn blank_and_membership_entries_move_no_revision() {
    let mut store = Store::new();
    store.put("k", "v");
    let entries = vec![
        crate::state::Entry { log_id: "x".into(), index: 2, payload: Payload::Blank },
        crate::state::Entry {
            log_id: "y".into(),
            index: 3,
            payload: Payload::Membership { record: "members".into(), members: vec![] },
        },
    ];
    let outcomes = store.machine.apply(entries).unwrap();
    assert!(outcomes.iter().all(Option::is_none));
    assert_eq!((store.reader.revision(), store.reader.applied_index()), (2, 3));
    assert_eq!(store.machine.membership().unwrap(), "members");
    assert_eq!(store.machine.applied().unwrap(), "y");
}

#[test]
fn an_entry_without_an_operation_is_refused() {
    let mut store = Store::new();
    let mut entry = super::support::entry(1, vec![]);
    let batch = crate::proto::internal::ProposalBatch {
        requests: vec![crate::proto::internal::Request::default()],
        ..Default::default()
    };
    entry.payload = Payload::Batch(std::sync::Arc::new(batch));
    let outcome = store.machine.apply(vec![entry]).unwrap().pop().unwrap().unwrap().pop().unwrap();
    assert_eq!(outcome.result, Err(ApplyError::UnknownOperation));
}
