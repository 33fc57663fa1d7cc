use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::task::noop_waker;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;

use super::super::forward::forward_ends;
use super::super::together::{Arrivals, Together};
use super::*;

/// Takes so many bytes per call, or none until there is room, and remembers its calls.
#[derive(Default)]
struct Sink {
    calls: Vec<Vec<u8>>,
    per_call: Option<usize>,
    full: bool,
    broken: bool,
    flushes: usize,
    closed: bool,
}

impl AsyncWrite for Sink {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.full {
            return Poll::Pending;
        }
        let mut bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        bytes.truncate(self.per_call.unwrap_or(usize::MAX));
        let count = bytes.len();
        self.calls.push(bytes);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Sink {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        _buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

fn send(outbox: &Outbox<Sink>) {
    outbox.send(&mut Context::from_waker(&noop_waker()));
}

fn write(stream: &mut Gathered<Sink>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(&mut Context::from_waker(&noop_waker()), bytes)
}

#[tokio::test]
async fn what_is_written_and_flushed_in_one_turn_is_one_call() {
    let (mut stream, outbox) = gather(Sink::default());
    for part in ["head", "body", "end"] {
        stream.write_all(part.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
    assert!(outbox.flow.lock().stream.calls.is_empty(), "sent before the turn was over");
    send(&outbox);
    send(&outbox);
    let flow = outbox.flow.lock();
    assert_eq!(flow.stream.calls, [b"headbodyend"]);
    assert_eq!(flow.stream.flushes, 1, "what the stream itself holds back goes out too");
}

#[tokio::test]
async fn what_is_large_goes_out_at_once_behind_what_waits() {
    let (mut stream, outbox) = gather(Sink::default());
    stream.write_all(b"head").await.unwrap();
    let body = vec![7; MOST];
    let parts = [IoSlice::new(b"frame"), IoSlice::new(&body)];
    assert_eq!(stream.write_vectored(&parts).await.unwrap(), 5 + MOST);
    let flow = outbox.flow.lock();
    assert_eq!(flow.stream.calls, [[b"headframe", &body[..]].concat()]);
    assert!(flow.waiting.is_empty());
}

#[test]
fn a_stream_that_takes_nothing_lets_no_more_than_the_bound_wait() {
    let (mut stream, outbox) = gather(Sink { full: true, ..Sink::default() });
    let mut taken = 0;
    while let Poll::Ready(count) = write(&mut stream, &[1; 1000]) {
        taken += count.unwrap();
        send(&outbox);
    }
    assert!(taken <= MOST, "{taken}");
    outbox.flow.lock().stream.full = false;
    assert!(write(&mut stream, &[1; 1000]).is_ready());
    send(&outbox);
    let flow = outbox.flow.lock();
    assert_eq!(flow.stream.calls.concat().len(), taken + 1000);
    assert!(flow.waiting.capacity() <= KEPT, "an idle connection keeps its room");
}

#[tokio::test]
async fn a_failure_to_send_is_told_by_the_stream_and_closing_sends_first() {
    let (mut stream, outbox) = gather(Sink { broken: true, ..Sink::default() });
    stream.write_all(b"lost").await.unwrap();
    send(&outbox);
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);

    let (mut stream, outbox) = gather(Sink::default());
    stream.write_all(b"last words").await.unwrap();
    stream.shutdown().await.unwrap();
    let flow = outbox.flow.lock();
    assert_eq!((&flow.stream.calls[..], flow.stream.closed), (&[b"last words".to_vec()][..], true));
}

#[test]
fn the_order_of_bytes_is_kept_however_little_is_taken_at_once() {
    let lengths = [0, 1, 255, 1000, MOST - 1, 3 * MOST, 7, MOST, 300, MOST + 1, 2];
    for per_call in [3, 1000, MOST - 1, MOST, MOST + 1, 2 * MOST] {
        for sends_every in 1..4 {
            let (mut stream, outbox) = gather(Sink { per_call: Some(per_call), ..Sink::default() });
            let mut expected = Vec::new();
            for (number, length) in lengths.into_iter().enumerate() {
                let bytes = vec![number as u8; length];
                expected.extend_from_slice(&bytes);
                let mut left = &bytes[..];
                while !left.is_empty() {
                    let Poll::Ready(count) = write(&mut stream, left) else { panic!("stuck") };
                    left = &left[count.unwrap()..];
                }
                if number % sends_every == 0 {
                    send(&outbox);
                }
            }
            send(&outbox);
            let sent = outbox.flow.lock().stream.calls.concat();
            assert!(sent == expected, "{per_call} at once, sent every {sends_every}");
        }
    }
}

/// A stream that counts what is written to it.
struct Counted {
    inner: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    forward_ends!();
}

#[tokio::test]
async fn an_answer_over_http2_with_its_end_is_one_write() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let (stream, outbox) = gather(Counted { inner: near, writes: Arc::clone(&writes) });
    let arrivals = Arrivals::default();
    let service = service_fn(|_| async {
        let body = Frame::data(Bytes::from(vec![7; 1000]));
        let parts = [Ok::<_, io::Error>(body), Ok(Frame::trailers(HeaderMap::new()))];
        Ok::<_, io::Error>(Response::new(StreamBody::new(futures::stream::iter(parts))))
    });
    let connection = hyper::server::conn::http2::Builder::new(arrivals.clone())
        .serve_connection(TokioIo::new(stream), service);
    let mut tasks = JoinSet::new();
    tasks.spawn(async { drop(Together::new(connection, arrivals, outbox).await) });

    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(far))
            .await
            .unwrap();
    tasks.spawn(async { drop(connection.await) });
    let mut ask = async || {
        let request = Request::new(Empty::<Bytes>::new());
        let answer = client.send_request(request).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes().len()
    };
    assert_eq!(ask().await, 1000);
    let settled = writes.load(Ordering::Relaxed);
    assert_eq!(ask().await, 1000);
    assert_eq!(writes.load(Ordering::Relaxed) - settled, 1);
}
