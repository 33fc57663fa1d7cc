//! Transactions: conditions, order, headers, refusals, nesting.

use super::support::{
    Store, all, delete, get, inner_revision, keys, op_delete, op_put, op_range, op_txn, put, range,
    then,
};
use crate::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::proto::etcdserverpb::response_op::Response as Answer;
use crate::proto::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RequestOp, ResponseOp, TxnRequest,
};
use crate::state::{ApplyError, ReadError};

fn compare(key: &str, result: CompareResult, target: CompareTarget, with: TargetUnion) -> Compare {
    Compare {
        key: key.to_owned().into(),
        result: result as i32,
        target: target as i32,
        target_union: Some(with),
        ..Default::default()
    }
}

fn holds(store: &Store, compare: Compare) -> bool {
    let txn = TxnRequest { compare: vec![compare], ..Default::default() };
    store.reader.txn_readonly(&txn, usize::MAX).unwrap().succeeded
}

fn found(op: &ResponseOp) -> String {
    match op.response.as_ref().unwrap() {
        Answer::ResponseRange(answer) => keys(&answer.kvs),
        other => panic!("not a range: {other:?}"),
    }
}

#[test]
fn conditions_compare_each_target() {
    use CompareResult::{Equal, Greater, Less, NotEqual};
    use CompareTarget::{Create, Lease, Mod, Value, Version};
    let mut store = Store::new();
    store.grant(7);
    store.put("k", "a");
    store.try_put(PutRequest { lease: 7, ..put("k", "m") }).unwrap();
    let cases = [
        (Version, TargetUnion::Version(2), [true, false, false, false]),
        (Create, TargetUnion::CreateRevision(1), [false, true, false, true]),
        (Mod, TargetUnion::ModRevision(9), [false, false, true, true]),
        (Lease, TargetUnion::Lease(7), [true, false, false, false]),
        (Value, TargetUnion::Value("n".into()), [false, false, true, true]),
        (Value, TargetUnion::Value("m".into()), [true, false, false, false]),
        // A number for another target counts as zero.
        (Version, TargetUnion::Lease(2), [false, true, false, true]),
        (Value, TargetUnion::Lease(2), [false, true, false, true]),
    ];
    for (target, with, expected) in cases {
        let judged = [Equal, Greater, Less, NotEqual]
            .map(|result| holds(&store, compare("k", result, target, with.clone())));
        assert_eq!(judged, expected, "{target:?} {with:?}");
    }
}

#[test]
fn a_missing_key_has_zeros_and_no_value() {
    use CompareResult::{Equal, Less, NotEqual};
    let store = Store::new();
    let zero = TargetUnion::Version(0);
    assert!(holds(&store, compare("x", Equal, CompareTarget::Version, zero)));
    let lease = TargetUnion::Lease(1);
    assert!(holds(&store, compare("x", Less, CompareTarget::Lease, lease)));
    for result in [Equal, NotEqual, Less] {
        let value = TargetUnion::Value("v".into());
        assert!(!holds(&store, compare("x", result, CompareTarget::Value, value)));
    }
}

#[test]
fn a_condition_on_an_interval_must_hold_for_every_key() {
    use CompareResult::{Equal, Greater, NotEqual};
    let mut store = Store::new();
    store.put("a", "1");
    store.put("b", "2");
    let over = |end: &'static str, one: Compare| Compare { range_end: end.into(), ..one };
    let created = |rev| TargetUnion::CreateRevision(rev);
    let create = CompareTarget::Create;
    assert!(holds(&store, over("c", compare("a", Greater, create, created(1)))));
    assert!(!holds(&store, over("c", compare("a", Greater, create, created(2)))));
    assert!(holds(&store, over("\0", compare("x", Equal, create, created(0)))));
    let value = CompareTarget::Value;
    let with = |text: &'static str| TargetUnion::Value(text.into());
    assert!(holds(&store, over("c", compare("a", NotEqual, value, with("3")))));
    assert!(!holds(&store, over("c", compare("a", NotEqual, value, with("2")))));
    assert!(!holds(&store, over("\0", compare("x", NotEqual, value, with("3")))));
}

