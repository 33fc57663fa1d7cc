//! One connection's bytes: TCP or Unix socket, plain or encrypted, with the first bytes put back
//! after they were looked at.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::forward::forward_writes;

/// Any two-way byte stream. One virtual call per read or write is nothing beside the system call,
/// and the protocol code above is compiled once instead of once per kind of socket.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A socket or an encrypted stream over one.
pub(super) type Stream = Box<dyn Duplex>;

/// A byte stream that first hands out what was already read from it.
#[derive(Debug)]
pub(super) struct Prefixed<S> {
    prefix: Bytes,
    inner: S,
}

impl<S: AsyncRead + Unpin> Prefixed<S> {
    /// Reads the first `least` bytes or more and keeps them to be read again; fewer at end of file.
    /// `enough` may end the reading earlier.
    pub(super) async fn sniff(
        mut inner: S,
        least: usize,
        enough: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Self> {
        let mut seen = Vec::with_capacity(64);
        while seen.len() < least && !enough(&seen) {
            if inner.read_buf(&mut seen).await? == 0 {
                break;
            }
        }
        Ok(Self { prefix: Bytes::from(seen), inner })
    }

    /// The bytes put back.
    pub(super) fn first_bytes(&self) -> &[u8] {
        &self.prefix
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, buffer);
        }
        let count = self.prefix.len().min(buffer.remaining());
        buffer.put_slice(&self.prefix.split_to(count));
        if self.prefix.is_empty() {
            // Frees the buffer: the connection may live for months.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    forward_writes!();
}

/// Bytes every HTTP/2 client begins with, at once (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// The stream of an HTTP/2 client, which tells when it has begun to speak. It cannot be waited for before
/// it is answered: some clients first want to hear whether their certificate was taken.
pub(super) struct Beginning<S> {
    inner: S,
    left: usize,
    begun: Option<oneshot::Sender<()>>,
}

impl<S> Beginning<S> {
    /// The stream, and what is told once the client has begun.
    pub(super) fn of(inner: S) -> (Self, oneshot::Receiver<()>) {
        let (begun, told) = oneshot::channel();
        (Self { inner, left: PREFACE, begun: Some(begun) }, told)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Beginning<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        if self.begun.is_some() {
            self.left = self.left.saturating_sub(buffer.filled().len() - before);
            if self.left == 0
                && let Some(begun) = self.begun.take()
            {
                // Nobody listens any more when the connection is just ending.
                let _ = begun.send(());
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Beginning<S> {
    forward_writes!();
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn what_was_looked_at_is_read_again() {
        let (mut far, near) = tokio::io::duplex(64);
        far.write_all(b"PRI * HT").await.unwrap();
        let mut stream = Prefixed::sniff(near, 4, |_| false).await.unwrap();
        assert!(stream.first_bytes().starts_with(b"PRI "));
        far.write_all(b"TP/2.0").await.unwrap();
        drop(far);
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "PRI * HTTP/2.0");
    }

    #[tokio::test]
    async fn sniffing_ends_early_when_told_and_at_end_of_file() {
        let (mut far, near) = tokio::io::duplex(64);
        far.write_all(&[0x16]).await.unwrap();
        let stream = Prefixed::sniff(near, 4, |seen| seen == [0x16]).await.unwrap();
        assert_eq!(stream.first_bytes(), [0x16]);
        let (far, near) = tokio::io::duplex(64);
        drop(far);
        assert!(Prefixed::sniff(near, 4, |_| false).await.unwrap().first_bytes().is_empty());
    }
}
