//! Processes that end, with and without warning.

use super::{Trial, others, rounds};
use crate::support::cluster::requests::move_leader;
use crate::support::cluster::{Cluster, Plan};
use crate::support::wait::comes_true;

/// Writes that must go on while a minority is away.
const MEANWHILE: usize = 40;

/// Starts members that are away and waits until all of them serve.
async fn start_again(cluster: &mut Cluster, places: &[usize]) {
    places.iter().for_each(|place| cluster.launch(*place));
    for place in places {
        cluster.wait_ready(*place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_members_cost_nothing_that_was_acknowledged() {
    let mut trial = Trial::start(Plan::of(3)).await;
    for _ in 0..rounds() {
        trial
            .endures("kill-follower", async |cluster, workload, _| {
                let follower = cluster.follower().await;
                cluster.kill(follower);
                workload.progress(MEANWHILE).await;
                cluster.restart(follower).await;
            })
            .await;
        trial
            .endures("kill-leader", async |cluster, workload, _| {
                let leader = cluster.leader().await;
                cluster.kill(leader);
                workload.progress(MEANWHILE).await;
                cluster.restart(leader).await;
            })
            .await;
        trial
            .endures("kill-majority", async |cluster, _, random| {
                let spared = cluster.leader().await;
                let spared = if random.chance(500) { spared } else { (spared + 1) % 3 };
                let killed = others(cluster, spared);
                killed.iter().for_each(|place| cluster.kill(*place));
                start_again(cluster, &killed).await;
            })
            .await;
        trial
            .endures("kill-all", async |cluster, _, _| {
                (0..3).for_each(|place| cluster.kill(place));
                start_again(cluster, &[0, 1, 2]).await;
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_restarted_one_after_the_other_interrupt_nobody_for_long() {
    let mut trial = Trial::start(Plan::of(3).with_mutual_tls()).await;
    for _ in 0..rounds() {
        trial
            .endures("rolling-restart", async |cluster, workload, _| {
                for place in 0..3 {
                    cluster.stop(place);
                    workload.progress(MEANWHILE).await;
                    cluster.restart(place).await;
                }
            })
            .await;
    }
}

/// A leader that hands over, as one does that stops, is missed by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_that_moves_interrupts_nobody_for_long() {
    let mut trial = Trial::start(Plan::of(3)).await;
    for _ in 0..rounds() {
        trial
            .endures("move-leader", async |cluster, workload, _| {
                for _ in 0..3 {
                    let next = cluster.follower().await;
                    let target = cluster.id(next).await;
                    comes_true("leadership to move", async || {
                        let leader = cluster.leader().await;
                        move_leader(&cluster.members[leader].client, target).await.ok()
                    })
                    .await;
                    workload.progress(MEANWHILE).await;
                }
            })
            .await;
    }
}
