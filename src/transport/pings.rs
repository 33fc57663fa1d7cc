//! Holds clients to `--grpc-keepalive-min-time` the way gRPC's Go server does: whoever pings more often
//! is told `too_many_pings` and disconnected, which makes gRPC clients double their interval.
//!
//! The HTTP/2 library answers pings without telling, so this reads along in both directions: the nine
//! bytes before each frame, never a payload.

use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::forward::forward_ends;
use super::frames::{Frames, Head};
use crate::types::clock::Clock;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// Of a ping, that it is an answer; of headers and data, that the stream ends.
const ACK_OR_END: u8 = 1;
const ENHANCE_YOUR_CALM: u8 = 11;
const REASON: &[u8] = b"too_many_pings";
/// Pings that may come too early, until the server says something.
const STRIKES: u32 = 2;
/// Without a request under way a connection has no need of pings.
const IDLE_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);

/// An HTTP/2 connection of a client who must not ping more often than agreed.
pub(super) struct Policed<S> {
    inner: S,
    /// None lets everything pass.
    judge: Option<Judge>,
    /// Of the parting message, what is not sent yet; there is one once there is a verdict.
    parting: Option<Vec<u8>>,
    from_client: Frames,
    to_client: Frames,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Policed<S> {
    /// Watches over the server's side of a new connection; without an `interval` over nothing.
    pub(super) fn new(inner: S, interval: Option<Duration>) -> Self {
        Self {
            inner,
            judge: interval.map(Judge::new),
            parting: None,
            from_client: Frames::after_preface(),
            to_client: Frames::default(),
        }
    }

    fn note_received(&mut self, bytes: &[u8]) {
        let Some(judge) = &mut self.judge else { return };
        self.from_client.read(bytes, |frame| judge.client_sent(frame));
        if judge.strikes > STRIKES {
            self.parting.get_or_insert_with(|| goodbye(judge.newest));
        }
    }

    fn note_sent(&mut self, bytes: &[u8]) {
        if let Some(judge) = &mut self.judge {
            self.to_client.read(bytes, |frame| judge.server_sent(frame));
        }
    }

    /// Sends the parting message and closes our half; gives what the library above is told.
    fn part(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        while let Some(left) = self.parting.as_mut().filter(|left| !left.is_empty()) {
            match ready!(Pin::new(&mut self.inner).poll_write(context, left)) {
                Ok(count) if count > 0 => drop(left.drain(..count)),
                Ok(_) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                Err(error) => return Poll::Ready(error),
            }
        }
        let closed = ready!(Pin::new(&mut self.inner).poll_shutdown(context));
        let verdict = || io::Error::new(io::ErrorKind::ConnectionAborted, "too many pings");
        Poll::Ready(closed.err().unwrap_or_else(verdict))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Policed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.parting.is_some() {
            if self.to_client.is_inside() {
                // Whoever writes the rest of this frame comes by `poll_write`.
                return Poll::Pending;
            }
            return self.part(context).map(Err);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.note_received(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Policed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut bytes = bytes;
        if self.parting.is_some() {
            // The frame under way is finished; nothing else goes out before the parting message.
            if !self.to_client.is_inside() {
                return self.part(context).map(Err);
            }
            bytes = bytes.get(..self.to_client.at_most()).unwrap_or(bytes);
        }
        let count = ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.note_sent(bytes.get(..count).unwrap_or_default());
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.parting.is_some() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(context, first.map(|slice| &**slice).unwrap_or_default());
        }
        let count = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, slices))?;
        let mut left = count;
        for slice in slices {
            let sent = left.min(slice.len());
            self.note_sent(slice.get(..sent).unwrap_or_default());
            left -= sent;
        }
        Poll::Ready(Ok(count))
    }

    forward_ends!();
}

fn goodbye(newest: u32) -> Vec<u8> {
    let length = 8 + REASON.len();
    let mut frame = vec![0, 0, u8::try_from(length).unwrap_or_default(), GOAWAY, 0, 0, 0, 0, 0];
    frame.extend_from_slice(&newest.to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, ENHANCE_YOUR_CALM]);
    frame.extend_from_slice(REASON);
    frame
}

/// Counts the pings that come too early.
struct Judge {
    interval: Duration,
    last: Option<Instant>,
    strikes: u32,
    /// Whether the server said something since the last ping: it has shown the client's interest.
    spoke: bool,
    /// Requests under way.
    open: HashSet<u32>,
    /// The newest of all requests.
    newest: u32,
}

impl Judge {
    fn new(interval: Duration) -> Self {
        let open = HashSet::new();
        Self { interval, last: None, strikes: 0, spoke: false, open, newest: 0 }
    }

    fn client_sent(&mut self, frame: Head) {
        match frame.kind {
            HEADERS if frame.stream > self.newest => {
                self.newest = frame.stream;
                self.open.insert(frame.stream);
            }
            RST_STREAM => drop(self.open.remove(&frame.stream)),
            PING if frame.flags & ACK_OR_END == 0 => self.ping(Clock.now()),
            _ => {}
        }
    }

    fn server_sent(&mut self, frame: Head) {
        match frame.kind {
            HEADERS | DATA => {
                self.spoke = true;
                if frame.flags & ACK_OR_END != 0 {
                    self.open.remove(&frame.stream);
                }
            }
            RST_STREAM => drop(self.open.remove(&frame.stream)),
            _ => {}
        }
    }

    fn ping(&mut self, now: Instant) {
        let interval = if self.open.is_empty() { IDLE_INTERVAL } else { self.interval };
        let last = self.last.replace(now);
        if std::mem::take(&mut self.spoke) {
            self.strikes = 0;
        } else if last.is_some_and(|last| now.saturating_duration_since(last) < interval) {
            self.strikes += 1;
        }
    }
}

#[cfg(test)]
mod tests;
