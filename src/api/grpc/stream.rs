//! Bodies that are streams of messages.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use futures::future::BoxFuture;
use hyper::body::{Body, Frame};
use prost::Message;
use tonic::Status;

use super::body::trailers;
use super::call::Meter;
use super::frame;

/// Bytes gathered from messages that are ready before they are sent.
const GATHERED: usize = 32 << 10;

/// Sends what a handler yields, and how it ended.
pub(super) struct Messages<S> {
    source: S,
    meter: Meter,
    /// Something other than the handler that may end the stream: a deadline, a lost leader, a stop.
    ending: BoxFuture<'static, Status>,
    end: End,
}

enum End {
    NotYet,
    With(Status),
    Sent,
}

impl<S> Messages<S> {
    pub(super) fn new(source: S, meter: Meter, ending: BoxFuture<'static, Status>) -> Self {
        Self { source, meter, ending, end: End::NotYet }
    }
}

impl<S, M> Messages<S>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
    M: Message,
{
    /// Collects messages that are ready until there is something to send.
    fn gather(&mut self, context: &mut Context<'_>) -> BytesMut {
        let mut out = BytesMut::new();
        while out.len() < GATHERED && matches!(self.end, End::NotYet) {
            match Pin::new(&mut self.source).poll_next(context) {
                Poll::Pending => break,
                Poll::Ready(None) => self.end = End::With(Status::ok("")),
                Poll::Ready(Some(Err(status))) => self.end = End::With(status),
                Poll::Ready(Some(Ok(message))) => match frame::write(&message, &mut out) {
                    Ok(()) => self.meter.sent(message.encoded_len()),
                    Err(status) => self.end = End::With(status),
                },
            }
        }
        out
    }
}

impl<S, M> Body for Messages<S>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
    M: Message,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if matches!(this.end, End::NotYet)
            && let Poll::Ready(status) = this.ending.as_mut().poll(context)
        {
            this.end = End::With(status);
        }
        let out = this.gather(context);
        if !out.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(out.freeze()))));
        }
        match std::mem::replace(&mut this.end, End::Sent) {
            End::NotYet => {
                this.end = End::NotYet;
                Poll::Pending
            }
            End::With(status) => {
                this.meter.finish(status.code());
                Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
            }
            End::Sent => Poll::Ready(None),
        }
    }
}
