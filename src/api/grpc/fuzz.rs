//! The entries of the API for hostile bytes.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use futures::stream;
use http::HeaderMap;
use prost::Message;

use super::call::Terms;
use super::frame::{self, Frames};
use super::weigh::weigh;
use crate::api::check;
use crate::api::method::Method;
use crate::api::peer::HashQuestion;
use crate::proto::etcdserverpb as pb;
use crate::proto::health::HealthCheckRequest;
use crate::proto::members::ReplaceRequest;
use crate::transport::Memory;
use crate::types::fuzz::Seed;

const MAX_OPS: usize = 128;

/// A request body in pieces of the length the first byte says: every message comes out, or one fault.
pub(crate) fn frames(bytes: &[u8]) {
    let Some((size, body)) = bytes.split_first() else { return };
    let pieces: Vec<_> = body
        .chunks(usize::from(*size).max(1))
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let body = axum::body::Body::from_stream(stream::iter(pieces));
    let account = Memory::default().account();
    let mut frames = Frames::new(body, 4096, account.clone());
    loop {
        let next = pin!(frames.next()).poll(&mut Context::from_waker(Waker::noop()));
        match next {
            Poll::Ready(Some(Ok(message))) => assert!(message.len() <= 4096),
            Poll::Ready(Some(Err(_)) | None) => break,
            // The body never waits.
            Poll::Pending => assert_eq!(size, &u8::MAX, "a body that is there was waited for"),
        }
    }
    drop(frames);
    assert_eq!(account.held(), 0);
}

/// A message of the method the first byte names: weighed, decoded, checked.
pub(crate) fn request(bytes: &[u8]) {
    let Some((number, message)) = bytes.split_first() else { return };
    let Some(method) = Method::ALL.get(usize::from(*number) % Method::ALL.len()) else { return };
    if weigh(*method, message, MAX_OPS).is_ok_and(|weight| weight < 64 << 20) {
        decode(*method, Bytes::copy_from_slice(message));
    }
}

fn decode(method: Method, message: Bytes) {
    fn whole<M: Message + Default, T>(message: Bytes, check: impl FnOnce(&M) -> T) {
        if let Ok(request) = M::decode(message) {
            let _ = check(&request);
            assert!(M::decode(Bytes::from(request.encode_to_vec())).is_ok());
        }
    }
    fn plain<M: Message + Default>(message: Bytes) {
        whole::<M, ()>(message, |_| {});
    }
    match method {
        Method::Range | Method::RangeStream => {
            whole(message, |range: &pb::RangeRequest| check::range(range));
        }
        Method::Put => whole(message, |put: &pb::PutRequest| check::put(put)),
        Method::DeleteRange => {
            whole(message, |delete: &pb::DeleteRangeRequest| check::delete_range(delete));
        }
        Method::Txn => whole(message, |txn: &pb::TxnRequest| check::txn(txn, MAX_OPS)),
        Method::Compact => plain::<pb::CompactionRequest>(message),
        Method::Watch => plain::<pb::WatchRequest>(message),
        Method::LeaseGrant => plain::<pb::LeaseGrantRequest>(message),
        Method::LeaseRevoke => plain::<pb::LeaseRevokeRequest>(message),
        Method::LeaseKeepAlive => plain::<pb::LeaseKeepAliveRequest>(message),
        Method::LeaseTimeToLive => plain::<pb::LeaseTimeToLiveRequest>(message),
        Method::MemberAdd => plain::<pb::MemberAddRequest>(message),
        Method::MemberUpdate => plain::<pb::MemberUpdateRequest>(message),
        Method::MemberReplace => plain::<ReplaceRequest>(message),
        Method::Alarm => plain::<pb::AlarmRequest>(message),
        Method::HashKv => plain::<pb::HashKvRequest>(message),
        Method::Downgrade => plain::<pb::DowngradeRequest>(message),
        Method::UserAdd => plain::<pb::AuthUserAddRequest>(message),
        Method::RoleGrantPermission => plain::<pb::AuthRoleGrantPermissionRequest>(message),
        Method::HealthCheck | Method::HealthWatch => plain::<HealthCheckRequest>(message),
        // The others take a number or nothing.
        _ => plain::<pb::AuthenticateRequest>(message),
    }
}

/// The question members ask over HTTP.
pub(crate) fn question(bytes: &[u8]) {
    let _ = serde_json::from_slice::<HashQuestion>(bytes);
}

/// A path and a `grpc-timeout`.
pub(crate) fn head(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = (Method::find(&text), super::unknown(&text));
    if let Ok(value) = http::HeaderValue::from_bytes(bytes) {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", value);
        let _ = Terms::of(&headers);
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    let put = pb::PutRequest { key: "key".into(), value: "value".into(), ..Default::default() };
    let op = |request| pb::RequestOp { request: Some(request) };
    let inner = pb::TxnRequest {
        failure: vec![op(pb::request_op::Request::RequestPut(put.clone()))],
        ..Default::default()
    };
    let txn = pb::TxnRequest {
        compare: vec![pb::Compare { key: "key".into(), ..Default::default() }],
        success: vec![
            op(pb::request_op::Request::RequestTxn(inner)),
            op(pb::request_op::Request::RequestRange(pb::RangeRequest {
                key: "a".into(),
                range_end: "b".into(),
                ..Default::default()
            })),
        ],
        failure: vec![op(pb::request_op::Request::RequestDeleteRange(pb::DeleteRangeRequest {
            key: "key".into(),
            ..Default::default()
        }))],
    };
    let create =
        pb::WatchCreateRequest { key: "k".into(), filters: vec![0, 1], ..Default::default() };
    let watch = pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)),
    };
    let of = |method: Method, message: Vec<u8>| [vec![method as u8], message].concat();
    let mut body = BytesMut::from(&[7][..]);
    // Both are far below the largest message.
    let written = frame::write(&put, &mut body).and_then(|()| frame::write(&txn, &mut body));
    let mut seeds = vec![
        Seed::new("request", "put", of(Method::Put, put.encode_to_vec())),
        Seed::new("request", "txn", of(Method::Txn, txn.encode_to_vec())),
        Seed::new("request", "watch", of(Method::Watch, watch.encode_to_vec())),
        Seed::new("head", "path", b"/etcdserverpb.KV/Put".to_vec()),
        Seed::new("head", "timeout", b"5000m".to_vec()),
    ];
    seeds.extend(written.is_ok().then(|| Seed::new("frames", "two", body.to_vec())));
    seeds
}
