//! Frames and heads that are wrong, or too many.

use super::raw::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, Raw, SETTINGS, head,
    literal,
};
use super::{MIB, Neighbour, peak, server};
use crate::support::http;

#[tokio::test(flavor = "multi_thread")]
async fn malformed_frames_end_their_connection_with_a_reason_and_nobody_elses() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let long = vec![0; 70 << 10];
    let wrong: [(&str, u8, u8, u32, &[u8]); 8] = [
        ("data on stream zero", DATA, 0, 0, b"x"),
        ("data on a stream that was never opened", DATA, 0, 7, b"x"),
        ("a frame above the size that was agreed on", DATA, 0, 1, &long),
        ("a ping of three bytes", PING, 0, 0, b"abc"),
        ("settings of a length that is none", SETTINGS, 0, 0, b"abcd"),
        ("a head that does not unpack", HEADERS, END_HEADERS, 1, &[0xff; 20]),
        ("an even stream number", HEADERS, END_HEADERS, 2, b""),
        ("a continuation of nothing", CONTINUATION, END_HEADERS, 1, b""),
    ];
    for (what, kind, flags, stream, payload) in wrong {
        let mut raw = Raw::open(&server);
        // It may hang up while the frame is still being written.
        let _ = raw.send(kind, flags, stream, payload);
        assert!(raw.is_dismissed(), "{what} was not refused");
    }
    neighbour.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_end_are_not_kept() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let before = peak(&server);
    let mut block = head("/etcdserverpb.KV/Range");
    literal(&mut block, "x-filler", &[b'x'; 15_000]);
    let mut raw = Raw::open(&server);
    raw.send(HEADERS, 0, 1, &block).unwrap();
    let mut more = Vec::new();
    literal(&mut more, "x-filler", &[b'x'; 15_000]);
    // 300 MB of one head, if it were taken.
    let refused = (0..20_000).any(|_| raw.send(CONTINUATION, 0, 1, &more).is_err());
    assert!(refused, "a head of 300 MB was read to its end");
    neighbour.leave().await;
    let taken = peak(&server).saturating_sub(before);
    assert!(taken < 32 * MIB, "{} MiB for one head", taken / MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_what_it_opens_is_dismissed() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let before = peak(&server);
    let mut raw = Raw::open(&server);
    let block = head("/etcdserverpb.KV/Range");
    let mut refused = false;
    for number in 0..200_000_u32 {
        let stream = 2 * number + 1;
        let opened = raw.send(HEADERS, END_HEADERS, stream, &block);
        let reset = opened.and_then(|()| raw.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        if reset.is_err() {
            refused = true;
            break;
        }
    }
    neighbour.leave().await;
    let taken = peak(&server).saturating_sub(before);
    assert!(refused || taken < 32 * MIB, "{} MiB for streams that are gone", taken / MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn http1_heads_are_bounded_and_answered() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let before = peak(&server);
    let answer = http::request(server.address(), "GET", &format!("/{}", "x".repeat(200_000)));
    assert!([414, 431].contains(&answer.status), "{}", answer.status);
    assert_eq!(http::request(server.address(), "GET", "/version").status, 200);
    assert_eq!(http::request(server.address(), "FETCH", "/version").status, 405);
    neighbour.leave().await;
    assert!(peak(&server) - before < 32 * MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_nobody_reads_are_bounded_like_any_answer() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let before = peak(&server);
    let mut raw = Raw::open(&server);
    let mut block = Vec::new();
    for (name, value) in
        [(":method", "GET"), (":scheme", "http"), (":path", "/metrics"), (":authority", "x")]
    {
        literal(&mut block, name, value.as_bytes());
    }
    for number in 0..5_000_u32 {
        raw.send(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &block).unwrap();
    }
    neighbour.served(50).await;
    let taken = peak(&server) - before;
    assert!(taken < 250 * MIB, "{} MiB of metrics", taken / MIB);
    neighbour.leave().await;
}
