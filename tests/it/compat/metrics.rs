//! `/metrics` after the same work: every metric of etcd is there, with its type, its labels and, where
//! it counts what clients do, its value; or it is in a list that says why not.

use std::collections::{BTreeMap, BTreeSet};

use etcd::proto::etcdserverpb::{
    CompactionRequest, DefragmentRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest,
    LeaseKeepAliveRequest, LeaseRevokeRequest, RangeRequest, RequestOp, TxnRequest,
    WatchCreateRequest, WatchRequest, request_op, watch_request,
};

use crate::support::http::request;
use crate::support::reference;
use crate::support::server::{Kind, Server};
use crate::support::session::{Session, put};
use crate::support::wait::{eventually, within};

/// What etcd has and we have not: beginnings of names, and why.
const ABSENT: &[(&str, &str)] = &[
    ("etcd_debugging_disk_backend_commit_", "phases of a commit in etcd's database file"),
    ("etcd_debugging_snap_save_marshalling_", "a snapshot of the log is a mark, not a document"),
    ("etcd_debugging_store_", "the store of API version 2"),
    ("etcd_disk_backend_snapshot_", "the snapshot stream is not served yet"),
    ("etcd_grpc_proxy_", "of the gRPC proxy, not of a member"),
    ("etcd_mvcc_db_open_read_transactions", "a read opens no transaction in the store"),
    ("etcd_mvcc_hash_duration_seconds", "the hash of the database file is not offered"),
    ("etcd_server_go_version", "there is no Go in it"),
    ("etcd_snap_db_", "members do not send each other snapshots yet"),
    ("go_", "about Go's runtime; no stock dashboard or alert of etcd asks for them"),
];

/// What must have etcd's values, series by series.
const EQUAL: &[&str] = &[
    "etcd_cluster_version",
    "etcd_debugging_lease_",
    "etcd_debugging_mvcc_compact_revision",
    "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_db_compaction_keys_total",
    "etcd_debugging_mvcc_events_total",
    "etcd_debugging_mvcc_keys_total",
    "etcd_debugging_mvcc_pending_events_total",
    "etcd_debugging_mvcc_total_put_size_in_bytes",
    "etcd_debugging_mvcc_watch",
    "etcd_debugging_server_lease_expired_total",
    "etcd_disk_backend_defrag_duration_seconds_count",
    "etcd_disk_defrag_inflight",
    "etcd_mvcc_delete_total",
    "etcd_mvcc_hash_rev_duration_seconds_count",
    "etcd_mvcc_put_total",
    "etcd_mvcc_txn_total",
    "etcd_network_client_grpc_received_bytes_total",
    "etcd_server_apply_duration_seconds_count",
    "etcd_server_client_requests_total",
    "etcd_server_has_leader",
    "etcd_server_health",
    "etcd_server_is_",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_failed_total",
    "etcd_server_quota_backend_bytes",
    "etcd_snap_fsync_duration_seconds_count",
    "grpc_server_",
    "promhttp_",
];

/// Series whose value is a matter of time or of another program's ways.
fn is_exempt(series: &str) -> bool {
    // Attributes and version of the cluster travel another way there.
    series.contains("version=\"v2\"")
        // Called off by a client that has gone, sooner or later.
        || series.contains("grpc_server_handled_total") && series.contains("stream")
}

fn range(key: &str, revision: i64) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), revision, ..RangeRequest::default() }
}

