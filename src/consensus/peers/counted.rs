//! A connection to another member that counts what goes over it, and that it is there.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::metrics::{Connected, Traffic};
use crate::transport::{Connection, forward_ends};

/// The connection.
pub(super) struct Counted {
    inner: Connection,
    traffic: Traffic,
    _connected: Connected,
}

impl Counted {
    /// Counts as `traffic` what goes over `inner`; `connected` says that it is there.
    pub(super) fn new(inner: Connection, traffic: Traffic, connected: Connected) -> Self {
        Self { inner, traffic, _connected: connected }
    }

    fn wrote(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        if let Ok(bytes) = &written {
            self.traffic.sent(*bytes);
        }
        Poll::Ready(written)
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(context, buffer));
        self.traffic.received(buffer.filled().len() - before);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes));
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(context, slices));
        self.wrote(written)
    }

    forward_ends!();
}