#[test]
fn unknown_comparisons_hold_and_unknown_targets_are_zero() {
    let mut store = Store::new();
    store.put("k", "v");
    let odd = compare("k", CompareResult::Equal, CompareTarget::Version, TargetUnion::Version(5));
    assert!(holds(&store, Compare { result: 9, ..odd.clone() }));
    assert!(holds(&store, Compare { target: 9, ..odd.clone() }));
    assert!(!holds(&store, odd));
}

#[test]
fn operations_run_in_order_and_see_each_other() {
    let mut store = Store::new();
    store.put("a", "1");
    let (revision, answer) = store.txn(then(vec![
        op_range(all()),
        op_delete(delete("x", "")),
        op_put(put("b", "2")),
        op_range(all()),
        op_delete(delete("a", "")),
        op_range(all()),
        op_range(RangeRequest { revision: 2, ..all() }),
    ]));
    assert_eq!(revision, 3);
    assert!(answer.succeeded && answer.header.is_none());
    let ranges = [0, 3, 5, 6].map(|place| found(&answer.responses[place]));
    assert_eq!(ranges, ["a", "a b", "b", "a"]);
    let revisions: Vec<_> = answer.responses.iter().map(inner_revision).collect();
    assert_eq!(revisions, [2, 2, 3, 3, 3, 3, 3].map(Some));
    assert_eq!(store.get("b").unwrap().mod_revision, 3);
}

#[test]
fn the_other_branch_runs_when_a_condition_fails() {
    let mut store = Store::new();
    let never =
        compare("k", CompareResult::Greater, CompareTarget::Version, TargetUnion::Version(0));
    let txn = TxnRequest {
        compare: vec![never],
        success: vec![op_put(put("yes", ""))],
        failure: vec![op_put(put("no", ""))],
    };
    let (_, answer) = store.txn(txn);
    assert!(!answer.succeeded);
    assert_eq!(keys(&store.contents()), "no");
}

#[test]
fn transactions_that_change_nothing_keep_the_revision() {
    let mut store = Store::new();
    store.put("k", "");
    let (revision, answer) =
        store.txn(then(vec![op_delete(delete("x", "")), op_txn(then(vec![]))]));
    assert_eq!((revision, inner_revision(&answer.responses[0])), (2, Some(2)));
    assert_eq!(store.txn(TxnRequest::default()).0, 2);
}

#[test]
fn nested_transactions_look_at_the_state_before_the_outermost() {
    let mut store = Store::new();
    let missing =
        compare("k", CompareResult::Equal, CompareTarget::Version, TargetUnion::Version(0));
    let inner = TxnRequest {
        compare: vec![missing],
        success: vec![op_put(put("inner", "")), op_range(all())],
        failure: vec![],
    };
    let (revision, answer) = store.txn(then(vec![op_put(put("k", "")), op_txn(inner)]));
    assert_eq!(revision, 2);
    let Some(Answer::ResponseTxn(nested)) = &answer.responses[1].response else { panic!() };
    assert!(nested.succeeded);
    assert_eq!(nested.header, Some(Default::default()), "present, but empty");
    assert_eq!(found(&nested.responses[1]), "inner k");
    let kv = store.get("inner").unwrap();
    assert_eq!((kv.create_revision, kv.version), (2, 1));
}

