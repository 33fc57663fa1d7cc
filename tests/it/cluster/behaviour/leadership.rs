//! Who leads, and how that is handed over.

use tonic::Code;

use crate::support::cluster::Cluster;
use crate::support::cluster::requests::{move_leader, put, refusal};
use crate::support::wait::comes_true;

pub(super) async fn every_member_names_the_same_leader(cluster: &Cluster) {
    let leader = cluster.leader().await;
    let (id, term) = (cluster.id(leader).await, cluster.term().await);
    for place in 0..cluster.members.len() {
        let status = cluster.status(place).await;
        assert_eq!((status.leader, status.raft_term), (id, term));
        assert!(!status.is_learner && status.errors.is_empty(), "{status:?}");
        assert!(status.raft_applied_index > 0 && status.raft_applied_index <= status.raft_index);
    }
}

/// Hands leadership to the member after the leader and tells whether there was one.
pub(super) async fn hand_over(cluster: &Cluster) -> bool {
    let leader = cluster.leader().await;
    let next = (leader + 1) % cluster.members.len();
    let target = cluster.id(next).await;
    let term = cluster.term().await;
    move_leader(&cluster.members[leader].client, target).await.unwrap();
    // Whoever handed over knows when it answers; the others learn it by the next heartbeat.
    assert_eq!(cluster.status(leader).await.leader, target);
    assert_eq!(cluster.leader().await, next);
    let moved = next != leader;
    assert_eq!(cluster.term().await > term, moved);
    moved
}

pub(super) async fn leadership_moves_where_it_is_told_to(cluster: &Cluster) {
    for _ in &cluster.members {
        hand_over(cluster).await;
        for member in &cluster.members {
            put(&member.client, "led", &member.name).await;
        }
    }
}

/// A follower says that it does not lead; the leader says whom it does not know.
pub(super) async fn only_the_leader_hands_over(cluster: &Cluster) {
    let leader = cluster.leader().await;
    let id = cluster.id(leader).await;
    let not_leader = (Code::FailedPrecondition, "etcdserver: not leader".to_owned());
    for (place, member) in cluster.members.iter().enumerate().filter(|(place, _)| *place != leader)
    {
        let own = cluster.id(place).await;
        for target in [id, own, 7] {
            assert_eq!(refusal(move_leader(&member.client, target).await), not_leader);
        }
    }
    let bad = (Code::FailedPrecondition, "etcdserver: bad leader transferee".to_owned());
    assert_eq!(refusal(move_leader(&cluster.members[leader].client, 7).await), bad);
    let term = cluster.term().await;
    move_leader(&cluster.members[leader].client, id).await.unwrap();
    assert_eq!(cluster.term().await, term, "it leads already");
    comes_true("the leader to be the same", async || {
        (cluster.leader().await == leader).then_some(())
    })
    .await;
}
