//! Who may do what with which keys: every way to read and write, against grants of every form.

use etcd::proto::authpb::permission::Type;
use etcd::proto::etcdserverpb::compare::{CompareResult, CompareTarget};
use etcd::proto::etcdserverpb::request_op::Request as Inner;
use etcd::proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

use super::ask::{Ask, Tokens, play};
use crate::compat::side_by_side;
use crate::support::session::{Session, put};

side_by_side!(keys_are_for_those_who_were_granted_them, keys);
side_by_side!(transactions_are_looked_at_in_both_branches, transactions);
side_by_side!(leases_take_the_keys_on_them_along, leases);

/// A user for each kind of grant, with overlapping and touching intervals in two roles.
async fn prepare(session: &mut Session, tokens: &mut Tokens) {
    let nobody = [
        Ask::UserAdd("root", "pw"),
        Ask::Grant("root", "root"),
        Ask::RoleAdd("reads"),
        Ask::Allow("reads", Type::Read, "a", "c"),
        Ask::Allow("reads", Type::Read, "c", "e"),
        Ask::Allow("reads", Type::Read, "k", ""),
        Ask::RoleAdd("reads-more"),
        Ask::Allow("reads-more", Type::Read, "d", "f"),
        Ask::RoleAdd("writes"),
        Ask::Allow("writes", Type::Write, "a", "c"),
        Ask::Allow("writes", Type::Write, "k", ""),
        Ask::RoleAdd("both"),
        Ask::Allow("both", Type::Readwrite, "a", "f"),
        Ask::RoleAdd("tail"),
        Ask::Allow("tail", Type::Readwrite, "c", "\0"),
        Ask::UserAdd("reader", "pw"),
        Ask::Grant("reader", "reads"),
        Ask::Grant("reader", "reads-more"),
        Ask::UserAdd("writer", "pw"),
        Ask::Grant("writer", "writes"),
        Ask::UserAdd("both", "pw"),
        Ask::Grant("both", "both"),
        Ask::UserAdd("tail", "pw"),
        Ask::Grant("tail", "tail"),
        Ask::UserAdd("none", "pw"),
        Ask::Put(put("a", "1")),
        Ask::Put(put("b", "2")),
        Ask::Put(put("k", "3")),
        Ask::Put(put("z", "4")),
        Ask::Enable,
        Ask::Login("root", "pw"),
        Ask::Login("reader", "pw"),
        Ask::Login("writer", "pw"),
        Ask::Login("both", "pw"),
        Ask::Login("tail", "pw"),
        Ask::Login("none", "pw"),
    ];
    let steps: Vec<_> = nobody.into_iter().map(|ask| ("nobody", ask)).collect();
    play(session, tokens, &steps).await;
}

const USERS: [&str; 8] = ["nobody", "no.1", "none", "reader", "writer", "both", "tail", "root"];

fn delete(key: &'static str, end: &'static str, prev_kv: bool) -> DeleteRangeRequest {
    DeleteRangeRequest { key: key.into(), range_end: end.into(), prev_kv }
}

async fn keys(session: &mut Session) {
    let mut tokens = Tokens::default();
    prepare(session, &mut tokens).await;
    let mut asks = Vec::new();
    for (key, end) in [
        ("a", ""),
        ("a", "b"),
        ("a", "e"),
        ("a", "f"),
        ("b", "d"),
        ("a", "f\0"),
        ("k", ""),
        ("k", "k\0"),
        ("k", "l"),
        ("c", "\0"),
        ("d", "\0"),
        ("\0", "\0"),
        ("g", ""),
        ("z", ""),
    ] {
        asks.extend([Ask::Get(key, end), Ask::GetLocal(key, end)]);
        // A watch of all keys from one on is looked at as one key by etcd: `stricter.rs`.
        if end != "\0" {
            asks.push(Ask::Watch(key, end));
        }
        asks.push(Ask::Delete(delete(key, end, false)));
        asks.push(Ask::Delete(delete(key, end, true)));
    }
    asks.extend([
        Ask::Put(put("a", "5")),
        Ask::Put(put("k", "5")),
        Ask::Put(put("z", "5")),
        Ask::Put(PutRequest { prev_kv: true, ..put("a", "6") }),
        Ask::Put(PutRequest { ignore_value: true, ..put("a", "") }),
        Ask::Put(put("", "6")),
        Ask::Get("", ""),
        Ask::Delete(delete("", "", false)),
        Ask::Compact(2),
    ]);
    for who in USERS {
        let steps: Vec<_> = asks.iter().map(|ask| (who, ask.clone())).collect();
        play(session, &mut tokens, &steps).await;
    }
}