#[test]
fn whatever_refuses_a_step_refuses_the_whole() {
    let mut store = Store::new();
    store.put("k", "v");
    store.put("k", "w");
    store.compact(3);
    let good = || op_put(put("new", ""));
    let at = |revision| op_range(RangeRequest { revision, ..get("k") });
    let keep = |key| op_put(PutRequest { ignore_value: true, ..put(key, "") });
    let leased = || op_put(PutRequest { lease: 4, ..put("k", "") });
    let cases: Vec<(Vec<RequestOp>, ApplyError)> = vec![
        (vec![good(), leased()], ApplyError::LeaseNotFound),
        (vec![good(), keep("x")], ApplyError::KeyNotFound),
        (vec![good(), at(4)], ApplyError::FutureRevision),
        (vec![good(), at(2)], ApplyError::Compacted),
        (vec![good(), at(-1)], ApplyError::Compacted),
        (vec![at(4), leased()], ApplyError::LeaseNotFound),
        (vec![good(), op_txn(then(vec![leased()]))], ApplyError::LeaseNotFound),
        (vec![good(), op_txn(then(vec![at(9)]))], ApplyError::FutureRevision),
        (vec![good(), RequestOp { request: None }], ApplyError::KeyNotFound),
        (vec![good(), op_put(put("", ""))], ApplyError::EmptyKey),
        (vec![good(), op_delete(delete("", ""))], ApplyError::EmptyKey),
        (
            vec![good(), op_range(RangeRequest { sort_order: 8, ..all() })],
            ApplyError::InvalidSortOption,
        ),
        // The key is gone when its turn comes.
        (vec![op_delete(delete("a", "\0")), keep("k")], ApplyError::KeyNotFound),
    ];
    for (ops, expected) in cases {
        let txn = then(ops);
        assert_eq!(store.try_txn(txn.clone()).unwrap_err(), expected, "{txn:?}");
        assert_eq!((store.reader.revision(), keys(&store.contents())), (3, "k".into()));
    }
    // Refusals hide in the branch that is not taken.
    let hidden = TxnRequest { failure: vec![leased(), at(99)], ..then(vec![good(), keep("k")]) };
    assert_eq!(store.txn(hidden).0, 4);
    assert_eq!(store.get("k").unwrap().value, "w");
}

#[test]
fn a_negative_revision_means_the_current_one_while_nothing_is_compacted() {
    let mut store = Store::new();
    store.put("k", "v");
    let at = |revision| {
        then(vec![op_range(RangeRequest { revision, ..get("k") }), op_put(put("x", ""))])
    };
    assert_eq!(found(&store.txn(at(-1)).1.responses[0]), "k");
    assert_eq!(store.try_txn(at(-2)).unwrap_err(), ApplyError::Compacted);
}

#[test]
fn a_key_deleted_and_put_again_in_one_transaction_is_new() {
    let mut store = Store::new();
    store.put("k", "old");
    let (revision, _) =
        store.txn(then(vec![op_delete(delete("k", "\0")), op_put(put("k", "new"))]));
    let kv = store.get("k").unwrap();
    assert_eq!((revision, kv.create_revision, kv.mod_revision, kv.version), (3, 3, 3, 1));
    let events = &store.reader.events().since(3).unwrap()[0];
    assert_eq!(events.events.len(), 2);
    assert_eq!(
        events.prev.iter().map(|at| at.map(|at| at.main)).collect::<Vec<_>>(),
        [Some(2), None]
    );
    assert_eq!(store.reader.prev_kv(b"k", 3).unwrap().unwrap().value, "old");
    let old = store.reader.range(&RangeRequest { revision: 2, ..get("k") }).unwrap();
    assert_eq!(old.kvs[0].value, "old");
}

#[test]
fn deleting_what_the_transaction_put_tells_watchers_the_value_before_it() {
    let mut store = Store::new();
    store.put("k", "old");
    store.txn(then(vec![
        op_txn(then(vec![op_put(put("k", "new")), op_put(put("fresh", ""))])),
        op_delete(delete("f", "z")),
    ]));
    assert!(store.contents().is_empty());
    let events = &store.reader.events().since(3).unwrap()[0];
    let prev: Vec<_> = events.prev.iter().map(|at| at.map(|at| at.main)).collect();
    assert_eq!(prev, [Some(2), None, None, Some(2)]);
}

#[test]
fn read_only_transactions_need_no_log() {
    let mut store = Store::new();
    store.put("a", "1");
    store.put("b", "2");
    let txn =
        then(vec![op_range(range("a", "z")), op_range(RangeRequest { revision: 2, ..all() })]);
    let answer = store.reader.txn_readonly(&txn, usize::MAX).unwrap();
    assert_eq!(answer.header.unwrap().revision, 3);
    assert_eq!(answer.responses.iter().map(found).collect::<Vec<_>>(), ["a b", "a"]);
    let future = then(vec![op_range(RangeRequest { revision: 9, ..all() })]);
    assert!(matches!(
        store.reader.txn_readonly(&future, usize::MAX),
        Err(ReadError::FutureRevision)
    ));
    let writes = then(vec![op_put(put("a", ""))]);
    assert!(matches!(store.reader.txn_readonly(&writes, usize::MAX), Err(ReadError::NotReadOnly)));
}
