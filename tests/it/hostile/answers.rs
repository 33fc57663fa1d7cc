//! Large answers, asked for by many and read by few.

use bytes::Bytes;
use etcd::proto::etcdserverpb::request_op::Request as Inner;
use etcd::proto::etcdserverpb::{PutRequest, RangeRequest, RequestOp, TxnRequest};
use hyper::Response;
use hyper::body::Incoming;
use tokio::task::JoinSet;

use super::raw::Raw;
use super::{Connection, MIB, Neighbour, RESOURCE_EXHAUSTED, framed, outcome, peak, server, whole};
use crate::support::server::{Kind, Server};
use crate::support::session::{Session, put};

const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";
/// Bytes kept for large answers, and what the server needs beside them: its caches of values and of
/// blocks that were read, the store's buffers, and what the allocator keeps, which differs by a hundred
/// from run to run.
const BOUND: usize = 512 * MIB + 256 * MIB;
/// Megabytes in as many keys.
const KEYS: usize = 100;

async fn fill(server: &Server, keys: usize) {
    let mut session = Session::connect(&server.url()).await;
    let value = "v".repeat(MIB);
    for number in 0..keys {
        session.kv.put(put(&format!("k{number:04}"), &value)).await.unwrap();
    }
}

/// A hundred, unless `ETCD_HOSTILE_MEGABYTES` asks for more: an answer has at most 2047.
fn megabytes() -> usize {
    match std::env::var("ETCD_HOSTILE_MEGABYTES") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{text} megabytes")),
        Err(_) => KEYS,
    }
}

fn everything() -> RangeRequest {
    RangeRequest {
        key: "k".into(),
        range_end: "l".into(),
        serializable: true,
        ..Default::default()
    }
}

/// Twenty clients ask at once and read nothing; who got an answer, and what the others were told.
async fn twenty(
    server: &Server,
    path: &'static str,
    body: Bytes,
) -> (Vec<Response<Incoming>>, usize) {
    let mut asked = JoinSet::new();
    for _ in 0..20 {
        let mut connection = Connection::open(server, 64 << 10).await;
        let body = whole(body.clone());
        asked.spawn(async move { connection.call(path, body).await.unwrap() });
    }
    let (mut served, mut refused) = (Vec::new(), 0);
    while let Some(response) = asked.join_next().await {
        let response = response.unwrap();
        if response.headers().contains_key("grpc-status") {
            let (code, words) = outcome(response).await;
            assert_eq!(code, RESOURCE_EXHAUSTED, "{words}");
            assert!(
                words.contains("large range responses use all of the 536870912 bytes"),
                "{words}"
            );
            refused += 1;
        } else {
            served.push(response);
        }
    }
    (served, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_clients_that_ask_for_everything_share_the_memory_for_answers() {
    let server = Server::start_with(&Kind::Ours, "http", &["--quota-backend-bytes=8000000000"]);
    let megabytes = megabytes();
    fill(&server, megabytes).await;
    let neighbour = Neighbour::start(&server).await;
    let (served, refused) = twenty(&server, RANGE, framed(&everything())).await;
    assert!(!served.is_empty() && refused > 0, "{} served, {refused} refused", served.len());
    neighbour.served(20).await;
    // One that is larger than all that is kept for answers comes alone, and twice while it is made.
    let bound = BOUND.max(2 * megabytes * MIB + 256 * MIB);
    assert!(peak(&server) < bound, "{} MiB", peak(&server) / MIB);
    eprintln!(
        "{megabytes} MiB each: {} served, {refused} refused, peak {} MiB",
        served.len(),
        peak(&server) / MIB
    );
    // Those that read get all of it.
    for response in served {
        assert_eq!(outcome(response).await, (0, String::new()));
    }
    let mut connection = Connection::open(&server, 1 << 30).await;
    assert_eq!(connection.told(RANGE, framed(&everything())).await.0, 0);
    neighbour.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_write_and_range_over_everything_share_it_too() {
    let server = server();
    fill(&server, KEYS).await;
    let neighbour = Neighbour::start(&server).await;
    let written = PutRequest { key: "x".into(), ..Default::default() };
    let op = |request| RequestOp { request: Some(request) };
    let success = vec![op(Inner::RequestPut(written)), op(Inner::RequestRange(everything()))];
    let txn = TxnRequest { success, ..Default::default() };
    let (served, refused) = twenty(&server, TXN, framed(&txn)).await;
    assert!(!served.is_empty() && refused > 0, "{} served, {refused} refused", served.len());
    neighbour.served(20).await;
    assert!(peak(&server) < BOUND, "{} MiB", peak(&server) / MIB);
    // All of them were applied, whatever became of their answers.
    let mut session = Session::connect(&server.url()).await;
    let x = session.kv.range(RangeRequest { key: "x".into(), ..Default::default() }).await.unwrap();
    assert_eq!(x.into_inner().kvs[0].version, 20);
    for response in served {
        assert_eq!(outcome(response).await, (0, String::new()));
    }
    neighbour.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_got_one_by_one_and_never_read_are_bounded_by_their_connection() {
    let server = server();
    fill(&server, KEYS).await;
    let neighbour = Neighbour::start(&server).await;
    let before = peak(&server);
    let get = framed(&RangeRequest { key: "k0007".into(), ..Default::default() });
    // One after another: what a connection held is there for the next one when it is gone.
    for turn in 0..8 {
        let mut raw = Raw::open(&server);
        // A gigabyte, with windows that let the server send all of it at once.
        for number in 0..1_000_u32 {
            raw.call(2 * number + 1, RANGE, &get, true).unwrap();
        }
        neighbour.served(50).await;
        let taken = (peak(&server) - before) / MIB;
        assert!(turn > 0 || taken < 128 + 128, "{taken} MiB");
    }
    // Kept until the end, it would be a gigabyte by now.
    let taken = (peak(&server) - before) / MIB;
    assert!(taken < 512, "{taken} MiB after eight");
    neighbour.leave().await;
}
