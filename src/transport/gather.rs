//! Sends what an HTTP/2 connection writes in one turn with one system call.
//!
//! The library above sends at once when a frame carries 256 bytes or more. The end of an answer would
//! then be an encrypted record, a system call and a packet of its own, and a hundred answers that are
//! ready together would be two hundred. Here its flushes only note that there is something to send;
//! whoever drives the connection sends it when the connection has said all it had to say.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that wait at most: what one TLS record holds (RFC 8446, section 5.1).
const MOST: usize = 16 << 10;
/// Of the room for them, what a connection without any keeps.
const KEPT: usize = 4 << 10;

/// A stream whose writes wait until its [`Outbox`] sends them. Backpressure stays: once as many bytes
/// wait as one TLS record holds, a write is done when the stream has taken it.
pub struct Gathered<S> {
    flow: Arc<Mutex<Flow<S>>>,
}

/// The other end of what waits in a [`Gathered`] stream.
pub struct Outbox<S> {
    flow: Arc<Mutex<Flow<S>>>,
}

impl<S> Clone for Outbox<S> {
    fn clone(&self) -> Self {
        Self { flow: Arc::clone(&self.flow) }
    }
}

/// A stream that gathers, and what sends for it.
pub fn gather<S: AsyncWrite + Unpin>(stream: S) -> (Gathered<S>, Outbox<S>) {
    let flow = Flow { stream, waiting: Vec::new(), sent: 0, flushed: true, failed: None };
    let flow = Arc::new(Mutex::new(flow));
    (Gathered { flow: Arc::clone(&flow) }, Outbox { flow })
}

struct Flow<S> {
    stream: S,
    /// What was written from above, and how much of it the stream has.
    waiting: Vec<u8>,
    sent: usize,
    /// Whether the stream has sent on everything it took.
    flushed: bool,
    /// Why sending failed, for whoever uses the stream next.
    failed: Option<io::Error>,
}

impl<S: AsyncWrite + Unpin> Flow<S> {
    fn write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.waiting.len() + bytes <= MOST {
            self.make_room(bytes);
            for slice in slices {
                self.waiting.extend_from_slice(slice);
            }
            return Poll::Ready(Ok(bytes));
        }
        loop {
            let waiting = self.waiting.len() - self.sent;
            let count = ready!(self.pass(context, slices))?;
            if count == 0 || count > waiting {
                return Poll::Ready(Ok(count.saturating_sub(waiting)));
            }
        }
    }

    fn make_room(&mut self, bytes: usize) {
        let (there, needed) = (self.waiting.len(), self.waiting.len() + bytes);
        if needed > self.waiting.capacity() {
            let room = if needed <= KEPT { KEPT } else { MOST };
            self.waiting.reserve_exact(room - there);
        }
    }

    /// Gives the stream what waits, and `slices` behind it without a copy; tells how much it took.
    fn pass(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, waiting, sent, .. } = self;
        let left = waiting.get(*sent..).unwrap_or_default();
        let (behind, whole) = (slices.iter().map(|slice| IoSlice::new(slice)), left.len());
        let all: Vec<_> = std::iter::once(IoSlice::new(left)).chain(behind).collect();
        let count = ready!(Pin::new(stream).poll_write_vectored(context, &all))?;
        self.flushed = false;
        self.sent += count.min(whole);
        if self.sent == self.waiting.len() {
            self.waiting.clear();
            self.waiting.shrink_to(KEPT);
            self.sent = 0;
        }
        Poll::Ready(Ok(count))
    }

    /// Sends all that waits.
    fn send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            if ready!(self.pass(context, &[]))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Outbox<S> {
    /// Sends what waits, or has the task woken when it can go on. A failure is told by the stream.
    pub fn send(&self, context: &mut Context<'_>) {
        let mut flow = self.flow.lock();
        if let Poll::Ready(Err(error)) = flow.send(context) {
            flow.waiting = Vec::new();
            flow.sent = 0;
            flow.failed = Some(error);
            context.waker().wake_by_ref();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut flow = self.flow.lock();
        match flow.failed.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut flow.stream).poll_read(context, buffer),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.flow.lock().write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flow.lock().write(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: the [`Outbox`] sends.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut flow = self.flow.lock();
        ready!(flow.send(context))?;
        Pin::new(&mut flow.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
