//! Watch streams. Requests are read and responses written by the one task that owns the call.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use prost::Message;
use tonic::Status;

use super::call::{Call, Reply};
use super::frame::Frames;
use super::identity::Asker;
use super::{Shared, refused};
use crate::api::method::Method;
use crate::api::{header, status};
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use crate::state::Demand;
use crate::state::auth::Caller;
use crate::transport::Charge;
use crate::types::range::UNBOUNDED;
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
    let asker = ticket.asker.clone();
    let conversation =
        Conversation { shared, asker, frames: Some(frames), stream, watchers, waiting: None };
    Box::pin(std::future::ready(ticket.stream(conversation)))
}

struct Conversation<B> {
    shared: Arc<Shared>,
    asker: Asker,
    /// Until the client has said all it wants to say, which does not end the stream.
    frames: Option<Frames<B>>,
    stream: WatchStream,
    /// For the watchers of the stream.
    watchers: Charge,
    /// A creation by somebody whose token was issued by an entry that has not been applied here.
    waiting: Option<Waiting>,
}

struct Waiting {
    request: WatchCreateRequest,
    caller: BoxFuture<'static, Result<Caller, Status>>,
}

impl<B> Conversation<B>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    /// Takes requests while there is room for their answers.
    fn listen(&mut self, context: &mut Context<'_>) -> Result<(), Status> {
        while self.stream.is_open_for_requests() {
            if let Some(waiting) = &mut self.waiting {
                let Poll::Ready(caller) = waiting.caller.as_mut().poll(context) else { break };
                if let Some(Waiting { request, .. }) = self.waiting.take() {
                    self.create_for(caller, &request)?;
                }
            }
            let Some(frames) = &mut self.frames else { break };
            match frames.poll_next(context) {
                Poll::Pending => break,
                Poll::Ready(None) => self.frames = None,
                Poll::Ready(Some(message)) => self.handle(message?)?,
            }
        }
        Ok(())
    }

    fn create(&mut self, request: WatchCreateRequest) -> Result<(), Status> {
        if let Some(caller) = self.asker.at_once(&self.shared.backend) {
            return self.create_for(caller, &request);
        }
        let (asker, shared) = (self.asker.clone(), Arc::clone(&self.shared));
        let caller = Box::pin(async move { asker.resolve(&shared.backend).await });
        self.waiting = Some(Waiting { request, caller });
        Ok(())
    }

    /// Creates a watcher for somebody who may read what it watches. Who may not is told so in a response:
    /// the stream goes on.
    fn create_for(
        &mut self,
        caller: Result<Caller, Status>,
        request: &WatchCreateRequest,
    ) -> Result<(), Status> {
        // As the watcher itself will read them.
        let key = if request.key.is_empty() { UNBOUNDED } else { request.key.as_ref() };
        let demand = Demand::Read { key, range_end: &request.range_end };
        let judged = caller.and_then(|caller| {
            let judged = self.shared.backend.reader.authorize(&caller, demand);
            judged.map_err(status::of_apply)
        });
        if let Err(refused) = judged {
            self.stream.refuse(status::as_go_prints(&refused));
            return Ok(());
        }
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
            Some(RequestUnion::CreateRequest(create)) => self.create(create)?,
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
