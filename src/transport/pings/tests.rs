use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[7; 8])
}

fn head(kind: u8, flags: u8, stream: u32) -> Head {
    Head { kind, flags, stream }
}

/// Strikes after pings at these seconds.
fn strikes(judge: &mut Judge, seconds: &[u32]) -> u32 {
    let start = Clock.now();
    for second in seconds {
        judge.ping(start + SECOND * *second);
    }
    judge.strikes
}

#[test]
fn with_a_request_under_way_the_interval_counts_and_without_one_two_hours() {
    let mut busy = Judge::new(5 * SECOND);
    busy.client_sent(head(HEADERS, 0, 1));
    assert_eq!(strikes(&mut busy, &[0, 5, 10, 14, 19]), 1);
    let mut idle = Judge::new(5 * SECOND);
    assert_eq!(strikes(&mut idle, &[0, 5, 7204, 14404]), 2);
    let ends: [fn(&mut Judge); 3] = [
        |judge| judge.server_sent(head(HEADERS, ACK_OR_END, 1)),
        |judge| judge.server_sent(head(RST_STREAM, 0, 1)),
        |judge| judge.client_sent(head(RST_STREAM, 0, 1)),
    ];
    for end in ends {
        let mut judge = Judge::new(5 * SECOND);
        judge.client_sent(head(HEADERS, 0, 1));
        judge.client_sent(head(HEADERS, ACK_OR_END, 1));
        end(&mut judge);
        judge.spoke = false;
        assert_eq!(strikes(&mut judge, &[0, 10]), 1, "the request has ended");
    }
}

#[test]
fn what_the_server_says_forgives_and_answers_to_its_pings_are_none() {
    let mut judge = Judge::new(5 * SECOND);
    assert_eq!(strikes(&mut judge, &[0, 1, 2]), 2);
    judge.server_sent(head(DATA, 0, 1));
    assert_eq!(strikes(&mut judge, &[3]), 0);
    assert_eq!(strikes(&mut judge, &[4]), 1);
    judge.client_sent(head(PING, ACK_OR_END, 0));
    assert_eq!(judge.strikes, 1);
}

/// A client that pings four times while the server is inside a frame.
#[tokio::test]
async fn the_parting_message_waits_for_the_end_of_a_frame() {
    let (mut client, near) = tokio::io::duplex(1 << 16);
    let mut server = Policed::new(near, Some(SECOND));
    let answer = frame(DATA, 0, 1, b"abcdef");
    let (begun, rest) = answer.split_at(11);
    server.write_all(begun).await.unwrap();
    client.write_all(&[vec![0; 24], ping().repeat(5)].concat()).await.unwrap();
    let mut received = [0; 1024];
    assert!(server.read(&mut received).await.unwrap() > 0, "pings are still to be answered");
    let next = [rest, &frame(DATA, 0, 3, b"never sent")].concat();
    let refused = server.write_all(&next).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionAborted);
    assert!(server.read(&mut received).await.is_err());
    let mut told = Vec::new();
    client.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, [answer, frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\x0btoo_many_pings")].concat());
}

#[tokio::test]
async fn without_an_interval_everything_passes() {
    let (mut client, near) = tokio::io::duplex(1 << 16);
    let mut server = Policed::new(near, None);
    client.write_all(&ping().repeat(100)).await.unwrap();
    let mut received = vec![0; 17 * 100];
    server.read_exact(&mut received).await.unwrap();
    server.write_all(b"x").await.unwrap();
    drop(server);
    let mut told = Vec::new();
    client.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, b"x");
}
