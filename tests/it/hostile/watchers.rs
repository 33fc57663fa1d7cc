//! Watch streams and watchers without number, and readers that do not read.

use bytes::{BufMut, Bytes, BytesMut};
use etcd::proto::etcdserverpb::watch_request::RequestUnion;
use etcd::proto::etcdserverpb::{WatchCreateRequest, WatchRequest};

use super::raw::Raw;
use super::{MIB, Neighbour, framed, peak, server};
use crate::support::session::{Session, WatchSession, put};

const WATCH: &str = "/etcdserverpb.Watch/Watch";

fn create(key: impl Into<Bytes>) -> WatchRequest {
    let request = WatchCreateRequest { key: key.into(), ..Default::default() };
    WatchRequest { request_union: Some(RequestUnion::CreateRequest(request)) }
}

/// Creates watchers one behind the other without waiting for each; the reasons of the refused ones.
async fn create_all(stream: &mut WatchSession, keys: impl Iterator<Item = Bytes>) -> Vec<String> {
    let mut refused = Vec::new();
    for key in keys {
        stream.send(create(key)).await;
        let answer = stream.next().await;
        if answer.canceled {
            refused.push(answer.cancel_reason);
        }
    }
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_watchers_on_a_stream_and_a_thousand_streams_are_ordinary() {
    let server = server();
    let mut session = Session::connect(&server.url()).await;
    let mut crowd = session.watch();
    let keys = (0..10_000).map(|number| format!("crowd{number}").into());
    assert_eq!(create_all(&mut crowd, keys).await, Vec::<String>::new());
    let mut streams: Vec<_> = (0..1_000).map(|_| session.watch()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.send(create(format!("stream{number}"))).await;
        assert!(stream.next().await.created);
    }
    session.kv.put(put("crowd9999", "")).await.unwrap();
    assert_eq!(crowd.next().await.watch_id, 9_999);
    session.kv.put(put("stream999", "")).await.unwrap();
    assert_eq!(streams[999].next().await.events.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_are_bounded_per_connection_and_the_refusal_names_the_bound() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let before = peak(&server);
    let mut session = Session::connect(&server.url()).await;
    let mut refused = Vec::new();
    let mut streams: Vec<_> = (0..6).map(|_| session.watch()).collect();
    for stream in &mut streams {
        // 24 MiB of keys a stream, so that it is not the bound of a stream that is met.
        let keys = (0..400_u32).map(|number| {
            let mut key = BytesMut::zeroed(60 << 10);
            key.put_u32(number);
            key.freeze()
        });
        refused.extend(create_all(stream, keys).await);
    }
    assert!(!refused.is_empty(), "144 MiB of keys were taken");
    let words = "mvcc: the calls of this connection hold all of the 134217728 bytes it may use";
    assert!(refused.iter().all(|reason| reason == words), "{}", refused[0]);
    let taken = peak(&server) - before;
    assert!(taken < (128 + 64) * MIB, "{} MiB", taken / MIB);
    // Another connection has its own room.
    let mut other = Session::connect(&server.url()).await;
    let mut stream = other.watch();
    stream.send(create("mine")).await;
    assert!(!stream.next().await.canceled);
    neighbour.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_per_connection() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let before = peak(&server);
    let mut raw = Raw::open(&server);
    let message = framed(&create("k"));
    let mut ids = (0..40_000_u32).map(|number| 2 * number + 1);
    // Few at a time: who sends thousands of messages before the first is read is sent away.
    const FEW: usize = 1024;
    let mut served = 0;
    while served % FEW == 0 {
        ids.by_ref().take(FEW).for_each(|id| raw.call(id, WATCH, &message, false).unwrap());
        served += raw.answered(FEW);
    }
    // 4.5 KiB each of the 128 MiB of a connection.
    assert!((28_672..32_768).contains(&served), "{served} streams were served");
    let asked = served.next_multiple_of(FEW);
    let more = ids.take_while(|id| raw.call(*id, WATCH, &message, false).is_ok()).count();
    // Who goes on after so many refusals is sent away.
    assert!(asked + more >= 32_768, "hung up on after {asked} and {more} streams");
    neighbour.served(20).await;
    let taken = peak(&server) - before;
    assert!(taken < 300 * MIB, "{} MiB", taken / MIB);
    neighbour.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_nobody_reads_are_bounded_and_hold_up_no_other_watcher() {
    let server = server();
    let before = peak(&server);
    let mut raw = Raw::open(&server);
    for number in 0..100_u32 {
        raw.call(2 * number + 1, WATCH, &framed(&create("k")), false).unwrap();
    }
    let mut session = Session::connect(&server.url()).await;
    let mut honest = session.watch();
    honest.send(create("k")).await;
    assert!(honest.next().await.created);
    // Each stream would hold 200 MiB, all of them 20 GB.
    let value = "v".repeat(MIB);
    for _ in 0..200 {
        session.kv.put(put("k", &value)).await.unwrap();
        assert_eq!(honest.next().await.events.len(), 1);
    }
    let taken = peak(&server) - before;
    assert!(taken < 700 * MIB, "{} MiB", taken / MIB);
}
