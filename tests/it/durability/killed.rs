//! kill -9 in the middle of load, again and again: what was acknowledged is there, whole, at the
//! revision that was acknowledged, and no revision is given twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{RangeRequest, RequestOp, TxnRequest};
use tokio::task::JoinSet;

use crate::support::server::{Kind, Server};
use crate::support::session::{Session, put};
use crate::support::wait::within;

const ROUNDS: usize = 6;
const WRITERS: usize = 8;
/// Acknowledged writes before each kill; differs by round so that kills hit different moments.
const ACKS_PER_ROUND: usize = 150;

/// What the writers were told: pair number to the revision it was written at.
type Acknowledged = BTreeMap<i64, i64>;

fn pair(number: i64) -> TxnRequest {
    let op = |side: &str| RequestOp {
        request: Some(Request::RequestPut(put(
            &format!("{side}/{number:08}"),
            &number.to_string(),
        ))),
    };
    TxnRequest { success: vec![op("left"), op("right")], ..TxnRequest::default() }
}

/// Writes pairs until the server goes away; returns what was acknowledged.
async fn write_pairs(url: String, next: Arc<AtomicI64>, acks: Arc<AtomicUsize>) -> Acknowledged {
    let mut session = Session::connect(&url).await;
    let mut acknowledged = Acknowledged::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Ok(answer) = session.kv.txn(pair(number)).await else { return acknowledged };
        let revision = answer.into_inner().header.unwrap().revision;
        acknowledged.insert(number, revision);
        acks.fetch_add(1, Ordering::Relaxed);
    }
}

async fn read(session: &mut Session, side: &str) -> BTreeMap<i64, (i64, i64)> {
    let request = RangeRequest {
        key: format!("{side}/").into(),
        range_end: format!("{side}0").into(),
        ..RangeRequest::default()
    };
    let kvs = within("a range", session.kv.range(request)).await.unwrap().into_inner().kvs;
    kvs.into_iter()
        .map(|kv| {
            let number = std::str::from_utf8(&kv.value).unwrap().parse().unwrap();
            (number, (kv.mod_revision, kv.version))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_being_killed() {
    let mut server = Server::start(&Kind::Ours);
    let mut acknowledged = Acknowledged::new();
    let next = Arc::new(AtomicI64::new(1));
    for round in 0..ROUNDS {
        let acks = Arc::new(AtomicUsize::new(0));
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            writers.spawn(write_pairs(server.url(), Arc::clone(&next), Arc::clone(&acks)));
        }
        let enough = ACKS_PER_ROUND + round * 37;
        within("acknowledged writes", async {
            while acks.load(Ordering::Relaxed) < enough {
                tokio::task::yield_now().await;
            }
        })
        .await;
        server.process.kill();
        while let Some(told) = within("the writers", writers.join_next()).await {
            acknowledged.extend(told.unwrap());
        }
        server.restart();
        check(&server, &acknowledged).await;
    }
}

async fn check(server: &Server, acknowledged: &Acknowledged) {
    let mut session = Session::connect(&server.url()).await;
    let left = read(&mut session, "left").await;
    let right = read(&mut session, "right").await;
    assert_eq!(left, right, "a transaction was applied by half");
    for (number, revision) in acknowledged {
        let stored = left.get(number);
        assert_eq!(stored, Some(&(*revision, 1)), "pair {number} was acknowledged at {revision}");
    }
    let mut revisions: Vec<i64> = left.values().map(|(revision, _)| *revision).collect();
    revisions.sort_unstable();
    let count = revisions.len();
    revisions.dedup();
    assert_eq!(revisions.len(), count, "two transactions share a revision");
    let fresh = within("a put", session.kv.put(put("fresh", "x"))).await.unwrap().into_inner();
    let newest = revisions.last().copied().unwrap_or(1);
    assert!(fresh.header.unwrap().revision > newest, "a revision was reused");
}
