//! Changes that would cost the cluster its quorum, or make no sense.

use tonic::Code;

use super::{promote, remove, remove_at_last, told};
use crate::support::cluster::requests::{put, refusal};
use crate::support::cluster::{Cluster, Plan, add};
use crate::support::wait::comes_true;

/// etcd tells this one with the code of an unknown failure; clients look at the words.
const NOT_ENOUGH: &str = "re-configuration failed due to not enough started members";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_refused() {
    let cluster = Cluster::start(Plan::of(3)).await;
    let client = cluster.client(0);
    let listed = cluster.list(0).await;
    let bad = told(Code::InvalidArgument, "given member URLs are invalid");
    let wrong: [&[&str]; 5] = [
        &[],
        &["127.0.0.1:2380"],
        &["http://127.0.0.1"],
        &["ftp://127.0.0.1:2380"],
        &["http://127.0.0.1:2380/path"],
    ];
    for urls in wrong {
        assert_eq!(refusal(add(&client, urls, false).await), bad, "{urls:?}");
    }
    let taken = cluster.members[2].peer_url();
    let exists = told(Code::FailedPrecondition, "Peer URLs already exists");
    for is_learner in [false, true] {
        comes_true("the cluster to be quiet long enough", async || {
            let answer = refusal(add(&client, &[&taken], is_learner).await);
            if answer.1 == "etcdserver: unhealthy cluster" {
                return None;
            }
            assert_eq!(answer, exists);
            Some(())
        })
        .await;
    }
    let voter = cluster.id(1).await;
    let refused = told(Code::FailedPrecondition, "can only promote a learner member");
    assert_eq!(refusal(promote(&client, voter).await), refused);
    assert_eq!(cluster.list(0).await, listed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_member_stays() {
    let cluster = Cluster::start(Plan::of(1)).await;
    let refused = remove(&cluster.client(0), cluster.id(0).await).await;
    assert_eq!(refusal(refused), told(Code::Unknown, NOT_ENOUGH));
    put(&cluster.members[0].client, "still", "here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_added_one_after_the_other_is_there() {
    let mut cluster = Cluster::start(Plan::of(1)).await;
    let second = cluster.add(0, false).await;
    // One of two is no quorum: nothing can be agreed on before the second is there.
    let client = cluster.client(0);
    let refused = add(&client, &["http://127.0.0.1:1"], false).await;
    assert_eq!(refusal(refused), told(Code::Unknown, NOT_ENOUGH));
    cluster.restart(second.place).await;
    put(&cluster.members[second.place].client, "two", "1").await;
    let third = cluster.add(second.place, false).await;
    // Two of three are started, three of four would be needed for a fourth.
    let refused = comes_true("the cluster to be quiet long enough", async || {
        let answer = refusal(add(&client, &["http://127.0.0.1:1"], false).await);
        (answer.1 != "etcdserver: unhealthy cluster").then_some(answer)
    })
    .await;
    assert_eq!(refused, told(Code::Unknown, NOT_ENOUGH));
    // Whoever was never there may go.
    assert_eq!(remove_at_last(&cluster, 0, third.id).await.len(), 2);
    put(&cluster.members[0].client, "still two", "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_member_away_nobody_is_added_and_only_that_one_may_go() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let (leader, away) = (cluster.leader().await, cluster.follower().await);
    let (id, kept) = (cluster.id(away).await, cluster.id(3 - leader - away).await);
    let client = cluster.client(leader);
    // Long enough for every member to have been seen by all.
    let fourth = cluster.add(leader, true).await;
    remove_at_last(&cluster, leader, fourth.id).await;
    cluster.kill(away);
    let unhealthy = told(Code::Unavailable, "unhealthy cluster");
    // An address that is taken is refused in any case, so that asking changes nothing.
    let taken = cluster.members[leader].peer_url();
    comes_true("the member to be missed", async || {
        (refusal(add(&client, &[&taken], false).await) == unhealthy).then_some(())
    })
    .await;
    assert_eq!(refusal(remove(&client, kept).await), unhealthy);
    for is_learner in [false, true] {
        let refused = add(&client, &["http://127.0.0.1:1"], is_learner).await;
        assert_eq!(refusal(refused), unhealthy);
    }
    assert_eq!(remove_at_last(&cluster, leader, id).await.len(), 2);
    put(&client, "two of two", "1").await;
}
