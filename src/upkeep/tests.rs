//! Upkeep of a real member.

use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::{Lessor, LessorParts, QuotaParts, QuotaWatch, TimeLeft, publish};
use crate::consensus::Settings;
use crate::consensus::tests::{Running, put};
use crate::proto::etcdserverpb::{
    AlarmType, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest,
};
use crate::proto::internal::request::Op;
use crate::types::clock::Clock;
use crate::types::ids::LeaseId;

fn lessor(running: &Running) -> Lessor {
    Lessor::start(LessorParts {
        reader: running.reader.clone(),
        proposer: running.node.proposer(),
        linear: running.node.linear(),
        node: running.node.clone(),
        election: Duration::from_millis(100),
        checkpoint: false,
        supervisor: running.supervisor.clone(),
        registry: running.registry.clone(),
        clock: Clock,
    })
}

async fn propose(running: &Running, op: Op) {
    let outcome = running.node.proposer().propose(op).await.unwrap();
    assert!(outcome.result.is_ok(), "{outcome:?}");
}

async fn grant(running: &Running, id: i64, ttl: i64) {
    propose(running, Op::LeaseGrant(LeaseGrantRequest { id, ttl })).await;
}

/// Waits until the revision reaches `revision`.
async fn reached(running: &Running, revision: i64) {
    let mut published = running.reader.events().revisions();
    let wait = published.wait_for(|now| *now >= revision);
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_not_renewed_ends_and_takes_its_keys_along() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let lessor = lessor(&running);
    grant(&running, 7, 2).await;
    grant(&running, 8, 100).await;
    for key in ["a", "b"] {
        let put = PutRequest { key: key.into(), lease: 7, ..Default::default() };
        propose(&running, Op::Put(put)).await;
    }
    assert_eq!(lessor.list(), [LeaseId(7), LeaseId(8)]);
    assert_eq!(lessor.renew(LeaseId(7)).await, Ok(2));
    let left = lessor.remaining(LeaseId(8)).await.unwrap().unwrap();
    assert!(left.granted == 100 && left.seconds >= 98, "{left:?}");
    // Both keys go in one revision, the one after the two puts.
    reached(&running, 4).await;
    let all = RangeRequest { key: "a".into(), range_end: Bytes::from("z"), ..Default::default() };
    assert_eq!(running.reader.range(&all).unwrap().count, 0);
    assert_eq!(running.reader.revision(), 4);
    assert_eq!(lessor.renew(LeaseId(7)).await, Ok(0));
    assert_eq!(lessor.remaining(LeaseId(7)).await, Ok(None));
    assert_eq!(lessor.list(), [LeaseId(8)]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_of_an_ended_lease_is_answered_once_it_is_revoked() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let lessor = lessor(&running);
    grant(&running, 7, 2).await;
    loop {
        let left = lessor.remaining(LeaseId(7)).await.unwrap();
        if left == Some(TimeLeft { seconds: 0, granted: 2 }) || left.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    // Within the last second it may still be renewed once; after that it ends for good.
    while lessor.renew(LeaseId(7)).await.unwrap() != 0 {
        reached(&running, 1).await;
        propose(&running, Op::LeaseRevoke(LeaseRevokeRequest { id: 7 })).await;
    }
    assert!(running.reader.lease(LeaseId(7)).is_none());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_survive_a_restart_with_their_full_time() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    grant(&running, 7, 50).await;
    running.stop().await;
    let running = Running::start(dir.path(), Settings::default()).await;
    let lessor = lessor(&running);
    let left = lessor.remaining(LeaseId(7)).await;
    assert!(matches!(left, Ok(Some(TimeLeft { granted: 50, seconds: 48.. }))), "{left:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_lack_of_space_raises_the_alarm_once() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let watch = QuotaWatch::start(QuotaParts {
        id: running.node.id(),
        reader: running.reader.clone(),
        proposer: running.node.proposer(),
        supervisor: running.supervisor.clone(),
        registry: running.registry.clone(),
    });
    let entries = running.node.status().applied;
    watch.refused();
    watch.refused();
    let raised = || running.reader.alarms().list(AlarmType::Nospace);
    while raised().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(raised()[0].member_id, running.node.id().0);
    watch.refused();
    let nothing = DeleteRangeRequest { key: "k".into(), ..Default::default() };
    propose(&running, Op::DeleteRange(nothing)).await;
    assert!(running.node.status().applied <= entries + 2, "the alarm was raised again");
    running.stop().await;
}

async fn decide(running: &Running) {
    let Running { node, reader, supervisor, .. } = running;
    let leadership = node.leadership();
    publish::cluster_version(node.proposer(), reader.clone(), leadership, supervisor)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_publishes_itself_and_the_cluster_version() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let (proposer, id) = (running.node.proposer(), running.node.id());
    let urls = ["http://localhost:2379".to_owned()];
    publish::attributes(&proposer, id, "default", &urls).await.unwrap();
    decide(&running).await;
    let members = running.reader.members();
    assert_eq!(members.get(id).map(|one| one.name.as_str()), Some("default"));
    assert_eq!(members.cluster_version(), Some("3.5.0"));
    let applied = running.node.status().applied;
    decide(&running).await;
    assert_eq!(running.node.status().applied, applied, "decided once");
    let _ = proposer.propose(put("k", "v")).await.unwrap();
    running.stop().await;
}
