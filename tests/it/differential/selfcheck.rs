//! The machinery itself: a comparison that cannot fail, or cannot be repeated, is worth nothing.

use std::os::unix::fs::PermissionsExt;

use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
};
use etcd::proto::mvccpb::KeyValue;

use super::campaign::shortened;
use super::compare::{Verdict, first_difference, side_by_side};
use super::excluded::{order_ties, spare_the_reference};
use super::generate::sequence;
use super::player::play;
use super::revisions::{COMPACTED, NEWEST, Revisions};
use super::shrink::shrink;
use super::step::{Action, Sequence, Step};
use crate::support::server::Kind;

fn put(key: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), ..PutRequest::default() }
}

#[test]
fn a_seed_always_gives_the_same_steps_and_a_file_gives_them_back() {
    let first = sequence(7, 300);
    assert_eq!(first, sequence(7, 300));
    assert_ne!(first.steps, sequence(8, 300).steps);
    assert_eq!(Sequence::from_text(&first.to_text()).unwrap(), first);
    for (text, place) in [("", "line 1"), ("seed x", "line 1"), ("seed 1\n0a01", "line 2")] {
        assert!(Sequence::from_text(text).unwrap_err().starts_with(place), "{text}");
    }
}

#[test]
fn every_kind_of_step_comes_up() {
    let mut seen = [false; 21];
    for step in sequence(1, 10_000).steps {
        // The first byte of a step is the tag of its kind, or of which there are two.
        let bytes = prost::Message::encode_to_vec(&step);
        let (tag, _) = prost::encoding::decode_key(&mut bytes.as_slice()).unwrap();
        seen[usize::try_from(tag).unwrap() - 1] = true;
    }
    assert_eq!(seen, [true; 21]);
}

#[test]
fn relative_revisions_follow_what_is_known() {
    let known = Revisions { newest: 50, compacted: -1 };
    let numbers = [NEWEST, NEWEST - 3, NEWEST + 2, COMPACTED + 1, 7, -1, i64::MIN, i64::MAX];
    let resolved = numbers.map(|number| known.resolve(number));
    assert_eq!(resolved, [50, 47, 52, 1, 7, -1, i64::MIN, i64::MAX]);
    assert_eq!(Revisions { compacted: 9, ..known }.resolve(COMPACTED), 9);
}

#[tokio::test]
async fn shrinking_leaves_only_the_steps_and_parts_that_matter() {
    let op = |key: &str| RequestOp { request: Some(Request::RequestPut(put(key))) };
    let txn = |keys: &[&str]| {
        let success = keys.iter().map(|key| op(key)).collect();
        Step::new(Action::Txn(TxnRequest { success, ..TxnRequest::default() }))
    };
    let single = |i: usize| Step::new(Action::Put(put(&format!("k{i}"))));
    let mut steps: Vec<Step> = (0..100).map(single).collect();
    steps.insert(40, txn(&["a", "b", "c"]));
    let fails = async |steps: &[Step]| {
        let needs_b = |step: &Step| match &step.action {
            Some(Action::Txn(txn)) => txn.success.contains(&op("b")),
            _ => false,
        };
        steps.contains(&single(17)) && steps.iter().any(needs_b) && steps.contains(&single(63))
    };
    let left = shrink(steps.clone(), 1_000, fails).await;
    assert_eq!(left, [single(17), txn(&["b"]), single(63)]);
    let hurried = shrink(steps.clone(), 10, fails).await;
    assert!(fails(&hurried).await && hurried.len() < steps.len());
}

