//! Txn: comparisons, branches, nesting, and everything that is refused.

use etcd::proto::etcdserverpb::compare::TargetUnion;
use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

use crate::compat::side_by_side;
use crate::support::session::{Session, put};

side_by_side!(comparisons, play_compares);
side_by_side!(branches_and_order, play_branches);
side_by_side!(refused_transactions, play_refused);

fn op_put(request: PutRequest) -> RequestOp {
    RequestOp { request: Some(Request::RequestPut(request)) }
}

fn op_range(key: &'static str, end: &'static str, revision: i64) -> RequestOp {
    let range = RangeRequest {
        key: key.into(),
        range_end: end.into(),
        revision,
        ..RangeRequest::default()
    };
    RequestOp { request: Some(Request::RequestRange(range)) }
}

fn op_delete(key: &'static str, end: &'static str) -> RequestOp {
    let delete = DeleteRangeRequest { key: key.into(), range_end: end.into(), prev_kv: true };
    RequestOp { request: Some(Request::RequestDeleteRange(delete)) }
}

fn op_txn(txn: TxnRequest) -> RequestOp {
    RequestOp { request: Some(Request::RequestTxn(txn)) }
}

fn always(success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { success, ..TxnRequest::default() }
}

fn compare(key: &'static str, end: &'static str, result: i32, target: i32) -> Compare {
    Compare { result, target, key: key.into(), range_end: end.into(), target_union: None }
}

async fn play(session: &mut Session, request: TxnRequest) {
    let answer = session.kv.txn(request.clone()).await;
    session.keep(request, answer);
}

async fn seed(session: &mut Session) {
    for (key, value) in [("a", "1"), ("b", "2"), ("b", "3"), ("c", "1"), ("gone", "1")] {
        let answer = session.kv.put(put(key, value)).await;
        session.keep(key, answer);
    }
    play(session, always(vec![op_delete("gone", "")])).await;
}

async fn play_compares(session: &mut Session) {
    seed(session).await;
    for (key, end) in
        [("a", ""), ("b", ""), ("gone", ""), ("a", "c"), ("x", "z"), ("b", "\0"), ("c", "a")]
    {
        for result in [0, 1, 2, 3, 9] {
            for target in [0, 1, 2, 3, 4, 9] {
                for operand in [-1, 0, 1, 2, 3] {
                    let union = match target {
                        0 => TargetUnion::Version(operand),
                        1 => TargetUnion::CreateRevision(operand),
                        2 => TargetUnion::ModRevision(operand),
                        3 => TargetUnion::Value(operand.to_string().into()),
                        _ => TargetUnion::Lease(operand),
                    };
                    let compare =
                        Compare { target_union: Some(union), ..compare(key, end, result, target) };
                    play(session, TxnRequest { compare: vec![compare], ..TxnRequest::default() })
                        .await;
                }
                // No operand at all, and one of another kind.
                let bare = compare(key, end, result, target);
                let wrong = Compare { target_union: Some(TargetUnion::Lease(2)), ..bare.clone() };
                play(session, TxnRequest { compare: vec![bare, wrong], ..TxnRequest::default() })
                    .await;
            }
        }
    }
}

async fn play_branches(session: &mut Session) {
    seed(session).await;
    let exists = Compare { target_union: Some(TargetUnion::Version(0)), ..compare("a", "", 1, 0) };
    let transactions = vec![
        TxnRequest::default(),
        always(vec![op_range("a", "", 0)]),
        always(vec![
            op_put(put("a", "x")),
            op_range("a", "", 0),
            op_delete("b", ""),
            op_range("a", "\0", 0),
        ]),
        always(vec![op_delete("b", "c"), op_range("a", "\0", 0)]),
        always(vec![op_range("a", "\0", 0), op_put(PutRequest { prev_kv: true, ..put("a", "y") })]),
        always(vec![op_range("a", "\0", 3), op_put(put("n", "1")), op_put(put("m", "1"))]),
        always(vec![op_range("a", "\0", 99), op_put(put("n", "2"))]),
        always(vec![op_put(put("n", "2")), op_range("a", "\0", 99)]),
        always(vec![op_put(PutRequest { lease: 77, ..put("n", "2") })]),
        always(vec![op_put(PutRequest { ignore_value: true, ..put("none", "") })]),
        always(vec![op_delete("nothing", "")]),
        always(vec![op_delete("nothing", ""), op_range("a", "", 0)]),
        TxnRequest {
            compare: vec![exists.clone()],
            success: vec![
                op_txn(TxnRequest {
                    compare: vec![exists.clone()],
                    success: vec![op_put(put("inner", "1")), op_range("inner", "", 0)],
                    failure: vec![op_put(put("inner", "2"))],
                }),
                op_range("inner", "", 0),
                op_txn(TxnRequest::default()),
            ],
            failure: vec![op_put(put("never", "1"))],
        },
        TxnRequest {
            compare: vec![Compare { result: 0, ..exists.clone() }],
            success: vec![op_put(put("never", "1"))],
            failure: vec![op_put(put("failed", "1")), op_delete("a", "")],
        },
        // A nested comparison looks at the state before the outer writes.
        always(vec![
            op_put(put("fresh", "1")),
            op_txn(TxnRequest {
                compare: vec![Compare {
                    target_union: Some(TargetUnion::Version(1)),
                    ..compare("fresh", "", 0, 0)
                }],
                success: vec![op_put(put("saw", "new"))],
                failure: vec![op_put(put("saw", "old"))],
            }),
        ]),
    ];
    for transaction in transactions {
        play(session, transaction).await;
    }
    play(session, always(vec![op_range("\0", "\0", 0)])).await;
}

