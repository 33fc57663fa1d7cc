//! The services of a real member, through the client stubs but without a socket.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Request;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;

use super::{Body, Grpc};
use crate::api::{Backend, Health, Limits};
use crate::config::Comparisons;
use crate::consensus::Settings;
use crate::consensus::tests::Running;
use crate::proto::etcdserverpb::cluster_client::ClusterClient;
use crate::proto::etcdserverpb::kv_client::KvClient;
use crate::proto::etcdserverpb::lease_client::LeaseClient;
use crate::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use crate::proto::etcdserverpb::watch_client::WatchClient;
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, DefragmentRequest, DeleteRangeRequest, HashKvRequest,
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest, MemberAddRequest,
    MemberListRequest, MemberRemoveRequest, PutRequest, RangeRequest, RangeResponse, StatusRequest,
    TxnRequest, WatchCreateRequest, WatchRequest, WatchResponse,
};
use crate::proto::health::HealthCheckRequest;
use crate::proto::health::health_client::HealthClient;
use crate::storage::space::Space;
use crate::tokens::{Passwords, Provider};
use crate::types::clock::Clock;
use crate::types::ids::{ClusterId, MemberId, RequestIds};
use crate::upkeep::{
    Comparing, ComparisonParts, DiskParts, DiskWatch, Lessor, LessorParts, Passing, PassingParts,
};
use crate::watch::Hub;

const LONG: Duration = Duration::from_secs(20);

type Direct = BoxCloneSyncService<Request<tonic::body::Body>, http::Response<Body>, Infallible>;

struct Member {
    running: Running,
    grpc: Grpc,
    _health: watch::Sender<Health>,
    _dir: TempDir,
}

impl Member {
    async fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let settings = Settings::default();
        let running = Running::start(dir.path(), settings).await;
        let (health, told) = watch::channel(Health::Serving);
        let backend = backend(&running, told);
        let grpc = Grpc::start(Arc::new(backend), &running.supervisor);
        Self { running, grpc, _health: health, _dir: dir }
    }

    fn client(&self) -> Direct {
        let grpc = self.grpc.clone();
        let call = move |request| {
            let reply: BoxFuture<'static, _> = grpc.call(request);
            async move { Ok(reply.await) }
        };
        BoxCloneSyncService::new(tower::service_fn(call))
    }

    fn kv(&self) -> KvClient<Direct> {
        KvClient::new(self.client()).max_decoding_message_size(usize::MAX)
    }

    async fn put(&self, key: &str, value: &str) -> i64 {
        let request = PutRequest {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            ..Default::default()
        };
        self.kv().put(request).await.unwrap().into_inner().header.unwrap().revision
    }

    /// Calls a method with bytes of our own; gives back the code and the words.
    async fn raw(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (i32, String) {
        let mut request = Request::post(path).header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.grpc.call(request.body(Full::new(Bytes::from(body))).unwrap()).await;
        let (head, body) = response.into_parts();
        let trailers = body.collect().await.unwrap().trailers().cloned();
        let status = Status::from_header_map(&head.headers)
            .or_else(|| Status::from_header_map(&trailers?))
            .unwrap();
        (status.code() as i32, status.message().to_owned())
    }
}

fn limits() -> Limits {
    Limits {
        max_request_bytes: 1536 << 10,
        max_txn_ops: 128,
        watch_progress_interval: Duration::from_secs(600),
        election_timeout: Duration::from_secs(1),
        range_bytes_in_flight: Limits::RANGE_BYTES_IN_FLIGHT,
        slow_request: Duration::from_millis(300),
        extensive_metrics: false,
    }
}

