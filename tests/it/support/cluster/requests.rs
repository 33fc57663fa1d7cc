//! The requests most tests make of one member, in few words.

use std::time::Duration;

use bytes::Bytes;
use etcd::client::Client;
use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{
    DeleteRangeRequest, LeaseGrantRequest, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
    MoveLeaderRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse,
};
use tonic::{Response, Status};

use crate::support::session;
use crate::support::wait::within;

/// How long a member may take to answer when the test asks again anyway.
const SOON: Duration = Duration::from_secs(2);

/// An answer, or why there is none.
pub(crate) async fn answer<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    within("an answer", call).await.map(Response::into_inner)
}

/// The same for callers that ask again: patience ends soon.
pub(crate) async fn answer_soon<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    let ended = tokio::time::timeout(SOON, call).await;
    ended.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer"))).map(Response::into_inner)
}

/// Code and words of a refusal.
///
/// # Panics
/// When it was none.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (tonic::Code, String) {
    let status = answer.unwrap_err();
    (status.code(), status.message().to_owned())
}

/// Writes and tells the revision.
pub(crate) async fn put(client: &Client, key: &str, value: &str) -> i64 {
    try_put(client, session::put(key, value)).await.unwrap()
}

/// Writes, if that is possible, and tells the revision.
pub(crate) async fn try_put(client: &Client, request: PutRequest) -> Result<i64, Status> {
    Ok(answer(client.kv().put(request)).await?.header.unwrap().revision)
}

/// A request for one key.
pub(crate) fn one(key: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() }
}

/// A request for every key that begins so.
pub(crate) fn prefix(prefix: &str) -> RangeRequest {
    RangeRequest { range_end: end(prefix), ..one(prefix) }
}

/// The first key after all that begin so.
pub(crate) fn end(prefix: &str) -> Bytes {
    etcd::types::range::prefix_end(prefix.as_bytes()).unwrap()
}

/// Reads what a quorum agrees on.
pub(crate) async fn range(client: &Client, request: RangeRequest) -> RangeResponse {
    answer(client.kv().range(request)).await.unwrap()
}

/// The value of a key as a quorum has it.
pub(crate) async fn get(client: &Client, key: &str) -> Option<String> {
    value(&range(client, one(key)).await)
}

/// One attempt at the same.
pub(crate) async fn try_get(client: &Client, key: &str) -> Result<Option<String>, Status> {
    Ok(value(&answer_soon(client.kv().range(one(key))).await?))
}

/// Reads what the member itself has.
pub(crate) async fn local(client: &Client, request: RangeRequest) -> RangeResponse {
    range(client, RangeRequest { serializable: true, ..request }).await
}

/// The value in an answer about one key.
pub(crate) fn value(answer: &RangeResponse) -> Option<String> {
    answer.kvs.first().map(|kv| String::from_utf8(kv.value.to_vec()).unwrap())
}

/// Deletes a key and tells whether it was there.
pub(crate) async fn delete(client: &Client, key: &str) -> bool {
    let request =
        DeleteRangeRequest { key: key.to_owned().into(), ..DeleteRangeRequest::default() };
    answer(client.kv().delete_range(request)).await.unwrap().deleted == 1
}

/// Carries out a transaction.
pub(crate) async fn txn(client: &Client, request: TxnRequest) -> TxnResponse {
    answer(client.kv().txn(request)).await.unwrap()
}

/// A write as part of a transaction.
pub(crate) fn put_op(key: &str, value: &str) -> RequestOp {
    RequestOp { request: Some(Request::RequestPut(session::put(key, value))) }
}

/// Grants a lease of so many seconds.
pub(crate) async fn grant(client: &Client, ttl: i64) -> i64 {
    answer(client.lease().lease_grant(LeaseGrantRequest { ttl, id: 0 })).await.unwrap().id
}

/// Writes a key that a lease holds.
pub(crate) async fn put_held(client: &Client, key: &str, lease: i64) -> i64 {
    let request = PutRequest { lease, ..session::put(key, "held") };
    try_put(client, request).await.unwrap()
}

/// What is left of a lease.
pub(crate) async fn time_to_live(client: &Client, id: i64) -> LeaseTimeToLiveResponse {
    let request = LeaseTimeToLiveRequest { id, keys: true };
    answer(client.lease().lease_time_to_live(request)).await.unwrap()
}

/// Asks a member to hand over leadership.
pub(crate) async fn move_leader(client: &Client, target_id: u64) -> Result<(), Status> {
    answer(client.maintenance().move_leader(MoveLeaderRequest { target_id })).await.map(drop)
}
