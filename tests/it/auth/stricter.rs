//! Where ours refuses what etcd 3.5 lets through by mistake: transactions inside of transactions, what puts
//! in them do to leases and show of before, watches without an end.

use etcd::proto::etcdserverpb::request_op::Request as Inner;
use etcd::proto::etcdserverpb::watch_request::RequestUnion;
use etcd::proto::etcdserverpb::{
    LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
    WatchRequest,
};
use etcd::proto::members::ReplaceRequest;
use tonic::Code;

use super::lasting::{add_role, add_user, begin, grant_role, login, stranger};
use crate::support::cluster::requests::{answer, put, refusal};
use crate::support::server::{Kind, Server};
use crate::support::session::{self, WatchSession};

fn op(request: Inner) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn inside(ops: Vec<RequestOp>, depth: usize, in_failure: bool) -> TxnRequest {
    let (success, failure) = if in_failure { (vec![], ops) } else { (ops, vec![]) };
    let txn = TxnRequest { compare: vec![], success, failure };
    match depth {
        0 => txn,
        _ => inside(vec![op(Inner::RequestTxn(txn))], depth - 1, in_failure),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_hidden_in_a_transaction() {
    let server = Server::start_with(&Kind::Ours, "http", &["--bcrypt-cost=4"]);
    begin(&stranger(&server.url())).await;
    let root = login(&server.url(), "root", "rootpw").await;
    let alice = login(&server.url(), "alice", "pw").await;
    put(&root, "b", "secret").await;
    let lease = LeaseGrantRequest { id: 5, ttl: 500 };
    answer(root.lease().lease_grant(lease)).await.unwrap();
    let hung = PutRequest { lease: 5, ..session::put("b", "secret") };
    answer(root.kv().put(hung)).await.unwrap();
    let get = || op(Inner::RequestRange(RangeRequest { key: "b".into(), ..Default::default() }));
    let put_b = || op(Inner::RequestPut(session::put("b", "mine")));
    let lease_5 = || op(Inner::RequestPut(PutRequest { lease: 5, ..session::put("a2", "1") }));
    let fine = || op(Inner::RequestPut(session::put("a", "1")));
    for depth in 0..4 {
        for in_failure in [false, true] {
            for hidden in [get(), put_b(), lease_5()] {
                let txn = inside(vec![fine(), hidden.clone()], depth, in_failure);
                let refused = refusal(answer(alice.kv().txn(txn)).await);
                assert_eq!(refused.0, Code::PermissionDenied, "{hidden:?} {depth} {in_failure}");
            }
            let txn =
                inside(vec![op(Inner::RequestPut(session::put("a", "1")))], depth, in_failure);
            assert!(answer(alice.kv().txn(txn)).await.is_ok(), "{depth}");
        }
    }
    // Who may write but not read is not shown what was there before.
    add_user(&root, "writer", "pw").await.unwrap();
    add_role(&root, "w").await;
    let mut auth = root.auth();
    let perm = etcd::proto::authpb::Permission {
        perm_type: etcd::proto::authpb::permission::Type::Write as i32,
        key: "b".into(),
        range_end: "".into(),
    };
    let request = etcd::proto::etcdserverpb::AuthRoleGrantPermissionRequest {
        name: "w".into(),
        perm: Some(perm),
    };
    answer(auth.role_grant_permission(request)).await.unwrap();
    grant_role(&root, "writer", "w").await.unwrap();
    let writer = login(&server.url(), "writer", "pw").await;
    let shown = PutRequest { prev_kv: true, ignore_lease: true, ..session::put("b", "x") };
    let txn = inside(vec![op(Inner::RequestPut(shown.clone()))], 0, false);
    assert_eq!(refusal(answer(writer.kv().txn(txn)).await).0, Code::PermissionDenied);
    let unseen = PutRequest { prev_kv: false, ..shown };
    let txn = inside(vec![op(Inner::RequestPut(unseen))], 0, false);
    assert!(answer(writer.kv().txn(txn)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_without_an_end_is_for_who_may_read_to_the_end() {
    let server = Server::start_with(&Kind::Ours, "http", &["--bcrypt-cost=4"]);
    begin(&stranger(&server.url())).await;
    let root = login(&server.url(), "root", "rootpw").await;
    let alice = login(&server.url(), "alice", "pw").await;
    for (client, key, end, allowed) in [
        (&alice, "a", "\0", false),
        (&alice, "", "\0", false),
        (&alice, "a", "b", true),
        (&root, "", "\0", true),
    ] {
        let mut watch = WatchSession::over(client);
        let create = WatchCreateRequest {
            key: key.into(),
            range_end: end.into(),
            ..WatchCreateRequest::default()
        };
        let request_union = Some(RequestUnion::CreateRequest(create));
        watch.send(WatchRequest { request_union }).await;
        let answer = watch.next().await;
        assert!(answer.created && answer.canceled != allowed, "{key:?} {end:?}: {answer:?}");
        if !allowed {
            let reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
            assert_eq!((answer.watch_id, answer.cancel_reason.as_str()), (-1, reason));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_service_is_for_root() {
    let server = Server::start_with(&Kind::Ours, "http", &["--bcrypt-cost=4"]);
    let nobody = stranger(&server.url());
    begin(&nobody).await;
    let alice = login(&server.url(), "alice", "pw").await;
    let root = login(&server.url(), "root", "rootpw").await;
    let request = ReplaceRequest { id: 1, peer_urls: vec!["http://127.0.0.1:1".into()] };
    for (client, words) in [
        (&nobody, "etcdserver: user name is empty"),
        (&alice, "etcdserver: permission denied"),
        (&root, "etcdserver: member not found"),
    ] {
        let refused = refusal(answer(client.members().replace(request.clone())).await);
        assert_eq!(refused.1, words);
    }
}
