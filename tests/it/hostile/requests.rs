//! Requests that are too large, too deep, too many, or never end.

use bytes::Bytes;
use etcd::proto::etcdserverpb::request_op::Request as Inner;
use etcd::proto::etcdserverpb::{PutRequest, RequestOp, TxnRequest};
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::task::JoinSet;

use super::{Body, Connection, MIB, Neighbour, RESOURCE_EXHAUSTED, framed, peak, server};

const PUT: &str = "/etcdserverpb.KV/Put";
const TXN: &str = "/etcdserverpb.KV/Txn";
const WINDOW: u32 = 64 << 10;
/// What one connection may hold, and what the server needs beside that to work.
const BOUND: usize = 128 * MIB + 64 * MIB;

/// Gives `bytes` and then nothing, not even an end.
fn unfinished(bytes: Bytes) -> Body {
    let first = futures::stream::iter([Ok(Frame::data(bytes))]);
    StreamBody::new(first.chain(futures::stream::pending())).boxed_unsync()
}

/// Makes puts on a connection that give their first bytes and then nothing; what they are told comes by the set.
fn ask(calls: &mut JoinSet<(u32, String)>, connection: &Connection, first: &Bytes, count: usize) {
    for _ in 0..count {
        let (mut connection, body) = (connection.clone(), unfinished(first.clone()));
        calls.spawn(async move {
            let response = connection.call(PUT, body).await.unwrap();
            super::outcome(response).await
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_none_are_refused_in_words() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let mut connection = Connection::open(&server, WINDOW).await;
    for (what, body, code, words) in [
        ("nothing", &b""[..], 13, "unexpected EOF"),
        ("half a prefix", b"\0\0", 13, "unexpected EOF"),
        ("half a message", b"\0\0\0\0\x09abc", 13, "unexpected EOF"),
        ("a compressed message", b"\x01\0\0\0\x01a", 13, "compress"),
        ("no protobuf", b"\0\0\0\0\x02\xff\xff", 13, "grpc: error unmarshalling request"),
        ("four gigabytes to come", b"\0\xff\xff\xff\xff", 8, "larger than max (4294967295 vs. "),
    ] {
        let told = connection.told(PUT, Bytes::from_static(body)).await;
        assert!(told.0 == code && told.1.contains(words), "{what}: {told:?}");
    }
    let put =
        PutRequest { key: "k".into(), value: vec![0; 1600 << 10].into(), ..Default::default() };
    let told = connection.told(PUT, framed(&put)).await;
    assert_eq!(told, (3, "etcdserver: request is too large".to_owned()));
    neighbour.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_bounded_in_depth_and_in_what_they_decode_to() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let mut connection = Connection::open(&server, WINDOW).await;
    let mut deep = TxnRequest::default();
    for _ in 0..45 {
        let op = RequestOp { request: Some(Inner::RequestTxn(deep)) };
        deep = TxnRequest { success: vec![op], ..Default::default() };
    }
    assert_eq!(connection.told(TXN, framed(&deep)).await.0, 0, "45 levels are read");
    // Built from bytes: the encoder itself is recursive.
    let mut bytes = Vec::new();
    for _ in 0..10_000 {
        let mut op = vec![0x22];
        prost::encoding::encode_varint(bytes.len() as u64, &mut op);
        op.extend(&bytes);
        bytes = vec![0x12];
        prost::encoding::encode_varint(op.len() as u64, &mut bytes);
        bytes.extend(op);
    }
    let mut body = vec![0];
    body.extend((bytes.len() as u32).to_be_bytes());
    body.extend(&bytes);
    let told = connection.told(TXN, body.into()).await;
    assert!(told.0 == 13 && told.1.contains("recursion limit"), "{told:?}");
    let before = peak(&server);
    let mut many = JoinSet::new();
    for _ in 0..50 {
        let mut connection = connection.clone();
        // A million operations in two megabytes.
        let mut body = vec![0];
        body.extend((2_000_000_u32).to_be_bytes());
        body.extend([0x12, 0].repeat(1_000_000));
        many.spawn(async move { connection.told(TXN, body.into()).await });
    }
    let words = "etcdserver: too many operations in txn request";
    while let Some(told) = many.join_next().await {
        let (code, told) = told.unwrap();
        assert!(told == words || code == RESOURCE_EXHAUSTED, "{code}: {told}");
    }
    let taken = peak(&server) - before;
    assert!(taken < BOUND, "{} MiB", taken / MIB);
    neighbour.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_never_end_are_bounded_by_what_their_connection_may_hold() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let before = peak(&server);
    let mut connection = Connection::open(&server, WINDOW).await;
    let message = PutRequest { key: "k".into(), value: vec![7; MIB].into(), ..Default::default() };
    let cut = framed(&message).slice(..MIB - 1000);
    let mut calls = JoinSet::new();
    ask(&mut calls, &connection, &cut, 400);
    // About 127 fit and are never answered; the others are told at once.
    for _ in 0..270 {
        let (code, words) = calls.join_next().await.unwrap().unwrap();
        assert_eq!(code, RESOURCE_EXHAUSTED, "{words}");
        assert!(words.contains("134217728 bytes"), "{words}");
    }
    neighbour.served(20).await;
    let taken = peak(&server) - before;
    assert!(taken < BOUND, "{} MiB", taken / MIB);
    calls.shutdown().await;
    // The connection is as good as before once it holds nothing.
    let put = PutRequest { key: "k".into(), ..Default::default() };
    assert_eq!(connection.told(PUT, framed(&put)).await.0, 0);
    neighbour.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connections_together_are_bounded_and_each_may_still_ask_for_little() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let before = peak(&server);
    let message = PutRequest { key: "k".into(), value: vec![7; MIB].into(), ..Default::default() };
    let cut = framed(&message).slice(..MIB - 1000);
    let mut calls = JoinSet::new();
    // Twelve of 120 MiB each, below what one connection may hold.
    for _ in 0..12 {
        ask(&mut calls, &Connection::open(&server, WINDOW).await, &cut, 120);
    }
    // A gigabyte and what is granted fit and are never answered; the others are told at once.
    for _ in 0..350 {
        let (code, words) = calls.join_next().await.unwrap().unwrap();
        assert_eq!(code, RESOURCE_EXHAUSTED, "{words}");
        assert!(words.contains("all connections together hold all of the 1073741824"), "{words}");
    }
    neighbour.served(20).await;
    let put = PutRequest { key: "k".into(), ..Default::default() };
    let mut other = Connection::open(&server, WINDOW).await;
    assert_eq!(other.told(PUT, framed(&put)).await.0, 0, "a client that comes later");
    let taken = peak(&server) - before;
    assert!(taken < (1024 + 256) * MIB, "{} MiB", taken / MIB);
    calls.shutdown().await;
    let large = framed(&message);
    assert_eq!(other.told(PUT, large).await.0, 0, "the room that has come back");
    neighbour.leave().await;
}
