//! Both faces behind one port.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use tower::ServiceExt;
use tower::util::Oneshot;

use super::grpc::{Body, Grpc};

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
        let request = request.map(axum::body::Body::new);
        Answering::Http(Box::pin(self.http.clone().oneshot(request)))
    }
}

/// A request being answered.
pub enum Answering {
    /// By the gRPC face.
    Grpc(BoxFuture<'static, Response<Body>>),
    /// By the HTTP face.
    Http(Pin<Box<Oneshot<Router, Request<axum::body::Body>>>>),
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Grpc(reply) => reply.as_mut().poll(context).map(Ok),
            Self::Http(answer) => {
                answer.as_mut().poll(context).map_ok(|response| response.map(Body::Http))
            }
        }
    }
}
