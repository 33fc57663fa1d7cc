//! A gRPC conversation that is written down, so that two servers' answers can be compared.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use etcd::client::Client;
use etcd::proto::etcdserverpb::kv_client::KvClient;
use etcd::proto::etcdserverpb::lease_client::LeaseClient;
use etcd::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use etcd::proto::etcdserverpb::watch_client::WatchClient;
use etcd::proto::etcdserverpb::watch_request::RequestUnion;
use etcd::proto::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest, WatchResponse};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use crate::support::wait::within;

/// The largest answer a test accepts.
const MAX_MESSAGE: usize = 64 << 20;
/// Fields that may differ between two servers with the same behaviour. Zero still shows as zero:
/// whether a field is there at all is behaviour.
const MASKED: [&str; 2] = ["raft_term: ", "raft_index: "];

/// Stubs for one server and the record of what it answered.
pub(crate) struct Session {
    /// Key-value service.
    pub(crate) kv: KvClient<Channel>,
    /// Lease service.
    pub(crate) lease: LeaseClient<Channel>,
    /// Maintenance service.
    pub(crate) maintenance: MaintenanceClient<Channel>,
    channel: Channel,
    watch: WatchClient<Channel>,
    record: Vec<String>,
}

impl Session {
    /// Connects over plaintext.
    pub(crate) async fn connect(url: &str) -> Self {
        Self::try_connect(url).await.unwrap_or_else(|| panic!("cannot connect to {url}"))
    }

    /// Connects over plaintext, if anybody is there.
    pub(crate) async fn try_connect(url: &str) -> Option<Self> {
        let endpoint = Channel::from_shared(url.to_owned()).unwrap().tcp_nodelay(true);
        let channel = within("a connection", endpoint.connect()).await.ok()?;
        Some(Self {
            kv: KvClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE),
            lease: LeaseClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            channel: channel.clone(),
            watch: WatchClient::new(channel).max_decoding_message_size(MAX_MESSAGE),
            record: Vec::new(),
        })
    }

    /// The connection, for services few tests ask.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Writes a line into the record.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.record.push(line.into());
    }

    /// Writes an answer into the record, masked, and hands it back.
    pub(crate) fn keep<T: Debug + Clone>(
        &mut self,
        asked: impl Debug,
        answer: Result<Response<T>, Status>,
    ) -> Option<T> {
        let text = match &answer {
            Ok(response) => mask(&format!("{:?}", response.get_ref())),
            Err(status) => format!("{:?}: {}", status.code(), status.message()),
        };
        self.note(format!("{asked:?}\n      => {text}"));
        answer.ok().map(Response::into_inner)
    }

    /// The watch stub, for callers that drive a stream themselves.
    pub(crate) fn watch_client(&self) -> WatchClient<Channel> {
        self.watch.clone()
    }

    /// Opens a watch stream.
    pub(crate) fn watch(&mut self) -> WatchSession {
        let mut client = self.watch.clone();
        WatchSession::begin(|requests| Box::pin(async move { client.watch(requests).await }))
    }

    /// The record so far.
    pub(crate) fn into_record(self) -> Vec<String> {
        self.record
    }
}

type Opening =
    Pin<Box<dyn Future<Output = Result<Response<Streaming<WatchResponse>>, Status>> + Send>>;

/// One watch stream. A server may accept the call only with its first answer, so the call is
/// awaited together with it.
pub(crate) struct WatchSession {
    requests: tokio::sync::mpsc::Sender<WatchRequest>,
    opening: Option<Opening>,
    stream: Option<Streaming<WatchResponse>>,
}

impl WatchSession {
    /// Opens a stream through a client of the crate.
    pub(crate) fn over(client: &Client) -> Self {
        let mut client = client.watch();
        Self::begin(|requests| Box::pin(async move { client.watch(requests).await }))
    }

    pub(crate) fn begin(call: impl FnOnce(ReceiverStream<WatchRequest>) -> Opening) -> Self {
        let (requests, receiver) = tokio::sync::mpsc::channel(64);
        Self { requests, opening: Some(call(ReceiverStream::new(receiver))), stream: None }
    }

    /// Sends one request.
    pub(crate) fn send(&self, request: WatchRequest) -> impl Future<Output = ()> + use<> {
        let requests = self.requests.clone();
        async move { requests.send(request).await.unwrap() }
    }

    /// The next response.
    pub(crate) async fn next(&mut self) -> WatchResponse {
        within("a watch response", self.receive()).await.unwrap()
    }

    /// Whether nothing comes for so long. Use only where silence itself is the behaviour.
    pub(crate) async fn silent_for(&mut self, quiet: Duration) -> bool {
        tokio::time::timeout(quiet, self.receive()).await.is_err()
    }

    /// The next response, or how the stream ended.
    pub(crate) async fn receive(&mut self) -> Result<WatchResponse, Status> {
        if let Some(opening) = &mut self.opening {
            let stream = opening.await?.into_inner();
            (self.opening, self.stream) = (None, Some(stream));
        }
        let stream = self.stream.as_mut().ok_or_else(|| Status::internal("not open"))?;
        stream.message().await?.ok_or_else(|| Status::internal("the stream ended"))
    }
}

/// A plain put.
pub(crate) fn put(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..PutRequest::default()
    }
}

/// The request that opens such a watcher.
pub(crate) fn opening(request: WatchCreateRequest) -> WatchRequest {
    WatchRequest { request_union: Some(RequestUnion::CreateRequest(request)) }
}

/// Replaces what may differ by `_`.
pub(crate) fn mask(text: &str) -> String {
    let mut masked = text.to_owned();
    for field in MASKED {
        let mut rebuilt = String::with_capacity(masked.len());
        let mut rest = masked.as_str();
        while let Some(at) = rest.find(field) {
            let (before, after) = rest.split_at(at + field.len());
            let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            rebuilt.push_str(before);
            rebuilt.push_str(if &after[..digits] == "0" { "0" } else { "_" });
            rest = &after[digits..];
        }
        rebuilt.push_str(rest);
        masked = rebuilt;
    }
    masked
}