/// The same work for everybody; returns while a watch is still open.
async fn work(session: &mut Session) -> impl Sized {
    for value in ["1", "2", "3"] {
        session.kv.put(put("k", value)).await.unwrap();
    }
    session.kv.put(put("gone", "soon")).await.unwrap();
    let delete = DeleteRangeRequest { key: "gone".into(), ..DeleteRangeRequest::default() };
    session.kv.delete_range(delete).await.unwrap();
    let op = RequestOp { request: Some(request_op::Request::RequestPut(put("t", "1"))) };
    let txn = TxnRequest { success: vec![op], ..TxnRequest::default() };
    session.kv.txn(txn).await.unwrap();
    session.kv.range(range("k", 0)).await.unwrap();
    session.kv.range(range("k", 1000)).await.unwrap_err();
    session.kv.compact(CompactionRequest { revision: 4, physical: true }).await.unwrap();
    session.maintenance.defragment(DefragmentRequest {}).await.unwrap();
    session.maintenance.hash_kv(HashKvRequest { revision: 0 }).await.unwrap();
    for id in [7, 8] {
        session.lease.lease_grant(LeaseGrantRequest { ttl: 1000, id }).await.unwrap();
    }
    let renewal = tokio_stream::once(LeaseKeepAliveRequest { id: 7 });
    let mut renewals = session.lease.lease_keep_alive(renewal).await.unwrap().into_inner();
    while within("a renewal", renewals.message()).await.unwrap().is_some() {}
    session.lease.lease_revoke(LeaseRevokeRequest { id: 8 }).await.unwrap();
    session.lease.lease_revoke(LeaseRevokeRequest { id: 9 }).await.unwrap_err();
    let mut watch = session.watch();
    let create = WatchCreateRequest { key: "w".into(), ..WatchCreateRequest::default() };
    let create = watch_request::RequestUnion::CreateRequest(create);
    watch.send(WatchRequest { request_union: Some(create) }).await;
    assert!(watch.next().await.created);
    session.kv.put(put("w", "1")).await.unwrap();
    assert_eq!(watch.next().await.events.len(), 1);
    watch
}

/// The text of `/metrics` after the work.
async fn scraped(kind: &Kind) -> String {
    let server = Server::start(kind);
    // etcd agrees on it through its log, a moment after it is ready.
    eventually("the cluster version to be decided", || {
        let version = request(server.address(), "GET", "/version").body;
        (!version.contains("not_decided")).then_some(())
    });
    let mut session = Session::connect(&server.url()).await;
    let open = work(&mut session).await;
    for path in ["/health", "/health", "/readyz", "/livez"] {
        assert_eq!(request(server.address(), "GET", path).status, 200, "{path}");
    }
    let text = request(server.address(), "GET", "/metrics").body;
    drop(open);
    text
}

/// Names with their types.
fn types(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    lines.collect()
}

/// Series, which are names with labels, and their values.
fn series(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).collect()
}

/// For each name the labels its series have.
fn labels(text: &str) -> BTreeMap<&str, BTreeSet<Vec<&str>>> {
    let mut found: BTreeMap<&str, BTreeSet<Vec<&str>>> = BTreeMap::new();
    for series in series(text).into_keys() {
        let (name, rest) = series.split_once('{').unwrap_or((series, ""));
        let names = rest.split("=\"").map(|part| part.rsplit(['"', ',']).next().unwrap_or(part));
        found.entry(name).or_default().insert(names.filter(|name| *name != "}").collect());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_etcds_in_name_type_labels_and_what_they_count() {
    let Some(folder) = reference::folder() else { return };
    let theirs = scraped(&Kind::Reference(folder)).await;
    let ours = scraped(&Kind::Ours).await;
    let mut faults = Vec::new();
    let (known, got) = (types(&theirs), types(&ours));
    for (name, kind) in &known {
        let absent = ABSENT.iter().any(|(beginning, _)| name.starts_with(beginning));
        match got.get(name) {
            None if absent => {}
            None => faults.push(format!("{name} is missing")),
            Some(_) if absent => faults.push(format!("{name} is there: no need to excuse it")),
            Some(ours) if ours != kind => faults.push(format!("{name} is a {ours}, not a {kind}")),
            Some(_) => {}
        }
    }
    for (beginning, _) in ABSENT {
        if !known.keys().any(|name| name.starts_with(beginning)) {
            faults.push(format!("{beginning} is excused and nobody asks for it"));
        }
    }
    for name in got.keys().filter(|name| !known.contains_key(*name)) {
        if !name.starts_with("etcd_rs_") {
            faults.push(format!("{name} is not etcd's and has not our prefix"));
        }
    }
    let (known, got) = (labels(&theirs), labels(&ours));
    for (name, labels) in got.iter().filter(|(name, _)| known.contains_key(*name)) {
        if known[name] != *labels {
            faults.push(format!("{name} has labels {labels:?}, not {:?}", known[name]));
        }
    }
    let got = series(&ours);
    for (series, value) in series(&theirs) {
        let compared = EQUAL.iter().any(|beginning| series.starts_with(beginning));
        if compared && !is_exempt(series) && got.get(series) != Some(&value) {
            faults.push(format!("{series} is {:?}, not {value}", got.get(series)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
