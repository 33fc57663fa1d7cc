//! Response bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use hyper::body::{Body as HttpBody, Frame};
use prost::Message;
use tonic::Status;

use super::frame;
use super::hold::{Hold, keep};
use crate::api::budget::Slot;
use crate::api::status;
use crate::transport::Charge;

/// Bytes handed to the connection at once: so that streams get their turns, and a client that does
/// not read leaves little with the connection.
pub(super) const PIECE: usize = 64 << 10;

/// What the server answers with, on either face.
#[derive(Default)]
pub enum Body {
    /// Nothing (more).
    #[default]
    Empty,
    /// One encoded message, then the trailers of success.
    Message(Small),
    /// The same, for one that is dropped if its client does not read it.
    Large(Large),
    /// The trailers of success.
    Trailers,
    /// Messages as they come.
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = std::convert::Infallible> + Send>>),
    /// An answer of the HTTP face, and what its call was charged.
    Http(axum::body::Body, Option<Charge>),
}

/// A message with its prefix, accounted to its connection.
pub struct Small {
    bytes: Bytes,
    charge: Option<Charge>,
}

/// A message with its prefix, and its share of the budget of large answers.
pub struct Large {
    slot: Arc<Slot>,
    length: usize,
}

/// A message ready to send.
pub enum Encoded {
    /// As nearly all are.
    Small(Small),
    /// One that needed room in the budget.
    Large(Large),
}

impl Encoded {
    pub(super) fn small(bytes: Bytes) -> Self {
        Self::Small(Small { bytes, charge: None })
    }

    pub(super) fn large(slot: Arc<Slot>, length: usize) -> Self {
        Self::Large(Large { slot, length })
    }

    /// Bytes of the message.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Small(small) => small.bytes.len(),
            Self::Large(large) => large.length,
        }
    }

    /// The body, which takes over what its call was charged: from now on that stands for the answer.
    ///
    /// # Errors
    /// When there is no room for the answer.
    pub(super) fn into_body(self, mut charge: Charge) -> Result<Body, Status> {
        match self {
            Self::Small(Small { bytes, .. }) => {
                charge.resize(charge.bytes().max(bytes.len())).map_err(status::memory_full)?;
                Ok(Body::Message(Small { bytes, charge: Some(charge) }))
            }
            Self::Large(large) => Ok(Body::Large(large)),
        }
    }
}

impl Small {
    /// The next bytes, and whether they are the last.
    fn next(&mut self) -> (Bytes, bool) {
        let piece = self.bytes.split_to(self.bytes.len().min(PIECE));
        let last = self.bytes.is_empty();
        let length = if last { usize::MAX } else { piece.len() };
        let hold = self.charge.as_mut().map(|charge| Hold::Charge(charge.split(length)));
        (keep(piece, hold), last)
    }
}

impl Large {
    /// As [`Small::next`]; `None` if the answer was dropped.
    fn next(&self) -> Option<(Bytes, bool)> {
        let (piece, share, last) = self.slot.next(PIECE)?;
        Some((keep(piece, share.map(Hold::Share)), last))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let (piece, last) = match &mut *self {
            Self::Empty => return Poll::Ready(None),
            Self::Message(small) => small.next(),
            Self::Large(large) => match large.next() {
                Some(next) => next,
                None => {
                    *self = Self::Empty;
                    let end = Frame::trailers(trailers(&status::answer_not_read()));
                    return Poll::Ready(Some(Ok(end)));
                }
            },
            Self::Trailers => {
                *self = Self::Empty;
                return Poll::Ready(Some(Ok(Frame::trailers(success()))));
            }
            Self::Stream(stream) => {
                return stream.as_mut().poll_frame(context).map_err(|never| match never {});
            }
            Self::Http(body, charge) => {
                let polled = Pin::new(body).poll_frame(context);
                return polled.map_ok(|frame| {
                    frame.map_data(|data| keep(data, charge.take().map(Hold::Charge)))
                });
            }
        };
        if last {
            *self = Self::Trailers;
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Message(_) | Self::Large(_) | Self::Trailers | Self::Stream(_) => false,
            Self::Http(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Http(body, _) => body.size_hint(),
            // A length in the head would promise that no trailers follow.
            _ => hyper::body::SizeHint::default(),
        }
    }
}

/// What a handler of a unary method may answer with.
pub(super) trait Answer {
    /// Makes it ready to send.
    fn encode(self) -> Result<Encoded, Status>;
}

impl<M: Message> Answer for M {
    fn encode(self) -> Result<Encoded, Status> {
        let mut out = BytesMut::new();
        frame::write(&self, &mut out)?;
        Ok(Encoded::small(out.freeze()))
    }
}

impl Answer for Encoded {
    fn encode(self) -> Result<Encoded, Status> {
        Ok(self)
    }
}

/// The trailers of success.
fn success() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

/// The trailers that end a stream.
pub(super) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    // It fails only on words that no header can hold; the code must arrive all the same.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("2"));
    }
    trailers
}

/// A response that begins well.
pub(super) fn respond(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// A response that is an error and nothing else.
pub(super) fn refuse(status: &Status) -> Response<Body> {
    let mut response = respond(Body::Empty);
    response.headers_mut().extend(trailers(status));
    response
}
