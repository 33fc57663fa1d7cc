//! A member that is removed and comes back as a new one while clients write.

use super::{Trial, rounds};
use crate::cluster::membership::remove_at_last;
use crate::support::cluster::{Plan, accepted, add};
use crate::support::wait::comes_true;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_replaced_under_load() {
    let mut trial = Trial::start(Plan::of(3)).await;
    for _ in 0..rounds() {
        trial
            .endures("replace-member", async |cluster, workload, _| {
                let (leader, leaving) = (cluster.leader().await, cluster.follower().await);
                let (client, id) = (cluster.client(leader), cluster.id(leaving).await);
                remove_at_last(cluster, leader, id).await;
                let status = cluster.members[leaving].wait_end();
                assert_eq!(status.code(), Some(0), "{status}");
                workload.progress(40).await;
                std::fs::remove_dir_all(cluster.members[leaving].data()).unwrap();
                let url = cluster.members[leaving].peer_url();
                let added = comes_true("the cluster to take a member", async || {
                    accepted(add(&client, &[&url], false).await)
                })
                .await;
                cluster.joins(leaving, &added.members);
                cluster.restart(leaving).await;
            })
            .await;
    }
}
