//! Both faces behind one port.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tower::ServiceExt;
use tower::util::Oneshot;

use super::grpc::{Body, Grpc};
use crate::transport::{Account, Charge, Full};

/// What a call of the HTTP face is charged to its connection: the largest answer, all metrics as text.
const HTTP_BYTES: usize = 256 << 10;

/// Answers gRPC and HTTP, told apart by protocol version and content type.
#[derive(Clone)]
pub struct Service {
    grpc: Option<Grpc>,
    http: Router,
}

impl Service {
    /// Both faces, as on client listeners.
    pub fn new(grpc: Grpc, http: Router) -> Self {
        Self { grpc: Some(grpc), http }
    }

    /// The HTTP face alone, as on listeners that were split off.
    pub fn http_only(http: Router) -> Self {
        Self { grpc: None, http }
    }
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    request.version() == Version::HTTP_2
        && content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

impl tower::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if let Some(grpc) = self.grpc.as_ref().filter(|_| is_grpc(&request)) {
            return Answering::Grpc(grpc.call(request));
        }
        let account = request.extensions().get::<Account>();
        let charge = match account.map(|account| account.charge(HTTP_BYTES)).transpose() {
            Ok(charge) => charge,
            Err(full) => return Answering::Refused(full),
        };
        let request = request.map(axum::body::Body::new);
        Answering::Http(Box::pin(self.http.clone().oneshot(request)), charge)
    }
}

/// A request being answered.
pub enum Answering {
    /// By the gRPC face.
    Grpc(BoxFuture<'static, Response<Body>>),
    /// By the HTTP face.
    Http(Pin<Box<Oneshot<Router, Request<axum::body::Body>>>>, Option<Charge>),
    /// By nobody: the connection holds too much.
    Refused(Full),
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Grpc(reply) => reply.as_mut().poll(context).map(Ok),
            Self::Http(answer, charge) => answer
                .as_mut()
                .poll(context)
                .map_ok(|response| response.map(|body| Body::Http(body, charge.take()))),
            Self::Refused(full) => {
                let text = axum::body::Body::from(format!("{full}\n"));
                let mut response = Response::new(Body::Http(text, None));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                Poll::Ready(Ok(response))
            }
        }
    }
}