fn backend(running: &Running, health: watch::Receiver<Health>) -> Backend {
    let (node, reader) = (running.node.clone(), running.reader.clone());
    let lessor = Lessor::start(LessorParts {
        reader: reader.clone(),
        proposer: node.proposer(),
        linear: node.linear(),
        node: node.clone(),
        election: Duration::from_secs(1),
        checkpoint: false,
        supervisor: running.supervisor.clone(),
        registry: running.registry.clone(),
        clock: Clock,
    });
    let disk = DiskWatch::start(DiskParts {
        node: node.clone(),
        space: Space::unlimited(),
        wal: running.wal.clone(),
        election: Duration::from_secs(1),
        supervisor: running.supervisor.clone(),
        registry: running.registry.clone(),
        clock: Clock,
    });
    let comparing = Comparing::start(ComparisonParts {
        node: node.clone(),
        reader: reader.clone(),
        proposer: node.proposer(),
        when: Comparisons::default(),
        supervisor: running.supervisor.clone(),
    });
    let passing = Passing::start(PassingParts {
        node: node.clone(),
        credentials: Vec::new(),
        supervisor: running.supervisor.clone(),
        registry: running.registry.clone(),
    });
    Backend {
        cluster: ClusterId(0xc1),
        member: MemberId(0x8e9e_05c5_2164_694d),
        proposer: node.proposer(),
        linear: node.linear(),
        hub: Hub::start(reader.clone(), &running.supervisor, &running.registry),
        node,
        reader,
        lessor,
        comparing,
        passing,
        provider: Provider::Nothing,
        passwords: Passwords::new(4),
        certificates_name_users: false,
        ids: RequestIds::new(MemberId(1), 1),
        limits: limits(),
        health,
        disk,
        registry: running.registry.clone(),
        hashes: tokio::sync::Semaphore::new(Backend::HASHES),
    }
}

fn range(key: &'static str, range_end: &'static str) -> RangeRequest {
    RangeRequest { key: key.into(), range_end: range_end.into(), ..Default::default() }
}

fn create(request: WatchCreateRequest) -> WatchRequest {
    WatchRequest { request_union: Some(RequestUnion::CreateRequest(request)) }
}