fn op(request: Inner) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn get(key: &'static str, end: &'static str) -> RequestOp {
    op(Inner::RequestRange(RangeRequest {
        key: key.into(),
        range_end: end.into(),
        ..RangeRequest::default()
    }))
}

fn compare(key: &'static str, end: &'static str) -> Compare {
    Compare {
        result: CompareResult::Greater as i32,
        target: CompareTarget::Create as i32,
        key: key.into(),
        range_end: end.into(),
        ..Compare::default()
    }
}

fn puts(key: &str) -> RequestOp {
    op(Inner::RequestPut(put(key, "t")))
}

fn deletes(key: &'static str, end: &'static str, prev_kv: bool) -> RequestOp {
    op(Inner::RequestDeleteRange(delete(key, end, prev_kv)))
}

fn txn(compare: Vec<Compare>, success: Vec<RequestOp>, failure: Vec<RequestOp>) -> Ask {
    Ask::Txn(TxnRequest { compare, success, failure })
}

async fn transactions(session: &mut Session) {
    let mut tokens = Tokens::default();
    prepare(session, &mut tokens).await;
    let mut asks = vec![txn(vec![], vec![], vec![])];
    for (key, end) in [("a", ""), ("a", "f"), ("k", ""), ("z", ""), ("c", "\0")] {
        asks.extend([
            txn(vec![compare(key, end)], vec![], vec![]),
            txn(vec![], vec![get(key, end)], vec![]),
            txn(vec![], vec![], vec![get(key, end)]),
            txn(vec![], vec![get("a", ""), get(key, end)], vec![get("k", "")]),
            txn(vec![], vec![deletes(key, end, false)], vec![]),
            txn(vec![], vec![], vec![deletes(key, end, false)]),
            txn(vec![], vec![deletes(key, end, true)], vec![]),
        ]);
        if end.is_empty() {
            asks.extend([
                txn(vec![], vec![puts(key)], vec![]),
                txn(vec![], vec![], vec![puts(key)]),
                txn(vec![compare("a", "")], vec![puts(key)], vec![get(key, "")]),
            ]);
        }
    }
    for who in USERS {
        let steps: Vec<_> = asks.iter().map(|ask| (who, ask.clone())).collect();
        play(session, &mut tokens, &steps).await;
    }
}

async fn leases(session: &mut Session) {
    let mut tokens = Tokens::default();
    prepare(session, &mut tokens).await;
    let hang = |key: &str, lease| Ask::Put(PutRequest { lease, ..put(key, "l") });
    let steps = vec![
        ("nobody", Ask::LeaseGrant(1)),
        ("no.1", Ask::LeaseGrant(1)),
        ("none", Ask::LeaseGrant(2)),
        ("root", hang("z", 1)),
        ("root", hang("a", 1)),
        ("root", hang("a1", 2)),
        ("both", hang("b", 1)),
        ("both", hang("b", 2)),
        ("writer", hang("b", 2)),
        ("both", hang("b", 77)),
        ("none", hang("b", 77)),
        ("both", Ask::TimeToLive(1, true)),
        ("both", Ask::TimeToLive(2, true)),
        ("writer", Ask::TimeToLive(2, true)),
        ("none", Ask::TimeToLive(2, true)),
        ("none", Ask::TimeToLive(2, false)),
        ("none", Ask::TimeToLive(77, true)),
        ("nobody", Ask::TimeToLive(2, false)),
        ("no.1", Ask::TimeToLive(2, true)),
        ("root", Ask::TimeToLive(1, true)),
        ("nobody", Ask::LeaseRevoke(2)),
        ("none", Ask::LeaseRevoke(2)),
        ("reader", Ask::LeaseRevoke(2)),
        ("no.1", Ask::LeaseRevoke(2)),
        ("both", Ask::LeaseRevoke(1)),
        ("both", Ask::LeaseRevoke(2)),
        ("both", Ask::LeaseRevoke(2)),
        ("root", Ask::LeaseRevoke(1)),
        ("nobody", Ask::LeaseGrant(3)),
        ("nobody", Ask::LeaseRevoke(3)),
        ("nobody", Ask::LeaseRevoke(77)),
        ("root", Ask::Get("\0", "\0")),
    ];
    play(session, &mut tokens, &steps).await;
}
