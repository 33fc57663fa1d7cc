//! Random requests: small key space, every option, the edges of each.

use bytes::Bytes;
use etcd::proto::etcdserverpb::compare::TargetUnion;
use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use etcd::types::range::{UNBOUNDED, prefix_end};

use super::revisions::{COMPACTED, NEWEST};
use crate::support::random::Random;

/// Few enough keys that requests meet, with prefixes, neighbours and bytes that are no text. More
/// than twelve, so that sorts leave the size at which Go's sort is stable.
const KEYS: [&[u8]; 24] = [
    b"a",
    b"a/",
    b"a/1",
    b"a/10",
    b"a/2",
    b"aa",
    b"b",
    b"b\0",
    b"b\0\0",
    b"b\xff",
    b"b/1",
    b"c",
    b"c/x/1",
    b"c/x/2",
    b"c/y",
    b"d",
    b"e",
    b"f",
    b"z",
    b"\0",
    b"\0\0",
    b"\xff",
    b"\xff\xff",
    "\u{e9}\u{20ac}".as_bytes(),
];
/// Leases that live as long as the test, as ids; granted and revoked at random.
pub(super) const LEASES: [i64; 6] = [1, 2, 3, -3, 7_000_000_000, i64::MAX];
/// Operations etcd allows in one transaction.
const MOST_OPS: usize = 128;
/// How deep generated transactions nest.
const DEPTH: u32 = 3;

/// A key; now and then none at all, which is refused.
pub(super) fn key(random: &mut Random) -> Bytes {
    match random.below(1_000) {
        0..3 => Bytes::new(),
        3..30 => Bytes::from_static(b"missing"),
        30..36 => Bytes::from(vec![b'k'; 600]),
        _ => Bytes::from_static(random.pick(&KEYS)),
    }
}

/// A key and a range end: single keys, prefixes, intervals forward and backward, open ends.
pub(super) fn interval(random: &mut Random) -> (Bytes, Bytes) {
    let start = key(random);
    match random.below(1_000) {
        0..400 => (start, Bytes::new()),
        400..600 => {
            let end = prefix_end(&start).unwrap_or(Bytes::from_static(UNBOUNDED));
            (start, end)
        }
        600..780 => {
            let end = key(random);
            if start <= end { (start, end) } else { (end, start) }
        }
        780..860 => (start, Bytes::from_static(b"\0")),
        860..940 => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
        940..965 => (start.clone(), start),
        965..994 => {
            let end = key(random);
            if start > end { (start, end) } else { (end, start) }
        }
        _ => (Bytes::new(), start),
    }
}

/// Mostly digits, which comparisons and sorts can meet; sometimes none, text, bytes, kilobytes.
pub(super) fn value(random: &mut Random) -> Bytes {
    match random.below(1_000) {
        0..80 => Bytes::new(),
        80..700 => Bytes::from(random.below(12).to_string()),
        700..900 => {
            let fill = b'a' + u8::try_from(random.below(26)).unwrap();
            Bytes::from(vec![fill; usize::try_from(random.below(400)).unwrap()])
        }
        900..970 => Bytes::from(random.next().to_be_bytes().to_vec()),
        970..997 => Bytes::from(vec![b'v'; 10_000 + usize::try_from(random.below(9)).unwrap()]),
        997..999 => Bytes::from(vec![b'w'; 300_000]),
        // Around the limit of a request.
        _ => Bytes::from(vec![b'x'; 1_572_700 + usize::try_from(random.below(300)).unwrap()]),
    }
}

/// A revision to read at: mostly the newest, often a recent one, sometimes one that is not there.
fn read_revision(random: &mut Random) -> i64 {
    match random.below(1_000) {
        0..600 => 0,
        600..880 => NEWEST - random.up_to(40),
        880..940 => COMPACTED + random.up_to(4) - 1,
        940..965 => NEWEST + 1 + random.up_to(3),
        965..985 => random.up_to(6),
        985..992 => -1 - random.up_to(2),
        _ => random.pick(&[i64::MIN, i64::MAX, 1 << 40]),
    }
}

fn bound(random: &mut Random) -> i64 {
    match random.below(100) {
        0..80 => NEWEST - random.up_to(60),
        80..90 => random.up_to(8),
        90..96 => NEWEST + random.up_to(3),
        _ => random.pick(&[-1, i64::MIN, i64::MAX]),
    }
}

