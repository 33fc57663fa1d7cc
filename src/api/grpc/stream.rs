//! Bodies that are streams of messages.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use futures::future::BoxFuture;
use hyper::body::{Body, Frame};
use prost::Message;
use tonic::Status;

use super::body::{PIECE, trailers};
use super::call::Meter;
use super::frame;
use super::hold::{Hold, keep};
use crate::api::budget::{Budget, Share, Slot};
use crate::api::status;
use crate::transport::{Account, Charge};

/// Bytes gathered from messages that are ready before they are sent.
const GATHERED: usize = 32 << 10;
/// Bytes from which a message needs room in the budget of large answers: its connection could not
/// hold many of its kind.
const LARGE: usize = 16 << 20;

/// Where the messages of a stream are accounted to.
pub(super) struct Room {
    account: Account,
    budget: Budget,
    /// For the call itself.
    _call: Charge,
    /// Room being waited for.
    waiting: Option<BoxFuture<'static, Option<Share>>>,
}

impl Room {
    pub(super) fn new(account: Account, call: Charge, budget: Budget) -> Self {
        Self { account, budget, _call: call, waiting: None }
    }

    /// Waits until there is room for a message: a client that does not read is not sent more.
    fn poll(&mut self, context: &mut Context<'_>, bytes: usize) -> Poll<Hold> {
        if bytes < LARGE {
            return self.account.poll_charge(context, bytes).map(Hold::Charge);
        }
        let budget = self.budget.clone();
        let wait =
            || -> BoxFuture<'static, _> { Box::pin(async move { budget.wait(bytes).await.ok() }) };
        let share = ready!(self.waiting.get_or_insert_with(wait).as_mut().poll(context));
        self.waiting = None;
        // The budget is never closed, so there always is one.
        share.map_or(Poll::Pending, |share| Poll::Ready(Hold::Share(share)))
    }
}

/// Sends what a handler yields, and how it ended.
pub(super) struct Messages<S, M> {
    source: S,
    meter: Meter,
    room: Room,
    /// Something other than the handler that may end the stream: a deadline, a lost leader, a stop.
    ending: BoxFuture<'static, Status>,
    end: End,
    /// A message there is no room for yet.
    next: Option<M>,
    out: Out,
}

enum End {
    NotYet,
    With(Status),
    Sent,
}

/// What is encoded and not sent.
enum Out {
    Nothing,
    Gathered(Bytes, Charge),
    Large(Arc<Slot>),
}

impl<S, M> Messages<S, M> {
    pub(super) fn new(
        source: S,
        meter: Meter,
        room: Room,
        ending: BoxFuture<'static, Status>,
    ) -> Self {
        Self { source, meter, room, ending, end: End::NotYet, next: None, out: Out::Nothing }
    }

    /// The next piece of what is encoded.
    fn piece(&mut self) -> Option<Bytes> {
        let (piece, hold, last) = match &mut self.out {
            Out::Nothing => return None,
            Out::Gathered(bytes, charge) => {
                let piece = bytes.split_to(bytes.len().min(PIECE));
                let last = bytes.is_empty();
                let part = charge.split(if last { usize::MAX } else { piece.len() });
                (piece, Some(Hold::Charge(part)), last)
            }
            Out::Large(slot) => match slot.next(PIECE) {
                Some((piece, share, last)) => (piece, share.map(Hold::Share), last),
                None => {
                    self.out = Out::Nothing;
                    self.end = End::With(status::answer_not_read());
                    return None;
                }
            },
        };
        if last {
            self.out = Out::Nothing;
        }
        Some(keep(piece, hold))
    }
}

impl<S, M> Messages<S, M>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
    M: Message,
{
    /// Encodes messages that are ready and have room until there is something to send.
    fn gather(&mut self, context: &mut Context<'_>) {
        let mut out = BytesMut::new();
        let mut held: Option<Charge> = None;
        while matches!(self.end, End::NotYet) {
            let Some(message) = self.take_next(context) else { break };
            let length = message.encoded_len();
            if !out.is_empty() && out.len() + length > GATHERED {
                self.next = Some(message);
                break;
            }
            let Poll::Ready(hold) = self.room.poll(context, length) else {
                self.next = Some(message);
                break;
            };
            if let Err(status) = frame::write(&message, &mut out) {
                self.end = End::With(status);
                break;
            }
            self.meter.sent(length);
            match (hold, &mut held) {
                (Hold::Share(share), _) => {
                    // Alone: what was gathered before it was sent before it.
                    self.out = Out::Large(self.room.budget.keep(out.freeze(), share));
                    return;
                }
                (Hold::Charge(charge), Some(held)) => held.merge(charge),
                (Hold::Charge(charge), none) => *none = Some(charge),
            }
        }
        if let Some(charge) = held {
            self.out = Out::Gathered(out.freeze(), charge);
        }
    }

    fn take_next(&mut self, context: &mut Context<'_>) -> Option<M> {
        if self.next.is_some() {
            return self.next.take();
        }
        match Pin::new(&mut self.source).poll_next(context) {
            Poll::Ready(Some(Ok(message))) => return Some(message),
            Poll::Ready(Some(Err(status))) => self.end = End::With(status),
            Poll::Ready(None) => self.end = End::With(Status::ok("")),
            Poll::Pending => {}
        }
        None
    }
}

impl<S, M> Body for Messages<S, M>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
    M: Message + Unpin,
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
        if matches!(this.out, Out::Nothing) {
            this.gather(context);
        }
        if let Some(piece) = this.piece() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
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
