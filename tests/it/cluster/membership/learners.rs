//! A learner that gets a vote.

use tonic::Code;

use super::{promote, told};
use crate::support::cluster::requests::{move_leader, put, refusal};
use crate::support::cluster::{Cluster, Plan, accepted, add};
use crate::support::wait::comes_true;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_gets_a_vote_once_it_has_caught_up() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let client = cluster.client(leader);
    for number in 0..200 {
        put(&client, &format!("key/{number}"), "v").await;
    }
    let added = cluster.add(leader, true).await;
    let late = told(
        Code::FailedPrecondition,
        "can only promote a learner member which is in sync with leader",
    );
    assert_eq!(refusal(promote(&client, added.id).await), late);
    assert_eq!(refusal(promote(&cluster.client(follower), added.id).await), late);

    cluster.restart(added.place).await;
    assert!(cluster.status(added.place).await.is_learner);
    // A follower passes it on to the leader.
    let client = cluster.client(follower);
    let listed =
        comes_true("the learner to catch up", async || match promote(&client, added.id).await {
            Err(status) if status.message() == late.1 => None,
            answer => accepted(answer),
        })
        .await;
    let entry = listed.iter().find(|entry| entry.id == added.id).unwrap();
    assert!(!entry.is_learner, "{entry:?}");
    comes_true("the member to know of its vote", async || {
        (!cluster.status(added.place).await.is_learner).then_some(())
    })
    .await;
    let again = told(Code::FailedPrecondition, "can only promote a learner member");
    assert_eq!(refusal(promote(&client, added.id).await), again);
    put(&cluster.members[added.place].client, "voter", "1").await;
    cluster.same_everywhere().await;

    // Its vote counts, and it may lead.
    move_leader(&cluster.members[leader].client, added.id).await.unwrap();
    assert_eq!(cluster.leader().await, added.place);
    cluster.kill(leader);
    cluster.leader().await;
    put(&cluster.members[follower].client, "three of four", "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_as_many_learners_as_the_flag_says() {
    let plan = Plan::of(1).flags(&["--max-learners=2"]);
    let mut cluster = Cluster::start(plan).await;
    for _ in 0..2 {
        cluster.add(0, true).await;
    }
    let many = add(&cluster.client(0), &["http://127.0.0.1:1"], true).await;
    let words = "too many learner members in cluster";
    assert_eq!(refusal(many), told(Code::FailedPrecondition, words));
    assert_eq!(cluster.list(0).await.len(), 3);
}
