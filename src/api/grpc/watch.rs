//! Watch streams. Requests are read and responses written by the one task that owns the call.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use prost::Message;
use tonic::Status;

use super::call::{Call, Reply};
use super::frame::Frames;
use super::{Shared, refused};
use crate::api::method::Method;
use crate::api::{header, status};
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use crate::transport::Charge;
use crate::watch::{StreamOptions, WatchStream};

pub(super) fn watch<B>(call: Call<B>) -> Reply
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
{
    let Call { frames, ticket } = call;
    let limits = ticket.shared.backend.limits;
    let stream = ticket.shared.backend.hub.stream(StreamOptions {
        fragment_bytes: limits.max_message_bytes(),
        progress_interval: limits.watch_progress_interval,
    });
    let shared = Arc::clone(&ticket.shared);
    let watchers = match ticket.account.charge(0) {
        Ok(charge) => charge,
        Err(full) => return refused(&status::memory_full(full)),
    };
    let conversation = Conversation { shared, frames: Some(frames), stream, watchers };
    Box::pin(std::future::ready(ticket.stream(conversation)))
}

struct Conversation<B> {
    shared: Arc<Shared>,
    /// Until the client has said all it wants to say, which does not end the stream.
    frames: Option<Frames<B>>,
    stream: WatchStream,
    /// For the watchers of the stream.
    watchers: Charge,
}

impl<B> Conversation<B>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    /// Takes requests while there is room for their answers.
    fn listen(&mut self, context: &mut Context<'_>) -> Result<(), Status> {
        while self.stream.is_open_for_requests() {
            let Some(frames) = &mut self.frames else { break };
            match frames.poll_next(context) {
                Poll::Pending => break,
                Poll::Ready(None) => self.frames = None,
                Poll::Ready(Some(message)) => self.handle(message?)?,
            }
        }
        Ok(())
    }

    fn create(&mut self, request: &WatchCreateRequest) -> Result<(), Status> {
        let cost = WatchStream::cost(request);
        if let Err(full) = self.watchers.resize(self.watchers.bytes() + cost) {
            self.stream.refuse(format!("mvcc: {full}"));
            return Ok(());
        }
        self.stream.create(request);
        self.settle()
    }

    /// Gives back what was charged for a watcher that is not there.
    fn settle(&mut self) -> Result<(), Status> {
        self.watchers.resize(self.stream.bytes()).map_err(status::memory_full)
    }

    fn handle(&mut self, message: Bytes) -> Result<(), Status> {
        self.shared.metrics.received(Method::Watch, message.len());
        let request = WatchRequest::decode(message).map_err(|e| status::undecodable(&e))?;
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(&create)?,
            Some(RequestUnion::CancelRequest(cancel)) => {
                self.stream.cancel(cancel.watch_id);
                self.settle()?;
            }
            Some(RequestUnion::ProgressRequest(_)) => self.stream.request_progress(),
            // etcd ignores what says nothing.
            None => {}
        }
        Ok(())
    }
}

impl<B> Stream for Conversation<B>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    type Item = Result<WatchResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Err(status) = this.listen(context) {
            return Poll::Ready(Some(Err(status)));
        }
        this.stream.poll_next(context).map(|response| {
            let Some(mut response) = response else { return Some(Err(status::stopped())) };
            response.header = header::complete(&this.shared.backend, response.header.take());
            Some(Ok(response))
        })
    }
}
