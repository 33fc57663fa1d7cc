//! Watches, opened at every member.

use etcd::client::Client;
use etcd::proto::etcdserverpb::{
    CompactionRequest, RangeRequest, TxnRequest, WatchCreateRequest, WatchResponse,
};
use etcd::proto::mvccpb::Event;
use tonic::Code;

use crate::support::cluster::Cluster;
use crate::support::cluster::requests::{
    answer, delete, end, one, put, put_op, range, refusal, txn,
};
use crate::support::session::{WatchSession, opening};

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

/// A watch over everything that begins so, from a revision on; 0 is from now on.
pub(super) fn from(prefix: &str, start_revision: i64) -> WatchCreateRequest {
    WatchCreateRequest {
        key: prefix.to_owned().into(),
        range_end: end(prefix),
        start_revision,
        ..WatchCreateRequest::default()
    }
}

/// Opens such a watch; it is there when this returns.
pub(super) async fn open(client: &Client, request: WatchCreateRequest) -> WatchSession {
    let mut watch = WatchSession::over(client);
    watch.send(opening(request)).await;
    assert!(watch.next().await.created);
    watch
}

/// What an event says, short.
fn told(event: &Event) -> String {
    let kv = event.kv.as_ref().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let kind = if event.r#type == 0 { "put" } else { "delete" };
    format!("{} {kind} {}={}", kv.mod_revision, text(&kv.key), text(&kv.value))
}

fn check_whole(response: &WatchResponse, before: i64) -> i64 {
    let revisions: Vec<i64> =
        response.events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision).collect();
    assert!(revisions.is_sorted(), "{revisions:?} in one response");
    assert!(revisions.first().is_none_or(|first| *first > before), "{revisions:?} after {before}");
    revisions.last().copied().unwrap_or(before)
}

/// The next events, until there are so many.
async fn events(watch: &mut WatchSession, count: usize) -> Vec<String> {
    let (mut told_so_far, mut newest) = (Vec::new(), 0);
    while told_so_far.len() < count {
        let response = watch.next().await;
        assert!(!response.canceled, "{response:?}");
        newest = check_whole(&response, newest);
        told_so_far.extend(response.events.iter().map(told));
    }
    assert_eq!(told_so_far.len(), count, "{told_so_far:?}");
    told_so_far
}

/// Writes through every member in turn and tells the events that makes.
async fn write_through_all(cluster: &Cluster, prefix: &str) -> Vec<String> {
    let mut expected = Vec::new();
    for (place, member) in cluster.members.iter().enumerate() {
        let (client, key) = (&member.client, format!("{prefix}{place}"));
        let (left, right) = (format!("{key}/l"), format!("{key}/r"));
        let revision = put(client, &key, "1").await;
        let both = vec![put_op(&left, "2"), put_op(&right, "3")];
        txn(client, TxnRequest { success: both, ..TxnRequest::default() }).await;
        assert!(delete(client, &key).await);
        expected.extend([
            format!("{revision} put {key}=1"),
            format!("{} put {left}=2", revision + 1),
            format!("{} put {right}=3", revision + 1),
            format!("{} delete {key}=", revision + 2),
        ]);
    }
    expected
}

/// Live and from history, the events are those of the cluster, in its order.
pub(super) async fn every_member_tells_every_event_in_order(cluster: &Cluster) {
    let mut live = Vec::new();
    for member in &cluster.members {
        live.push(open(&member.client, from("order/", 0)).await);
    }
    let start = range(&cluster.members[0].client, one("x")).await.header.unwrap().revision + 1;
    let expected = write_through_all(cluster, "order/").await;
    for (watch, member) in live.iter_mut().zip(&cluster.members) {
        assert_eq!(events(watch, expected.len()).await, expected, "live at {}", member.name);
        let mut late = open(&member.client, from("order/", start)).await;
        assert_eq!(events(&mut late, expected.len()).await, expected, "late at {}", member.name);
    }
}

/// Whoever has seen events up to a revision at one member goes on after it at any other.
pub(super) async fn a_watch_resumes_at_another_member(cluster: &Cluster) {
    let first = &cluster.members[0].client;
    let mut watch = open(first, from("resume/", 0)).await;
    let before = write_through_all(cluster, "resume/a").await;
    assert_eq!(events(&mut watch, before.len()).await, before);
    drop(watch);
    let seen = range(first, one("x")).await.header.unwrap().revision;
    let after = write_through_all(cluster, "resume/b").await;
    for member in &cluster.members {
        let mut watch = open(&member.client, from("resume/", seen + 1)).await;
        assert_eq!(events(&mut watch, after.len()).await, after, "at {}", member.name);
    }
}

/// What was compacted through one member is gone at each: for readers and for watchers.
pub(super) async fn a_compaction_counts_at_every_member(cluster: &Cluster) {
    let last = &cluster.members.last().unwrap().client;
    put(last, "compacted", "1").await;
    let revision = put(last, "compacted", "2").await;
    let request = CompactionRequest { revision, physical: true };
    answer(last.kv().compact(request)).await.unwrap();
    let first = &cluster.members[0].client;
    let again = answer(first.kv().compact(request)).await;
    assert_eq!(refusal(again), (Code::OutOfRange, COMPACTED.to_owned()));
    for member in &cluster.members {
        // A linearizable read waits until the member has applied the compaction.
        let kept = range(&member.client, RangeRequest { revision, ..one("compacted") }).await;
        assert_eq!(kept.kvs[0].mod_revision, revision);
        let gone = RangeRequest { revision: revision - 1, ..one("compacted") };
        let gone = answer(member.client.kv().range(gone)).await;
        assert_eq!(refusal(gone), (Code::OutOfRange, COMPACTED.to_owned()));
        let mut watch = open(&member.client, from("compacted", revision - 1)).await;
        let ended = watch.next().await;
        assert_eq!((ended.canceled, ended.compact_revision), (true, revision), "{ended:?}");
    }
}
