//! Response bodies.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use hyper::body::{Body as HttpBody, Frame};
use prost::Message;
use tonic::Status;

use super::frame;
use crate::api::budget::Share;

/// Bytes handed to the connection at once. What is not handed over yet still counts against the
/// budget, so this must be small.
const PIECE: usize = 64 << 10;

/// What the server answers with, on either face.
#[derive(Default)]
pub enum Body {
    /// Nothing (more).
    #[default]
    Empty,
    /// One encoded message, then the trailers of success.
    Message(Encoded),
    /// The trailers of success.
    Trailers,
    /// Messages as they come.
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = std::convert::Infallible> + Send>>),
    /// An answer of the HTTP face.
    Http(axum::body::Body),
}

/// A message with its prefix, ready to send, and its share of the budget if it is large.
pub struct Encoded {
    pub(super) bytes: Bytes,
    pub(super) share: Option<Share>,
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Message(encoded) => {
                let piece = encoded.bytes.split_to(encoded.bytes.len().min(PIECE));
                if encoded.bytes.is_empty() {
                    *self = Self::Trailers;
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Self::Trailers => {
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::trailers(success()))))
            }
            Self::Stream(stream) => {
                stream.as_mut().poll_frame(context).map_err(|never| match never {})
            }
            Self::Http(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Message(_) | Self::Trailers | Self::Stream(_) => false,
            Self::Http(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            // A length in the head would promise that no trailers follow.
            Self::Empty | Self::Message(_) | Self::Trailers | Self::Stream(_) => {
                hyper::body::SizeHint::default()
            }
            Self::Http(body) => body.size_hint(),
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
        Ok(Encoded { bytes: out.freeze(), share: None })
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