fn words<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_is_read_with_a_full_header() {
    let member = Member::start().await;
    let mut kv = member.kv();
    assert_eq!(member.put("a", "1").await, 2);
    let answer = kv.range(range("a", "")).await.unwrap().into_inner();
    let header = answer.header.unwrap();
    assert_eq!((header.cluster_id, header.member_id), (0xc1, 0x8e9e_05c5_2164_694d));
    assert_eq!((header.revision, header.raft_term > 0, answer.count), (2, true, 1));
    assert_eq!(answer.kvs[0].value, "1");
    let deleted = kv
        .delete_range(DeleteRangeRequest { key: "a".into(), ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!((deleted.deleted, deleted.header.unwrap().revision), (1, 3));
    let empty = kv.txn(TxnRequest::default()).await.unwrap().into_inner();
    assert!(empty.succeeded && empty.header.unwrap().revision == 3);
    let compacted = kv.compact(CompactionRequest { revision: 3, physical: true });
    assert_eq!(compacted.await.unwrap().into_inner().header.unwrap().revision, 3);
    let old = kv.range(RangeRequest { revision: 2, ..range("a", "") }).await;
    assert_eq!(words(old).1, "etcdserver: mvcc: required revision has been compacted");
    assert_eq!(words(kv.range(range("", "")).await).1, "etcdserver: key is not provided");
    member.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_told_in_go_words() {
    let member = Member::start().await;
    let put = "/etcdserverpb.KV/Put";
    let large = [&[0][..], &2_097_153_u32.to_be_bytes(), &[0; 100]].concat();
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>, i32, &'a str);
    let cases: [Case<'_>; 7] = [
        ("/foo.Bar/Baz", &[], vec![], 12, "unknown service foo.Bar"),
        ("/etcdserverpb.KV/Get", &[], vec![], 12, "unknown method Get for service etcdserverpb.KV"),
        ("/nothing", &[], vec![], 12, "malformed method name: \"/nothing\""),
        (
            put,
            &[("grpc-encoding", "gzip")],
            vec![],
            12,
            "grpc: Decompressor is not installed for grpc-encoding \"gzip\"",
        ),
        (put, &[], large, 8, "grpc: received message larger than max (2097153 vs. 2097152)"),
        (put, &[("hasleader", "true")], vec![0; 5], 3, "etcdserver: key is not provided"),
        (
            "/etcdserverpb.Auth/Authenticate",
            &[],
            vec![0; 5],
            9,
            "etcdserver: authentication is not enabled",
        ),
    ];
    for (path, headers, body, code, text) in cases {
        assert_eq!(member.raw(path, headers, body).await, (code, text.to_owned()));
    }
    let silent = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let late = Request::post(put).header("grpc-timeout", "1m").body(silent).unwrap();
    let late = member.grpc.call(late).await;
    assert_eq!(late.headers()["grpc-status"], "4");
    let (code, text) = member.raw("/etcdserverpb.Maintenance/Hash", &[], vec![0; 5]).await;
    assert!(code == 12 && text.contains("not available in this version"), "{text}");
    member.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_member_tells_about_itself() {
    let member = Member::start().await;
    let mut cluster = ClusterClient::new(member.client());
    let listed = cluster.member_list(MemberListRequest { linearizable: true }).await.unwrap();
    let listed = listed.into_inner();
    assert_eq!(listed.members[0].peer_ur_ls, ["http://localhost:2380"]);
    assert_eq!(listed.header.unwrap().revision, 0);
    let added = cluster.member_add(MemberAddRequest::default()).await;
    assert_eq!(words(added).1, "etcdserver: given member URLs are invalid");
    let unknown = cluster.member_remove(MemberRemoveRequest { id: 9 }).await;
    assert_eq!(words(unknown).1, "etcdserver: member not found");

    let mut care = MaintenanceClient::new(member.client());
    let raise = AlarmRequest { action: 1, member_id: 5, alarm: 1 };
    assert_eq!(care.alarm(raise).await.unwrap().into_inner().alarms.len(), 1);
    let status = care.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.version.as_str(), status.leader), ("3.5.21", 0x8e9e_05c5_2164_694d));
    assert_eq!(status.errors, ["memberID:5 alarm:NOSPACE "]);
    assert!(status.raft_index >= status.raft_applied_index && status.raft_term > 0);
    let put = PutRequest { key: "k".into(), ..Default::default() };
    assert_eq!(words(member.kv().put(put).await).0, Code::ResourceExhausted);
    let clear = AlarmRequest { action: 2, ..raise };
    assert_eq!(care.alarm(clear).await.unwrap().into_inner().alarms.len(), 1);
    let left = care.alarm(AlarmRequest::default()).await.unwrap().into_inner();
    assert_eq!(left.alarms, []);
    let odd = care.alarm(AlarmRequest { action: 9, ..raise }).await;
    assert_eq!(words(odd).0, Code::InvalidArgument);
    assert_eq!(care.defragment(DefragmentRequest {}).await.unwrap().into_inner().header, None);
    member.put("k", "v").await;
    let hashed = care.hash_kv(HashKvRequest { revision: 0 }).await.unwrap().into_inner();
    assert_eq!((hashed.compact_revision, hashed.header.unwrap().revision), (-1, 2));

    let mut health = HealthClient::new(member.client());
    let check = |service: &str| HealthCheckRequest { service: service.to_owned() };
    assert_eq!(health.check(check("")).await.unwrap().into_inner().status, 1);
    assert_eq!(words(health.check(check("x")).await), (Code::NotFound, "unknown service".into()));
    member.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_ranges_and_streams_of_pieces_say_the_same() {
    let member = Member::start().await;
    let value = "v".repeat(20_000);
    for number in 0..200 {
        member.put(&format!("k{number:03}"), &value).await;
    }
    let whole = member.kv().range(range("k", "l")).await.unwrap().into_inner();
    assert_eq!((whole.kvs.len(), whole.count, whole.more), (200, 200, false));
    let mut pieces = member.kv().range_stream(range("k", "l")).await.unwrap().into_inner();
    let mut merged = RangeResponse::default();
    let mut count = 0;
    while let Some(piece) = pieces.message().await.unwrap() {
        let piece = piece.range_response.unwrap();
        merged.kvs.extend(piece.kvs);
        (merged.header, merged.count) = (piece.header, piece.count);
        count += 1;
    }
    assert_eq!(merged, whole);
    assert!(count > 2, "{count} pieces");
    let sorted = RangeRequest { sort_order: 2, ..range("k", "l") };
    let refused = member.kv().range_stream(sorted).await;
    assert_eq!(refused.unwrap_err().message(), "RangeStream does not support custom sort orders");
    member.running.stop().await;
}

async fn message(stream: &mut tonic::Streaming<WatchResponse>) -> WatchResponse {
    timeout(LONG, stream.message()).await.expect("no response").unwrap().expect("stream ended")
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_see_the_past_and_the_present_after_half_close() {
    let member = Member::start().await;
    for number in 0..10 {
        member.put("a", &number.to_string()).await;
    }
    let mut client = WatchClient::new(member.client());
    let request = WatchCreateRequest {
        key: "a".into(),
        start_revision: 3,
        prev_kv: true,
        ..Default::default()
    };
    let requests = futures::stream::iter([create(request)]);
    let mut stream = client.watch(requests).await.unwrap().into_inner();
    let created = message(&mut stream).await;
    assert!(created.created && created.header.unwrap().member_id != 0);
    let mut seen = Vec::new();
    while seen.len() < 9 {
        seen.extend(message(&mut stream).await.events);
    }
    let revisions: Vec<i64> =
        seen.iter().map(|event| event.kv.as_ref().unwrap().mod_revision).collect();
    assert_eq!(revisions, (3..12).collect::<Vec<_>>());
    let previous = seen.iter().map(|event| event.prev_kv.as_ref().unwrap().value.clone());
    assert_eq!(previous.collect::<Vec<_>>(), (0..9).map(|n| n.to_string()).collect::<Vec<_>>());
    member.put("a", "x").await;
    let live = message(&mut stream).await;
    assert_eq!(live.events[0].prev_kv.as_ref().unwrap().value, "9");
    member.running.stop().await;
    assert_eq!(words(stream.message().await).1, "etcdserver: server stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_granted_renewed_and_looked_at() {
    let member = Member::start().await;
    let mut client = LeaseClient::new(member.client());
    let granted = client.lease_grant(LeaseGrantRequest { ttl: 0, id: 0 }).await.unwrap();
    let granted = granted.into_inner();
    assert_eq!((granted.ttl, granted.id > 0), (2, true));
    let request = LeaseGrantRequest { ttl: 100, id: 7 };
    client.lease_grant(request).await.unwrap();
    assert_eq!(words(client.lease_grant(request).await).0, Code::FailedPrecondition);
    let renewals = [7, 8].map(|id| LeaseKeepAliveRequest { id });
    let mut stream =
        client.lease_keep_alive(futures::stream::iter(renewals)).await.unwrap().into_inner();
    let mut renewed = Vec::new();
    while let Some(answer) = timeout(LONG, stream.message()).await.unwrap().unwrap() {
        renewed.push((answer.id, answer.ttl));
    }
    assert_eq!(renewed, [(7, 100), (8, 0)]);
    let look = |id| LeaseTimeToLiveRequest { id, keys: true };
    let known = client.lease_time_to_live(look(7)).await.unwrap().into_inner();
    assert!(known.granted_ttl == 100 && (98..=100).contains(&known.ttl));
    let unknown = client.lease_time_to_live(look(9)).await.unwrap().into_inner();
    assert_eq!((unknown.ttl, unknown.granted_ttl), (-1, 0));
    member.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_holds_the_wrong_data_tells_none_of_it() {
    let member = Member::start().await;
    member.put("k", "v").await;
    let mut stream = WatchClient::new(member.client())
        .watch(futures::stream::iter([create(WatchCreateRequest {
            key: "k".into(),
            ..Default::default()
        })]))
        .await
        .unwrap()
        .into_inner();
    assert!(message(&mut stream).await.created);
    let mut care = MaintenanceClient::new(member.client());
    let of = |member_id| AlarmRequest { action: 1, member_id, alarm: 2 };
    let corrupt = (Code::DataLoss, "etcdserver: corrupt cluster".to_owned());
    let put = || PutRequest { key: "k".into(), ..Default::default() };

    // As long as it may be another one, reads go on.
    for other in [0, 5] {
        care.alarm(of(other)).await.unwrap();
        assert_eq!(words(member.kv().put(put()).await), corrupt);
        let read = member.kv().range(range("k", "")).await.unwrap().into_inner();
        assert_eq!(read.kvs[0].value, "v");
    }
    let own = 0x8e9e_05c5_2164_694d;
    care.alarm(of(own)).await.unwrap();
    let stale = RangeRequest { serializable: true, ..range("k", "") };
    for read in [range("k", ""), stale] {
        assert_eq!(words(member.kv().range(read).await), corrupt);
    }
    assert_eq!(words(member.kv().txn(TxnRequest::default()).await), corrupt);
    let look = LeaseTimeToLiveRequest { id: 7, keys: true };
    let mut lease = LeaseClient::new(member.client());
    assert_eq!(words(lease.lease_time_to_live(look).await), corrupt);
    assert_eq!(words(timeout(LONG, stream.message()).await.unwrap()), corrupt);
    // Whoever looks for the reason is answered.
    assert!(care.status(StatusRequest {}).await.unwrap().into_inner().errors.len() == 3);
    assert!(care.hash_kv(HashKvRequest { revision: 0 }).await.is_ok());
    for cleared in [0, 5, own] {
        care.alarm(AlarmRequest { action: 2, ..of(cleared) }).await.unwrap();
    }
    member.kv().put(put()).await.unwrap();
    assert_eq!(member.kv().range(range("k", "")).await.unwrap().into_inner().kvs[0].value, "");
    member.running.stop().await;
}
