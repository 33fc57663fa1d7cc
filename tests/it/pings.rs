//! Pings of gRPC clients, sent by a bare HTTP/2 client: who is sent away, and in which words. Played on
//! real etcd as well where there is one.

use std::sync::Arc;

use etcd::config::TlsLimits;
use etcd::transport::{Connection, Material, dial};
use etcd::types::url::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::pki::Pki;
use crate::support::reference;
use crate::support::server::{Kind, Server};
use crate::support::wait::within;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// More than anybody needs to be sent away.
const MANY: usize = 20;

struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

/// One connection, frame by frame.
struct Bare {
    connection: Connection,
    scheme: &'static str,
    next_stream: u32,
}

impl Bare {
    async fn connect(server: &Server, pki: Option<&Pki>) -> Self {
        let url = Url::parse(&server.url()).unwrap();
        let tls = pki.map(|pki| {
            let tls = pki.client("ca.crt", Some("client"));
            let material = Material::load(&tls, &TlsLimits::default()).unwrap();
            Arc::new(material.client_config(false).unwrap())
        });
        let connection = within("a connection", dial(&url, tls.as_ref())).await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut bare = Self { connection, scheme, next_stream: 1 };
        bare.connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        bare.send(SETTINGS, 0, 0, b"").await;
        bare
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        // A server that has sent us away reads no more; what it said is still there.
        let _refused = self.connection.write_all(&[head, payload.to_vec()].concat()).await;
    }

    /// The next frame; none at the end of the connection.
    async fn receive(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        let read = within("a frame", self.connection.read_exact(&mut head)).await;
        read.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        within("a payload", self.connection.read_exact(&mut payload)).await.ok()?;
        Some(Frame { kind: head[3], flags: head[4], payload })
    }

    /// Begins a call of this method.
    async fn call(&mut self, path: &str) -> u32 {
        let field = |name: &str, value: &str| {
            let [name, value] = [name, value]
                .map(|text| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat());
            [vec![0], name, value].concat()
        };
        let block = [
            field(":method", "POST"),
            field(":scheme", self.scheme),
            field(":path", path),
            field(":authority", "localhost"),
            field("content-type", "application/grpc"),
            field("te", "trailers"),
        ];
        let stream = self.next_stream;
        self.next_stream += 2;
        self.send(HEADERS, 4, stream, &block.concat()).await;
        stream
    }

    /// Reads the key `a`, to the end of the answer.
    async fn range(&mut self) {
        let stream = self.call("/etcdserverpb.KV/Range").await;
        self.send(DATA, 1, stream, b"\0\0\0\0\x03\x0a\x01a").await;
        loop {
            let frame = self.receive().await.unwrap();
            if frame.kind == HEADERS && frame.flags & 1 != 0 {
                return;
            }
        }
    }

    /// Pings once. Gives what the server says when it sends us away instead of answering.
    async fn ping(&mut self) -> Result<(), String> {
        self.send(PING, 0, 0, b"knocking").await;
        loop {
            let frame = self.receive().await.ok_or("the connection ended")?;
            match frame.kind {
                PING if frame.flags == 1 => return Ok(()),
                GOAWAY => return Err(parting(&frame.payload)),
                _ => {}
            }
        }
    }

    /// Pings, with a read before each ping if asked, until sent away or long enough; gives the words
    /// of the parting.
    async fn ping_on(mut self, reading: bool) -> Option<String> {
        for _ in 0..MANY {
            if reading {
                self.range().await;
            }
            if let Err(words) = self.ping().await {
                assert!(self.receive().await.is_none(), "the connection is closed after that");
                return Some(words);
            }
        }
        None
    }
}

fn parting(payload: &[u8]) -> String {
    let (numbers, words) = payload.split_at(8);
    format!("stream {} code {} {}", numbers[3], numbers[7], String::from_utf8_lossy(words))
}

/// Ours, and real etcd where there is one.
fn both() -> Vec<Kind> {
    std::iter::once(Kind::Ours).chain(reference::folder().map(Kind::Reference)).collect()
}

const TOO_MANY: &str = "code 11 too_many_pings";

#[tokio::test]
async fn whoever_pings_too_often_is_sent_away() {
    for kind in both() {
        let server = Server::start(&kind);
        let idle = Bare::connect(&server, None).await.ping_on(false).await;
        assert_eq!(idle, Some(format!("stream 0 {TOO_MANY}")), "{kind:?}");
        let mut watching = Bare::connect(&server, None).await;
        watching.call("/etcdserverpb.Watch/Watch").await;
        assert_eq!(watching.ping_on(false).await, Some(format!("stream 1 {TOO_MANY}")), "{kind:?}");
        let reading = Bare::connect(&server, None).await.ping_on(true).await;
        assert_eq!(reading, None, "{kind:?}: answers between the pings forgive them");
    }
}

#[tokio::test]
async fn the_interval_is_the_flags() {
    for kind in both() {
        let server = Server::start_with(&kind, "http", &["--grpc-keepalive-min-time=1ns"]);
        let mut watching = Bare::connect(&server, None).await;
        watching.call("/etcdserverpb.Watch/Watch").await;
        assert_eq!(watching.ping_on(false).await, None, "{kind:?}");
        let idle = Bare::connect(&server, None).await.ping_on(false).await;
        assert!(idle.is_some(), "{kind:?}: without a request there is nothing to keep alive");
    }
}

#[tokio::test]
async fn encrypted_connections_may_ping_where_http_is_served_too() {
    let pki = Pki::new();
    for kind in both() {
        let mut flags = pki.server_flags();
        let flag = |flags: &[String]| -> Server {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            Server::start_with(&kind, "https", &flags)
        };
        let shared = flag(&flags);
        assert_eq!(Bare::connect(&shared, Some(&pki)).await.ping_on(false).await, None, "{kind:?}");
        flags.push("--listen-client-http-urls=http://localhost:0".into());
        let alone = flag(&flags);
        let sent_away = Bare::connect(&alone, Some(&pki)).await.ping_on(false).await;
        assert_eq!(sent_away, Some(format!("stream 0 {TOO_MANY}")), "{kind:?}");
    }
}
