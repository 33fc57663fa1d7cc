//! Clients that mean harm, or do it: what they send is bounded, what they are told is clear, and
//! others are served meanwhile.

#![expect(clippy::disallowed_methods, reason = "the tasks of a test end with its runtime")]

mod answers;
mod connections;
mod frames;
mod raw;
mod requests;
mod watchers;

use std::convert::Infallible;
use std::fs;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::server::{Kind, Server};
use crate::support::session::{Session, put};
use crate::support::wait::within;

const MIB: usize = 1 << 20;
const RESOURCE_EXHAUSTED: u32 = 8;

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn server() -> Server {
    Server::start(&Kind::Ours)
}

/// The most memory the process ever had, in bytes.
fn peak(server: &Server) -> usize {
    memory(server, "VmHWM:")
}

fn memory(server: &Server, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}

/// A client that does no harm and must be served all the time.
struct Neighbour {
    served: watch::Receiver<usize>,
    work: JoinHandle<()>,
}

impl Neighbour {
    async fn start(server: &Server) -> Self {
        let mut session = Session::connect(&server.url()).await;
        let (count, served) = watch::channel(0);
        let work = tokio::spawn(async move {
            // Until nobody looks any more.
            while !count.is_closed() {
                let written = session.kv.put(put("neighbour", "here"));
                within("a put of the neighbour", written).await.unwrap();
                count.send_modify(|count| *count += 1);
            }
        });
        Self { served, work }
    }

    /// Waits until it was served so many more times.
    async fn served(&self, more: usize) {
        let goal = *self.served.borrow() + more;
        let mut served = self.served.clone();
        let reached = served.wait_for(|count| *count >= goal);
        within("the neighbour to be served", reached).await.unwrap();
    }

    async fn leave(self) {
        self.served(5).await;
        drop(self.served);
        self.work.await.unwrap();
    }
}

/// One HTTP/2 connection whose bodies are read only when the test does.
#[derive(Clone)]
struct Connection {
    requests: http2::SendRequest<Body>,
}

impl Connection {
    /// Connects; the server may send `window` bytes of each answer ahead.
    async fn open(server: &Server, window: u32) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let (requests, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .initial_connection_window_size(1 << 30)
            .initial_max_send_streams(1 << 20)
            .max_send_buf_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self { requests }
    }

    /// Begins a call and waits for the head of its answer.
    async fn call(&mut self, path: &str, body: Body) -> hyper::Result<Response<Incoming>> {
        let request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)
            .unwrap();
        self.requests.ready().await?;
        within("the head of an answer", self.requests.send_request(request)).await
    }

    /// A whole call; its code and words.
    async fn told(&mut self, path: &str, body: Bytes) -> (u32, String) {
        let response = self.call(path, whole(body)).await.unwrap();
        outcome(response).await
    }
}

/// A body that is there at once.
fn whole(bytes: Bytes) -> Body {
    http_body_util::Full::new(bytes).boxed_unsync()
}

/// A gRPC message with its prefix.
fn framed(message: &impl Message) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(message.encoded_len() as u32);
    message.encode(&mut out).unwrap();
    out.freeze()
}

/// Code and words of an answer, from its head if it is nothing but an error, else from its end.
async fn outcome(response: Response<Incoming>) -> (u32, String) {
    let (head, body) = response.into_parts();
    let found = |headers: &http::HeaderMap| {
        let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
        let words = headers.get("grpc-message").map_or("", |words| words.to_str().unwrap());
        Some((code, words.replace("%20", " ").replace("%3B", ";").replace("%2C", ",")))
    };
    match found(&head.headers) {
        Some(outcome) => outcome,
        None => {
            let body = within("the end of an answer", body.collect()).await.unwrap();
            body.trailers().and_then(found).unwrap()
        }
    }
}