fn nested(depth: usize, inner: RequestOp) -> TxnRequest {
    (0..depth).fold(always(vec![inner]), |txn, _| always(vec![op_txn(txn)]))
}

fn many(count: usize) -> Vec<RequestOp> {
    (0..count).map(|i| op_put(put(&format!("k{i}"), "v"))).collect()
}

/// Requests with something missing or with one key written twice.
fn refused_flat() -> Vec<TxnRequest> {
    let keyless = TxnRequest { compare: vec![compare("", "", 0, 0)], ..TxnRequest::default() };
    vec![
        keyless,
        always(vec![op_put(put("", "v"))]),
        always(vec![op_range("", "", 0)]),
        always(vec![op_delete("", "")]),
        TxnRequest { failure: vec![op_put(put("", "v"))], ..TxnRequest::default() },
        always(vec![RequestOp { request: None }]),
        always(vec![op_put(PutRequest { ignore_value: true, ..put("a", "v") })]),
        always(vec![op_put(PutRequest { ignore_lease: true, lease: 4, ..put("a", "v") })]),
        always(vec![op_put(put("a", "1")), op_put(put("a", "2"))]),
        always(vec![op_put(put("a", "1")), op_delete("a", "")]),
        always(vec![op_delete("a", ""), op_put(put("a", "1"))]),
        always(vec![op_delete("a", "c"), op_put(put("b", "1"))]),
        always(vec![op_delete("a", "c"), op_put(put("c", "1"))]),
        always(vec![op_delete("a", "\0"), op_put(put("b", "1"))]),
        always(vec![op_delete("a", ""), op_delete("a", "")]),
    ]
}

/// Writes of one key across nested transactions, in one branch or in both, and too many operations.
fn refused_nested_or_large() -> Vec<TxnRequest> {
    vec![
        always(vec![op_put(put("x", "1")), op_txn(always(vec![op_put(put("x", "2"))]))]),
        always(vec![op_txn(always(vec![op_put(put("x", "2"))])), op_put(put("x", "1"))]),
        always(vec![
            op_txn(always(vec![op_put(put("y", "2"))])),
            op_txn(always(vec![op_put(put("y", "3"))])),
        ]),
        always(vec![
            op_txn(always(vec![op_put(put("y", "2"))])),
            op_txn(always(vec![op_delete("y", "")])),
        ]),
        always(vec![
            op_txn(always(vec![op_delete("y", "")])),
            op_txn(always(vec![op_put(put("y", "2"))])),
        ]),
        always(vec![op_txn(always(vec![op_delete("y", "")])), op_put(put("y", "2"))]),
        always(vec![op_delete("y", ""), op_txn(always(vec![op_put(put("y", "2"))]))]),
        always(vec![op_txn(TxnRequest {
            success: vec![op_put(put("z", "1"))],
            failure: vec![op_put(put("z", "2"))],
            ..TxnRequest::default()
        })]),
        TxnRequest {
            success: vec![op_put(put("w", "1"))],
            failure: vec![op_put(put("w", "2"))],
            ..TxnRequest::default()
        },
        always(many(128)),
        always(many(129)),
        TxnRequest { failure: many(129), ..TxnRequest::default() },
        TxnRequest { compare: vec![compare("a", "", 0, 0); 129], ..TxnRequest::default() },
        always([many(100), vec![op_txn(always(vec![op_range("a", "", 0); 27]))]].concat()),
        always([many(100), vec![op_txn(always(vec![op_range("a", "", 0); 28]))]].concat()),
        nested(5, op_put(put("deep", "1"))),
        nested(5, op_put(put("", "1"))),
    ]
}

async fn play_refused(session: &mut Session) {
    seed(session).await;
    for transaction in refused_flat().into_iter().chain(refused_nested_or_large()) {
        play(session, transaction).await;
    }
    play(session, always(vec![op_range("\0", "\0", 0)])).await;
}
