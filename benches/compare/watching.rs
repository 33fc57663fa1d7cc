//! A stream of watchers.

use etcd::proto::etcdserverpb::watch_request::RequestUnion;
use etcd::proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use etcd::proto::mvccpb::Event;
use futures::{StreamExt, stream};
use tonic::Streaming;

use crate::Error;
use crate::wire::Wire;

/// An open stream; dropping it ends its watchers.
pub(crate) struct Watching {
    answers: Streaming<WatchResponse>,
}

impl Watching {
    /// Opens a stream, creates the watchers and waits until all of them are there.
    ///
    /// # Errors
    /// If the server refuses one.
    pub(crate) async fn open(wire: &Wire, wanted: Vec<WatchCreateRequest>) -> Result<Self, Error> {
        let many = wanted.len();
        let requests = wanted.into_iter().map(|create| WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(create)),
        });
        // The stream of requests stays open for as long as the answers are wanted.
        let requests = stream::iter(requests).chain(stream::pending());
        let mut answers = wire.watch().watch(requests).await?.into_inner();
        for _ in 0..many {
            let answer = answers.message().await?.ok_or("a watch stream ended early")?;
            if !answer.created || answer.canceled {
                return Err(format!("a watcher was refused: {:?}", answer.cancel_reason).into());
            }
        }
        Ok(Self { answers })
    }

    /// The events of the next answer.
    ///
    /// # Errors
    /// If the stream ends, or a watcher is ended.
    pub(crate) async fn next(&mut self) -> Result<Vec<Event>, Error> {
        let answer = self.answers.message().await?.ok_or("a watch stream ended")?;
        if answer.canceled {
            return Err(format!("a watcher was ended: {:?}", answer.cancel_reason).into());
        }
        Ok(answer.events)
    }
}
