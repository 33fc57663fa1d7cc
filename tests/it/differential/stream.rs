//! One watch stream of a player: events are collected per watcher, answers to requests are waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use etcd::proto::etcdserverpb::watch_client::WatchClient;
use etcd::proto::etcdserverpb::watch_request::RequestUnion;
use etcd::proto::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use super::player::{Halt, PATIENCE};
use super::watcher::Collected;

/// Pause before progress is asked for again: a server does not answer while a watcher catches up.
const AGAIN: Duration = Duration::from_millis(15);

/// A watch stream and its watchers.
pub(super) struct Stream {
    requests: mpsc::Sender<WatchRequest>,
    responses: mpsc::UnboundedReceiver<Result<WatchResponse, Status>>,
    _reader: JoinSet<()>,
    /// Whether responses are taken from the connection.
    reading: watch::Sender<bool>,
    /// What each watcher got, by its id.
    pub(super) watchers: BTreeMap<i64, Collected>,
    /// Progress requests that may still be answered.
    asked: u32,
    /// What no server may do, whatever the other does.
    pub(super) faults: Vec<String>,
}

impl Stream {
    /// Opens a stream.
    pub(super) fn open(mut client: WatchClient<Channel>) -> Self {
        let (requests, receiver) = mpsc::channel(16);
        let (sender, responses) = mpsc::unbounded_channel();
        let (reading, mut gate) = watch::channel(true);
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            let mut stream = match client.watch(ReceiverStream::new(receiver)).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => return drop(sender.send(Err(status))),
            };
            while gate.wait_for(|open| *open).await.is_ok() {
                let next = match stream.message().await {
                    Ok(Some(response)) => Ok(response),
                    Ok(None) => Err(Status::internal("the stream ended")),
                    Err(status) => Err(status),
                };
                let last = next.is_err();
                if sender.send(next).is_err() || last {
                    return;
                }
            }
        });
        let (watchers, faults) = (BTreeMap::new(), Vec::new());
        Self { requests, responses, _reader: reader, reading, watchers, asked: 0, faults }
    }

    /// Takes no more responses until one is waited for.
    pub(super) fn pause(&mut self) {
        self.reading.send_replace(false);
    }

    async fn send(&self, request: RequestUnion) -> Result<(), Halt> {
        let request = WatchRequest { request_union: Some(request) };
        let sent = self.requests.send(request).await;
        sent.map_err(|_| Halt::Stuck("a watch stream takes no more requests".to_owned()))
    }

    /// Creates a watcher and tells the answer.
    pub(super) async fn create(
        &mut self,
        request: WatchCreateRequest,
    ) -> Result<WatchResponse, Halt> {
        self.send(RequestUnion::CreateRequest(request.clone())).await?;
        let answer = self.answer("the answer to a create request", |it| it.created).await?;
        if !answer.canceled {
            self.watchers.insert(answer.watch_id, Collected::new(request));
        }
        Ok(answer)
    }

    /// Cancels a watcher and tells the answer; nobody answers when there is none with this id.
    pub(super) async fn cancel(&mut self, id: i64) -> Result<Option<WatchResponse>, Halt> {
        self.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: id })).await?;
        if !self.watchers.contains_key(&id) {
            return Ok(None);
        }
        let answer = self.canceled(id).await?;
        self.watchers.remove(&id);
        Ok(Some(answer))
    }

    /// Waits for the word that a watcher is canceled.
    pub(super) async fn canceled(&mut self, id: i64) -> Result<WatchResponse, Halt> {
        self.answer("a cancellation", |it| it.canceled && it.watch_id == id).await
    }

    /// Asks for progress without waiting for it.
    pub(super) async fn idle_progress(&mut self) -> Result<(), Halt> {
        self.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await
    }

    /// Waits until every watcher has had every event up to `revision`.
    pub(super) async fn settle(&mut self, revision: i64) -> Result<(), Halt> {
        if self.watchers.is_empty() {
            return Ok(());
        }
        let what = format!("progress up to revision {revision}");
        let settled = async {
            loop {
                self.asked += 1;
                self.idle_progress().await?;
                let answered = self.progress(revision);
                if let Ok(answered) = tokio::time::timeout(AGAIN, answered).await {
                    return answered;
                }
            }
        };
        within(&what, settled).await
    }

    async fn progress(&mut self, revision: i64) -> Result<(), Halt> {
        loop {
            let response = self.next().await?;
            if self.absorb(response)? >= revision {
                return Ok(());
            }
        }
    }

    async fn answer(
        &mut self,
        what: &str,
        wanted: impl Fn(&WatchResponse) -> bool,
    ) -> Result<WatchResponse, Halt> {
        within(what, async {
            loop {
                let response = self.next().await?;
                if (response.created || response.canceled) && wanted(&response) {
                    return Ok(response);
                }
                self.absorb(response)?;
            }
        })
        .await
    }

    async fn next(&mut self) -> Result<WatchResponse, Halt> {
        self.reading.send_replace(true);
        match self.responses.recv().await {
            Some(Ok(response)) => Ok(response),
            Some(Err(status)) => Err(Halt::Stuck(format!("a watch stream broke: {status:?}"))),
            None => Err(Halt::Stuck("a watch stream broke".to_owned())),
        }
    }

    /// Files a response that answers no request; returns how far it says the whole stream is.
    fn absorb(&mut self, response: WatchResponse) -> Result<i64, Halt> {
        if response.created || response.canceled {
            return Err(Halt::Stuck(format!("nobody asked for {response:?}")));
        }
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        if response.watch_id == -1 && response.events.is_empty() {
            if self.asked == 0 {
                self.faults.push(format!("progress that was not asked for: {response:?}"));
            }
            self.asked = self.asked.saturating_sub(1);
            self.watchers.values_mut().for_each(|watcher| watcher.promised(revision));
            return Ok(revision);
        }
        match self.watchers.get_mut(&response.watch_id) {
            Some(watcher) => watcher.take(response, &mut self.faults),
            None => self.faults.push(format!("a response for no watcher: {response:?}")),
        }
        Ok(0)
    }
}

async fn within<T>(what: &str, wait: impl Future<Output = Result<T, Halt>>) -> Result<T, Halt> {
    let limited = tokio::time::timeout(PATIENCE, wait).await;
    limited.unwrap_or_else(|_| Err(Halt::Stuck(format!("waited {PATIENCE:?} in vain for {what}"))))
}
