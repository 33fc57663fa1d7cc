//! One HTTP/2 connection as the stubs want it. Nothing stands between stub and connection: every
//! layer would cost the client time that it takes from the servers' machine.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use etcd::proto::etcdserverpb::kv_client::KvClient;
use etcd::proto::etcdserverpb::lease_client::LeaseClient;
use etcd::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use etcd::proto::etcdserverpb::watch_client::WatchClient;
use etcd::transport::{Connection, Outbox, dial, gather};
use etcd::types::url::Url;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tonic::body::Body;
use tower::Service;

use crate::Error;

const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;
const LARGEST_ANSWER: usize = i32::MAX as usize;

/// A connection; clones share it.
#[derive(Clone)]
pub(crate) struct Wire {
    sender: SendRequest<Body>,
    origin: Uri,
}

impl Wire {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// If nobody listens there or the handshake fails.
    pub(crate) async fn connect(
        scheme: &str,
        address: &str,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Error> {
        let origin = format!("{scheme}://{address}");
        let socket = dial(&Url::parse(&origin)?, tls).await?;
        let (socket, outbox) = gather(socket);
        let (sender, connection) = Builder::new(Tasks(outbox))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(socket))
            .await?;
        // It ends with the last clone of the sender, or with the server; requests tell which.
        #[expect(clippy::disallowed_methods, reason = "a benchmark has no supervisor")]
        drop(tokio::task::spawn(connection));
        Ok(Self { sender, origin: origin.parse()? })
    }

    pub(crate) fn kv(&self) -> KvClient<Self> {
        KvClient::with_origin(self.clone(), self.origin.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn watch(&self) -> WatchClient<Self> {
        WatchClient::with_origin(self.clone(), self.origin.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn lease(&self) -> LeaseClient<Self> {
        LeaseClient::with_origin(self.clone(), self.origin.clone())
            .max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn maintenance(&self) -> MaintenanceClient<Self> {
        MaintenanceClient::with_origin(self.clone(), self.origin.clone())
    }
}

/// Runs what hyper begins, the connection above all, and sends what it has written.
#[derive(Clone)]
struct Tasks(Outbox<Connection>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    #[expect(clippy::disallowed_methods, reason = "a benchmark has no supervisor")]
    fn execute(&self, task: F) {
        let (mut task, outbox) = (Box::pin(task), self.0.clone());
        drop(tokio::task::spawn(poll_fn(move |context| {
            let end = task.as_mut().poll(context);
            outbox.send(context);
            end
        })));
    }
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}