#[test]
fn ties_count_as_equal_and_nothing_else_does() {
    let request =
        |limit| RangeRequest { sort_order: 1, sort_target: 1, limit, ..Default::default() };
    let answer = |keys: [&str; 3], versions: [i64; 3], more| {
        let kv = |(key, version): (&str, i64)| KeyValue {
            key: key.to_owned().into(),
            version,
            ..KeyValue::default()
        };
        let kvs = keys.into_iter().zip(versions).map(kv).collect();
        RangeResponse { kvs, more, count: 40, ..RangeResponse::default() }
    };
    let same = |limit, mut a: RangeResponse, mut b: RangeResponse| {
        order_ties(&request(limit), &mut a);
        order_ties(&request(limit), &mut b);
        a == b
    };
    let first = answer(["a", "b", "c"], [1, 2, 2], false);
    assert!(same(0, first.clone(), answer(["a", "c", "b"], [1, 2, 2], false)));
    assert!(!same(0, first.clone(), answer(["b", "a", "c"], [1, 2, 2], false)));
    assert!(!same(0, first, answer(["a", "b", "d"], [1, 2, 2], false)));
    let cut = answer(["a", "b", "c"], [1, 2, 2], true);
    assert!(same(3, cut.clone(), answer(["a", "d", "b"], [1, 2, 2], true)));
    assert!(!same(3, cut, answer(["d", "b", "c"], [1, 2, 2], true)));
}

#[test]
fn only_puts_that_would_end_the_reference_are_made_plain() {
    let op = |request| RequestOp { request: Some(request) };
    let kept = PutRequest { ignore_value: true, ..put("a") };
    let spared = PutRequest { ignore_value: true, ..put("x") };
    let delete = DeleteRangeRequest { key: "b".into(), range_end: "\0".into(), prev_kv: false };
    let branch = [Request::RequestDeleteRange(delete), Request::RequestPut(kept.clone())];
    let mut success: Vec<RequestOp> = branch.into_iter().map(op).collect();
    success.push(op(Request::RequestPut(spared)));
    let mut txn = TxnRequest { success, ..TxnRequest::default() };
    spare_the_reference(&mut txn);
    assert_eq!(txn.success[1], op(Request::RequestPut(kept)));
    assert_eq!(txn.success[2], op(Request::RequestPut(put("x"))));
}

/// Two of ours: without a difference they read the same, and one write less on one side is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_missed_one_write_is_told_from_one_that_did_not() {
    let whole = sequence(1, 120);
    let (first, again) = tokio::join!(play(&Kind::Ours, &whole), play(&Kind::Ours, &whole));
    assert!(first.halt.is_none() && first.faults.is_empty(), "{:?}", first.halt);
    assert!(first_difference(&first.lines, &again.lines).is_none());
    let written = first.lines.iter().rfind(|line| line.text.starts_with("PutResponse"));
    let gone = written.unwrap().step;
    let mut less = whole;
    less.steps[gone].action = None;
    let less = play(&Kind::Ours, &less).await;
    assert_eq!(first_difference(&first.lines, &less.lines).unwrap().step, gone);
    let tails = [&first, &less].map(|played| played.lines.last().unwrap().text.clone());
    assert!(tails[0].starts_with("HashKvResponse"), "{tails:?}");
    assert_ne!(tails[0], tails[1], "the hashes at the end are equal");
}

/// A server that stores one value wrongly is found, made short, kept as text, and found again from that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_errs_is_found_with_few_steps_that_find_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = Kind::Ours.program("etcd");
    let script = format!("#!/bin/sh\nFAIL_ALTER=10 exec '{}' \"$@\"\n", program.display());
    let errs = folder.path().join("etcd");
    std::fs::write(&errs, script).unwrap();
    std::fs::set_permissions(&errs, std::fs::Permissions::from_mode(0o755)).unwrap();
    let kinds = (Kind::Ours, Kind::Reference(folder.path().to_path_buf()));
    let whole = sequence(3, 150);
    let Verdict::Parted(parting) = side_by_side(&kinds.0, &kinds.1, &whole).await else {
        panic!("a value that was stored with its bytes reversed was not seen");
    };
    let (short, parting) = shortened(&kinds, 60, &whole, parting).await;
    assert!(short.steps.len() <= 3, "{}", parting.describe(&short));
    let again = Sequence::from_text(&short.to_text()).unwrap();
    assert_eq!(again, short);
    let verdict = side_by_side(&kinds.0, &kinds.1, &again).await;
    assert!(matches!(verdict, Verdict::Parted(_)), "the short sequence does not find it again");
}
