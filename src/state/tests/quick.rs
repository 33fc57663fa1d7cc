//! What is said to be applied within microseconds.

use super::support::{Store, delete, get, op_delete, op_put, op_range, op_txn, put, then};
use crate::proto::etcdserverpb::compare::{CompareTarget, TargetUnion};
use crate::proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, TxnRequest,
};
use crate::proto::internal::request::Op;
use crate::proto::internal::{ProposalBatch, Request};

fn batch(ops: Vec<Op>) -> ProposalBatch {
    let requests = ops.into_iter().map(|op| Request { op: Some(op), ..Request::default() });
    ProposalBatch { origin: 1, id: 1, requests: requests.collect() }
}

/// Whether they are, once the work in the background is done.
fn is_quick(store: &mut Store, ops: Vec<Op>) -> bool {
    store.settle();
    store.machine.is_quick(&batch(ops))
}

fn puts(count: usize) -> Vec<Op> {
    (0..count).map(|_| Op::Put(put("k", "v"))).collect()
}

#[test]
fn a_few_small_puts_are_quick() {
    let mut store = Store::new();
    let mut is_quick = |ops| is_quick(&mut store, ops);
    assert!(is_quick(puts(1)));
    assert!(is_quick(puts(4)));
    assert!(!is_quick(puts(5)));
    let slow = [
        Op::Put(PutRequest { lease: 7, ..put("k", "v") }),
        Op::Put(PutRequest { prev_kv: true, ..put("k", "v") }),
        Op::Put(PutRequest { ignore_value: true, ..put("k", "") }),
        Op::Compaction(CompactionRequest::default()),
    ];
    for op in slow {
        let mut ops = puts(1);
        ops.push(op.clone());
        assert!(!is_quick(vec![op.clone()]), "{op:?}");
        assert!(!is_quick(ops), "{op:?}");
    }
}

#[test]
fn to_delete_one_key_is_quick() {
    let mut store = Store::new();
    let mut is_quick = |delete| is_quick(&mut store, vec![Op::DeleteRange(delete)]);
    assert!(is_quick(delete("k", "")));
    assert!(!is_quick(delete("k", "l")));
    assert!(!is_quick(DeleteRangeRequest { prev_kv: true, ..delete("k", "") }));
}

#[test]
fn a_transaction_is_quick_if_what_it_would_do_now_is() {
    let mut store = Store::new();
    let created = store.put("k", "v");
    let at = |revision| Compare {
        key: "k".into(),
        target: CompareTarget::Mod as i32,
        target_union: Some(TargetUnion::ModRevision(revision)),
        ..Compare::default()
    };
    let txn = |compare, success| TxnRequest {
        compare: vec![compare],
        success,
        failure: vec![op_range(get("k"))],
    };
    let mut is_quick = |txn| is_quick(&mut store, vec![Op::Txn(txn)]);
    let put_k = || op_put(put("k", "w"));
    assert!(is_quick(txn(at(created), vec![put_k()])));
    assert!(is_quick(txn(at(created), vec![op_delete(delete("k", ""))])));
    assert!(is_quick(txn(at(created), vec![])));
    assert!(!is_quick(txn(at(created + 1), vec![put_k()])), "it would read a record");
    assert!(!is_quick(txn(at(created), vec![put_k(); 9])));
    assert!(!is_quick(txn(at(created), vec![op_range(get("k"))])));
    assert!(!is_quick(txn(at(created), vec![op_txn(then(vec![put_k()]))])));
    let leased = op_put(PutRequest { lease: 7, ..put("k", "w") });
    let nested = op_txn(then(vec![]));
    for other in [vec![leased], vec![nested], vec![put_k(); 9]] {
        let txn = TxnRequest { failure: other, ..txn(at(created), vec![put_k()]) };
        assert!(!is_quick(txn), "the other branch is looked at, too");
    }
    let value = Some(TargetUnion::Value("v".into()));
    let by_value =
        Compare { target: CompareTarget::Value as i32, target_union: value, ..at(created) };
    assert!(!is_quick(txn(by_value, vec![put_k()])));
    assert!(!is_quick(txn(Compare { range_end: "l".into(), ..at(created) }, vec![put_k()])));
}

#[test]
fn nothing_is_quick_while_a_compaction_is_carried_out() {
    let mut store = Store::new();
    store.put("k", "1");
    store.put("k", "2");
    store.accept_compaction(3).unwrap();
    assert!(!store.machine.is_quick(&batch(puts(1))));
    assert!(is_quick(&mut store, puts(1)));
}