/// A range with any of its options. Values outside of the two sort enumerations are left out: they
/// end the process of etcd 3.5 (3.6 refuses them, and so do we).
pub(super) fn range(random: &mut Random) -> RangeRequest {
    let (key, range_end) = interval(random);
    let limits = [1, 1, 2, 3, 5, 12, 13, 100, -1, i64::MIN, i64::MAX];
    let mut request = RangeRequest {
        key,
        range_end,
        revision: read_revision(random),
        limit: if random.chance(350) { random.pick(&limits) } else { 0 },
        serializable: random.chance(400),
        keys_only: random.chance(120),
        count_only: random.chance(100),
        ..RangeRequest::default()
    };
    if random.chance(400) {
        request.sort_order = random.pick(&[0, 1, 2]);
        request.sort_target = random.pick(&[0, 1, 2, 3, 4]);
    }
    for field in [
        &mut request.min_mod_revision,
        &mut request.max_mod_revision,
        &mut request.min_create_revision,
        &mut request.max_create_revision,
    ] {
        if random.chance(60) {
            *field = bound(random);
        }
    }
    request
}

/// A lease to attach: one that may exist, one that never does.
fn lease(random: &mut Random) -> i64 {
    if random.chance(60) { 404 } else { random.pick(&LEASES) }
}

/// A put with any of its options, contradictions among them.
pub(super) fn put(random: &mut Random) -> PutRequest {
    let ignore_value = random.chance(70);
    let ignore_lease = random.chance(70);
    PutRequest {
        key: key(random),
        value: if ignore_value && random.chance(900) { Bytes::new() } else { value(random) },
        lease: if random.chance(if ignore_lease { 80 } else { 150 }) { lease(random) } else { 0 },
        prev_kv: random.chance(250),
        ignore_value,
        ignore_lease,
    }
}

/// A deletion, more often of one key than of many, so that something is left to look at.
pub(super) fn delete(random: &mut Random) -> DeleteRangeRequest {
    let (key, mut range_end) = interval(random);
    if random.chance(600) {
        range_end = Bytes::new();
    }
    DeleteRangeRequest { key, range_end, prev_kv: random.chance(500) }
}

fn compare(random: &mut Random) -> Compare {
    let (key, mut range_end) = interval(random);
    if random.chance(500) {
        range_end = Bytes::new();
    }
    let target = random.weighted(&[(20, 0), (20, 1), (20, 2), (20, 3), (10, 4), (2, 9)]);
    let mut operand = target;
    if random.chance(40) {
        operand = random.pick(&[0, 1, 2, 3, 4, 9]);
    }
    let target_union = match operand {
        0 => Some(TargetUnion::Version(random.up_to(5) - 1)),
        1 => Some(TargetUnion::CreateRevision(bound(random))),
        2 => Some(TargetUnion::ModRevision(bound(random))),
        3 => {
            let mut operand = value(random);
            operand.truncate(400);
            Some(TargetUnion::Value(operand))
        }
        4 => Some(TargetUnion::Lease(random.pick(&[0, 1, 2, -3, 404]))),
        _ => None,
    };
    let result = random.weighted(&[(20, 0), (20, 1), (20, 2), (20, 3), (1, 9)]);
    Compare { result, target, key, range_end, target_union }
}

/// A transaction with comparisons, branches and nested transactions.
pub(super) fn txn(random: &mut Random) -> TxnRequest {
    let mut txn = nested(random, DEPTH);
    if random.chance(8) {
        let many = MOST_OPS + usize::try_from(random.below(2)).unwrap();
        let range = RangeRequest { key: key(random), ..RangeRequest::default() };
        let op = RequestOp { request: Some(Request::RequestRange(range)) };
        txn.success = vec![op; many];
    }
    super::excluded::spare_the_reference(&mut txn);
    txn
}

fn nested(random: &mut Random, depth: u32) -> TxnRequest {
    let most = if depth == DEPTH { 5 } else { 3 };
    let compare = (0..random.below(3)).map(|_| compare(random)).collect();
    let mut branch = || (0..random.below(most)).map(|_| op(random, depth)).collect();
    TxnRequest { compare, success: branch(), failure: branch() }
}

fn op(random: &mut Random, depth: u32) -> RequestOp {
    let request = match random.below(1_000) {
        0..330 => Request::RequestRange(range(random)),
        330..700 => Request::RequestPut(put(random)),
        700..870 => Request::RequestDeleteRange(delete(random)),
        870..995 if depth > 1 => Request::RequestTxn(nested(random, depth - 1)),
        995.. => return RequestOp { request: None },
        _ => Request::RequestPut(put(random)),
    };
    RequestOp { request: Some(request) }
}
