//! Members that leave.

use tonic::Code;

use super::{remove, remove_at_last, told};
use crate::support::cluster::requests::{get, put, refusal};
use crate::support::cluster::{Cluster, Plan};

const REMOVED: &str = "the member has been permanently removed from the cluster";

/// The process of a removed member ends in order, and says why.
pub(super) fn ends_in_order(cluster: &mut Cluster, place: usize) {
    let member = &mut cluster.members[place];
    let status = member.wait_end();
    assert_eq!(status.code(), Some(0), "{status}\n{}", member.output().join("\n"));
    let said = member.output().iter().any(|line| line.contains(REMOVED));
    assert!(said, "{}", member.output().join("\n"));
}

/// A leader that left had another one lead before, so that none was missed.
pub(super) fn hands_over_first(cluster: &Cluster, place: usize) {
    let output = cluster.members[place].output();
    let line = |text: &str| output.iter().position(|line| line.contains(text));
    let (handed, removed) = (line("leadership transferred"), line(REMOVED));
    assert!(handed.is_some() && handed < removed, "{}", output.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_follower_ends_by_itself_and_comes_back_only_as_somebody_new() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let (leader, leaving) = (cluster.leader().await, cluster.follower().await);
    let (client, id) = (cluster.client(leader), cluster.id(leaving).await);
    put(&client, "before", "1").await;
    let left = remove_at_last(&cluster, leader, id).await;
    assert!(left.len() == 2 && left.iter().all(|entry| entry.id != id), "{left:?}");
    ends_in_order(&mut cluster, leaving);
    put(&client, "without", "1").await;
    assert_eq!(refusal(remove(&client, id).await), told(Code::NotFound, "member not found"));

    // On its old data it learns again that it is gone.
    cluster.launch(leaving);
    ends_in_order(&mut cluster, leaving);
    assert_eq!(cluster.list(leader).await, left);

    // At the same place, with nothing of the old, it is a new member.
    std::fs::remove_dir_all(cluster.members[leaving].data()).unwrap();
    let url = cluster.members[leaving].peer_url();
    let added = crate::support::wait::comes_true("the cluster to take it back", async || {
        let answer = crate::support::cluster::add(&client, &[&url], false).await;
        crate::support::cluster::accepted(answer)
    })
    .await;
    let new = added.member.unwrap().id;
    assert_ne!(new, id, "an id is never used again");
    cluster.joins(leaving, &added.members);
    cluster.restart(leaving).await;
    assert_eq!(cluster.id(leaving).await, new);
    assert_eq!(get(&cluster.members[leaving].client, "before").await.as_deref(), Some("1"));
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_leader_ends_by_itself_and_another_one_leads() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let leaving = cluster.leader().await;
    let (through, id) = (cluster.follower().await, cluster.id(leaving).await);
    put(&cluster.members[leaving].client, "before", "1").await;
    let left = remove_at_last(&cluster, through, id).await;
    assert_eq!(left.len(), 2, "{left:?}");
    ends_in_order(&mut cluster, leaving);
    hands_over_first(&cluster, leaving);
    let leader = cluster.leader().await;
    assert_ne!(leader, leaving);
    let client = cluster.client(through);
    assert_eq!(get(&client, "before").await.as_deref(), Some("1"));
    put(&client, "after", "1").await;
    // Both that are left have votes, and nobody else.
    let other = cluster.running().into_iter().find(|place| *place != through).unwrap();
    cluster.same_everywhere().await;
    let id = cluster.id(other).await;
    remove_at_last(&cluster, through, id).await;
    ends_in_order(&mut cluster, other);
    assert_eq!(cluster.leader().await, through);
    put(&client, "alone", "1").await;
    assert_eq!(cluster.list(through).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_that_was_away_is_told_when_it_comes_back() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let (leader, leaving) = (cluster.leader().await, cluster.follower().await);
    let id = cluster.id(leaving).await;
    cluster.kill(leaving);
    remove_at_last(&cluster, leader, id).await;
    let term = cluster.term().await;
    cluster.launch(leaving);
    ends_in_order(&mut cluster, leaving);
    put(&cluster.members[leader].client, "after", "1").await;
    assert_eq!(cluster.term().await, term, "it disturbed nobody");
}
