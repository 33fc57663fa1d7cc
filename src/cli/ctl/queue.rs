//! The queue behind locks and elections, as etcd's concurrency recipes make it: everybody puts a
//! key below a common prefix, bound to a lease, and whose key is the oldest is first.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::failure::{Exit, Failure, describe};
use super::session::Session;
use super::watch::is_passing;
use crate::client::Client;
use crate::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::response_op::Response;
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::{
    PutRequest, RangeRequest, RequestOp, ResponseHeader, TxnRequest, WatchCreateRequest,
    WatchRequest,
};
use crate::proto::mvccpb::Event;
use crate::proto::mvccpb::event::EventType;
use crate::types::range::prefix_end;

/// Pause before a queue that could not be watched is looked at again.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// A place at the head of the queue.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) key: Bytes,
    /// Revision of the store when it was found to be first.
    pub(super) revision: i64,
}

/// The prefix of everybody who wants what the name stands for.
pub(super) fn prefix(name: &[u8]) -> Bytes {
    Bytes::from([name, b"/"].concat())
}

/// Lines up with a value under a lease and waits until everybody who came before has left; `None`
/// if the own key is gone by then.
pub(super) async fn line_up(
    session: &Session,
    name: &[u8],
    value: Bytes,
    lease: i64,
) -> Result<Option<Place>, Failure> {
    let prefix = prefix(name);
    let key = Bytes::from([&prefix[..], format!("{lease:x}").as_bytes()].concat());
    let put = PutRequest { key: key.clone(), value, lease, ..PutRequest::default() };
    let enter = [Request::RequestPut(put), Request::RequestRange(oldest(&prefix))];
    let success = enter.map(|request| RequestOp { request: Some(request) }).into();
    let request = TxnRequest { success, ..TxnRequest::default() };
    let entered = session.ask(session.client.kv().txn(request)).await?;
    let revision = revision(entered.header.as_ref());
    let first = entered.responses.iter().find_map(|one| match &one.response {
        Some(Response::ResponseRange(answer)) => answer.kvs.first(),
        _ => None,
    });
    if first.is_some_and(|first| first.key == key) {
        return Ok(Some(Place { key, revision }));
    }
    wait_for_elders(session, &prefix, revision).await?;
    let request = RangeRequest { key: key.clone(), ..RangeRequest::default() };
    let own = session.ask(session.client.kv().range(request)).await?;
    let revision = self::revision(own.header.as_ref());
    Ok(own.kvs.first().map(|_| Place { key, revision }))
}

/// Asks for the key that is first.
pub(super) fn oldest(prefix: &Bytes) -> RangeRequest {
    RangeRequest {
        key: prefix.clone(),
        range_end: prefix_end(prefix).unwrap_or_default(),
        limit: 1,
        sort_order: SortOrder::Ascend.into(),
        sort_target: SortTarget::Create.into(),
        ..RangeRequest::default()
    }
}

pub(super) fn revision(header: Option<&ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

/// Waits for one after the other, the youngest first: each leaves once, and few wake for it.
async fn wait_for_elders(session: &Session, prefix: &Bytes, created: i64) -> Result<(), Failure> {
    loop {
        let youngest = RangeRequest {
            max_create_revision: created - 1,
            sort_order: SortOrder::Descend.into(),
            ..oldest(prefix)
        };
        let answer = session.ask(session.client.kv().range(youngest)).await?;
        let Some(elder) = answer.kvs.first() else { return Ok(()) };
        let watch = WatchCreateRequest {
            key: elder.key.clone(),
            start_revision: revision(answer.header.as_ref()) + 1,
            ..WatchCreateRequest::default()
        };
        first_event(&session.client, watch, |event| event.r#type() == EventType::Delete).await?;
    }
}

/// The first event of a watch that is wanted, and the header it came with; `None` if the watch
/// broke or its revision is gone: then the store must be looked at again.
///
/// # Errors
/// If the server refuses the watch.
pub(super) async fn first_event(
    client: &Client,
    request: WatchCreateRequest,
    wanted: impl Fn(&Event) -> bool,
) -> Result<Option<(ResponseHeader, Event)>, Failure> {
    match watched(client, request, wanted).await {
        Ok(Some(found)) => Ok(Some(found)),
        Ok(None) => {
            tokio::time::sleep(PAUSE).await;
            Ok(None)
        }
        Err(status) if is_passing(&status) => {
            tokio::time::sleep(PAUSE).await;
            Ok(None)
        }
        Err(status) => Err(Failure::new(Exit::Error, describe(&status))),
    }
}

async fn watched(
    client: &Client,
    request: WatchCreateRequest,
    wanted: impl Fn(&Event) -> bool,
) -> Result<Option<(ResponseHeader, Event)>, Status> {
    let client = client.clone().requiring_leader();
    let (requests, outgoing) = mpsc::channel(1);
    let create = RequestUnion::CreateRequest(request);
    // The channel is new and has room; it stays open as long as the watch is wanted.
    let _ = requests.try_send(WatchRequest { request_union: Some(create) });
    let mut stream = client.watch().watch(ReceiverStream::new(outgoing)).await?.into_inner();
    while let Some(answer) = stream.message().await? {
        if answer.canceled && answer.compact_revision == 0 {
            return Err(Status::permission_denied(answer.cancel_reason));
        }
        if answer.canceled {
            return Ok(None);
        }
        if let Some(event) = answer.events.into_iter().find(&wanted) {
            return Ok(Some((answer.header.unwrap_or_default(), event)));
        }
    }
    Ok(None)
}
