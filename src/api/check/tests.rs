use super::*;
use crate::proto::etcdserverpb::Compare;

const MAX: usize = 128;

fn op(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn put_of(key: &'static str) -> RequestOp {
    op(Request::RequestPut(PutRequest { key: key.into(), ..Default::default() }))
}

fn delete_of(key: &'static str, range_end: &'static str) -> RequestOp {
    let request =
        DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv: false };
    op(Request::RequestDeleteRange(request))
}

fn range_of(key: &'static str) -> RequestOp {
    op(Request::RequestRange(RangeRequest { key: key.into(), ..Default::default() }))
}

fn nested(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
    op(Request::RequestTxn(TxnRequest { compare: vec![], success, failure }))
}

fn ranges(count: usize) -> Vec<RequestOp> {
    vec![range_of("k"); count]
}

/// The verdict on a transaction with this first branch, and that on one with this second branch,
/// which must agree.
fn verdict(branch: &[RequestOp]) -> Result<(), CheckError> {
    let first = TxnRequest { success: branch.to_vec(), ..Default::default() };
    let second = TxnRequest { failure: branch.to_vec(), ..Default::default() };
    let verdict = txn(&first, MAX);
    assert_eq!(txn(&second, MAX), verdict);
    verdict
}

#[test]
fn ranges_need_a_key_and_a_known_order() {
    let range_with = |key: &'static str, sort_order, sort_target| {
        range(&RangeRequest { key: key.into(), sort_order, sort_target, ..Default::default() })
    };
    assert_eq!(range_with("k", 2, 4), Ok(()));
    assert_eq!(range_with("", 0, 0), Err(CheckError::EmptyKey));
    for (order, target) in [(3, 0), (-1, 0), (0, 5), (0, -1)] {
        assert_eq!(range_with("k", order, target), Err(CheckError::InvalidSortOption));
    }
}

#[test]
fn puts_cannot_keep_and_bring_the_same_thing() {
    let good = PutRequest { key: "k".into(), value: "v".into(), lease: 7, ..Default::default() };
    assert_eq!(put(&good), Ok(()));
    let keeps = PutRequest { ignore_value: true, ignore_lease: true, ..good };
    assert_eq!(put(&keeps), Err(CheckError::ValueProvided));
    let keeps = PutRequest { value: "".into(), ..keeps };
    assert_eq!(put(&keeps), Err(CheckError::LeaseProvided));
    assert_eq!(put(&PutRequest { lease: 0, ..keeps.clone() }), Ok(()));
    assert_eq!(put(&PutRequest { key: "".into(), ..keeps }), Err(CheckError::EmptyKey));
}

#[test]
fn every_operation_of_a_transaction_is_checked() {
    let cases = [
        (put_of(""), CheckError::EmptyKey),
        (delete_of("", ""), CheckError::EmptyKey),
        (range_of(""), CheckError::EmptyKey),
        (RequestOp::default(), CheckError::EmptyOperation),
    ];
    for (bad, error) in cases {
        assert_eq!(verdict(&[put_of("a"), bad.clone()]), Err(error));
        assert_eq!(verdict(&[nested(vec![], vec![bad])]), Err(error));
    }
    let compare = vec![Compare::default()];
    let request = TxnRequest { compare, ..Default::default() };
    assert_eq!(txn(&request, MAX), Err(CheckError::EmptyKey));
    assert_eq!(txn(&TxnRequest::default(), MAX), Ok(()));
}

#[test]
fn nested_transactions_have_what_the_outer_one_left() {
    assert_eq!(verdict(&ranges(128)), Ok(()));
    assert_eq!(verdict(&ranges(129)), Err(CheckError::TooManyOps));
    let with_inner = |inner: usize| {
        let mut branch = ranges(98);
        // Siblings do not share: both may use all that is left.
        branch.push(nested(ranges(inner), vec![]));
        branch.push(nested(vec![], ranges(inner)));
        verdict(&branch)
    };
    assert_eq!(with_inner(28), Ok(()));
    assert_eq!(with_inner(29), Err(CheckError::TooManyOps));
    let compare = vec![Compare { key: "k".into(), ..Default::default() }; 129];
    let request = TxnRequest { compare, ..Default::default() };
    assert_eq!(txn(&request, MAX), Err(CheckError::TooManyOps));
}

#[test]
fn a_branch_writes_a_key_once() {
    let duplicate = Err(CheckError::DuplicateKey);
    let cases = [
        (vec![put_of("a"), put_of("b")], Ok(())),
        (vec![put_of("a"), put_of("a")], duplicate),
        (vec![put_of("a"), delete_of("a", "")], duplicate),
        (vec![delete_of("a", ""), put_of("a")], duplicate),
        (vec![delete_of("a", "c"), put_of("b")], duplicate),
        (vec![delete_of("a", "c"), put_of("c")], Ok(())),
        (vec![delete_of("a", "c"), delete_of("b", "e"), put_of("d")], duplicate),
        (vec![delete_of("d", "e"), delete_of("a", "b"), put_of("c")], Ok(())),
        (vec![delete_of("a", "b"), delete_of("b", "c"), put_of("b")], duplicate),
        (vec![delete_of("c", "a"), put_of("b")], Ok(())),
        (vec![delete_of("a", ""), delete_of("a", ""), delete_of("a", "z")], Ok(())),
        (vec![range_of("a"), put_of("a"), range_of("a")], Ok(())),
    ];
    for (branch, expected) in cases {
        assert_eq!(verdict(&branch), expected, "{branch:?}");
    }
    let both =
        TxnRequest { success: vec![put_of("a")], failure: vec![put_of("a")], ..Default::default() };
    assert_eq!(txn(&both, MAX), Ok(()));
}

#[test]
fn nested_writes_count_for_the_outer_branch() {
    let duplicate = Err(CheckError::DuplicateKey);
    let cases = [
        (vec![nested(vec![put_of("a")], vec![put_of("a")])], Ok(())),
        (vec![nested(vec![put_of("a")], vec![]), put_of("a")], duplicate),
        (vec![put_of("a"), nested(vec![], vec![put_of("a")])], duplicate),
        (vec![nested(vec![put_of("a")], vec![]), nested(vec![put_of("a")], vec![])], duplicate),
        (vec![nested(vec![put_of("a"), put_of("a")], vec![])], duplicate),
        (vec![nested(vec![put_of("a")], vec![]), delete_of("a", "")], duplicate),
        (vec![nested(vec![delete_of("a", "c")], vec![]), put_of("b")], duplicate),
        (
            vec![nested(vec![delete_of("a", "")], vec![]), nested(vec![put_of("a")], vec![])],
            duplicate,
        ),
        (vec![nested(vec![delete_of("a", "")], vec![put_of("a")])], Ok(())),
    ];
    for (branch, expected) in cases {
        assert_eq!(verdict(&branch), expected, "{branch:?}");
    }
}

#[test]
fn what_etcd_overlooks_stays_allowed() {
    assert_eq!(verdict(&[delete_of("a", "\0"), put_of("b")]), Ok(()));
    let earlier_put =
        [nested(vec![put_of("a")], vec![]), nested(vec![delete_of("a", "z")], vec![])];
    assert_eq!(verdict(&earlier_put), Ok(()));
}
