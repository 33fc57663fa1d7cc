//! A new member that takes the place of an old one, in one step.

use etcd::client::Client;
use etcd::proto::members::{ReplaceRequest, ReplaceResponse};
use tonic::{Code, Status};

use super::removal::{ends_in_order, hands_over_first};
use super::{promote, told};
use crate::support::cluster::requests::{answer, get, put, refusal};
use crate::support::cluster::{Cluster, Plan, accepted};
use crate::support::wait::comes_true;

/// A member that was added to take the place of another; not started yet.
struct Replacement {
    place: usize,
    id: u64,
    old: u64,
}

async fn replace(client: &Client, id: u64, url: &str) -> Result<ReplaceResponse, Status> {
    let request = ReplaceRequest { id, peer_urls: vec![url.to_owned()] };
    answer(client.members().replace(request)).await
}

/// Asks until the cluster is quiet enough.
async fn begin(cluster: &mut Cluster, through: usize, old: u64) -> Replacement {
    let place = cluster.prepare();
    let url = cluster.members[place].peer_url();
    let client = cluster.client(through);
    let told = comes_true("the cluster to take the new member", async || {
        accepted(replace(&client, old, &url).await)
    })
    .await;
    cluster.joins(place, &told.members);
    let new = told.member.unwrap();
    assert!(new.is_learner && told.members.iter().any(|member| member.id == old), "{new:?}");
    Replacement { place, id: new.id, old }
}

/// Waits until a member knows that one has taken the place of the other.
async fn done(cluster: &Cluster, through: usize, replacement: &Replacement) {
    comes_true("the new member to take its place", async || {
        let listed = cluster.list(through).await;
        let new = listed.iter().find(|member| member.id == replacement.id).unwrap();
        let gone = listed.iter().all(|member| member.id != replacement.old);
        assert!(!gone || listed.len() == 3, "{listed:?}");
        (gone && !new.is_learner).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_member_is_replaced_once_the_new_one_has_caught_up() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let (leader, dead) = (cluster.leader().await, cluster.follower().await);
    let third = (0..3).find(|place| ![leader, dead].contains(place)).unwrap();
    let old = cluster.id(dead).await;
    for number in 0..200 {
        put(&cluster.members[leader].client, &format!("key/{number}"), "v").await;
    }
    cluster.kill(dead);
    let replacement = begin(&mut cluster, third, old).await;
    // Nothing has changed for the voters: a majority of the three is enough, and is needed.
    let late = told(
        Code::FailedPrecondition,
        "can only promote a learner member which is in sync with leader",
    );
    let client = cluster.client(leader);
    assert_eq!(refusal(promote(&client, replacement.id).await), late);
    assert_eq!(cluster.list(leader).await.iter().filter(|member| !member.is_learner).count(), 3);

    cluster.restart(replacement.place).await;
    done(&cluster, leader, &replacement).await;
    let new = &cluster.members[replacement.place].client;
    comes_true("the new member to serve as a voter", async || {
        (!cluster.status(replacement.place).await.is_learner).then_some(())
    })
    .await;
    assert_eq!(get(new, "key/199").await.as_deref(), Some("v"));
    cluster.launch(dead);
    ends_in_order(&mut cluster, dead);

    // Two of the three that are left are a majority, the new one among them.
    cluster.kill(third);
    put(&cluster.members[replacement.place].client, "two of three", "1").await;
    cluster.restart(third).await;
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_is_replaced_and_another_one_leads() {
    let mut cluster = Cluster::start(Plan::of(3).with_mutual_tls()).await;
    let (leader, through) = (cluster.leader().await, cluster.follower().await);
    put(&cluster.members[leader].client, "before", "1").await;
    let old = cluster.id(leader).await;
    let replacement = begin(&mut cluster, through, old).await;
    cluster.restart(replacement.place).await;
    ends_in_order(&mut cluster, leader);
    hands_over_first(&cluster, leader);
    done(&cluster, through, &replacement).await;
    cluster.leader().await;
    put(&cluster.members[replacement.place].client, "after", "1").await;
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_member_is_replaced() {
    let mut cluster = Cluster::start(Plan::of(1)).await;
    put(&cluster.members[0].client, "before", "1").await;
    let old = cluster.id(0).await;
    let place = begin(&mut cluster, 0, old).await.place;
    cluster.restart(place).await;
    ends_in_order(&mut cluster, 0);
    cluster.leader().await;
    let client = &cluster.members[place].client;
    assert_eq!(get(client, "before").await.as_deref(), Some("1"));
    put(client, "after", "1").await;
    assert_eq!(cluster.list(place).await.len(), 1);
}

/// The new leader knows from the log what the old one was about to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_outlives_the_leader_that_began_it() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let (leader, leaving) = (cluster.leader().await, cluster.follower().await);
    let old = cluster.id(leaving).await;
    let replacement = begin(&mut cluster, leader, old).await;
    cluster.kill(leader);
    let next = cluster.leader().await;
    cluster.restart(leader).await;
    cluster.restart(replacement.place).await;
    ends_in_order(&mut cluster, leaving);
    done(&cluster, if next == leaving { leader } else { next }, &replacement).await;
    cluster.same_everywhere().await;
}

/// Both configurations are valid then, and only the new one must be left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_dies_between_the_two_configurations_leaves_the_rest_to_the_next() {
    let mut cluster = Cluster::found(Plan::of(3));
    for place in 0..3 {
        cluster.members[place].by = vec!["env".into(), "FAIL_POINT=members-joint:1".into()];
        cluster.launch(place);
    }
    for place in 0..3 {
        cluster.wait_ready(place).await;
    }
    let (leader, leaving) = (cluster.leader().await, cluster.follower().await);
    let old = cluster.id(leaving).await;
    let replacement = begin(&mut cluster, leader, old).await;
    cluster.restart(replacement.place).await;
    cluster.members[leader].wait_end();
    let died = "fail point members-joint reached".to_owned();
    assert!(cluster.members[leader].output().contains(&died));
    cluster.members[leader].by.clear();
    cluster.restart(leader).await;
    ends_in_order(&mut cluster, leaving);
    done(&cluster, leader, &replacement).await;
    put(&cluster.members[replacement.place].client, "after", "1").await;
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacements_that_make_no_sense_are_refused() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let client = cluster.client(leader);
    let (id, own) = (cluster.id(follower).await, cluster.members[0].peer_url());
    let free = "http://127.0.0.1:1";
    let unknown = told(Code::NotFound, "member not found");
    assert_eq!(refusal(replace(&client, 1, free).await), unknown);
    let bad = told(Code::InvalidArgument, "given member URLs are invalid");
    assert_eq!(refusal(replace(&client, id, "127.0.0.1:1").await), bad);
    let taken = comes_true("the cluster to be quiet", async || {
        let refused = refusal(replace(&client, id, &own).await);
        (refused.1 != "etcdserver: unhealthy cluster").then_some(refused)
    })
    .await;
    assert_eq!(taken, told(Code::FailedPrecondition, "Peer URLs already exists"));

    let learner = cluster.add(leader, true).await;
    let voteless = told(Code::FailedPrecondition, "can only replace a voting member");
    assert_eq!(refusal(replace(&client, learner.id, free).await), voteless);
    let many = told(Code::FailedPrecondition, "too many learner members in cluster");
    assert_eq!(refusal(replace(&client, id, free).await), many);
    super::remove_at_last(&cluster, leader, learner.id).await;

    // Whoever is not replaced must be there.
    let third = (0..3).find(|place| ![leader, follower].contains(place)).unwrap();
    cluster.kill(third);
    comes_true("its absence to be noticed", async || {
        let refused = refusal(replace(&client, id, &own).await);
        (refused == told(Code::Unavailable, "unhealthy cluster")).then_some(())
    })
    .await;
}
