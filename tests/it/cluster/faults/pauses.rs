//! Processes that stand still and go on without having noticed.

use super::{Trial, last, others, rounds};
use crate::support::cluster::{Cluster, Plan};

const SHORTEST: u64 = 100;
/// In a single round; in more of them up to [`LONGEST`].
const SHORT: u64 = 3_000;
const LONGEST: u64 = 30_000;

fn length(random: &mut crate::support::random::Random) -> u64 {
    let longest = if rounds() == 1 { SHORT } else { LONGEST };
    SHORTEST + random.below(longest - SHORTEST)
}

async fn pause(cluster: &mut Cluster, places: &[usize], milliseconds: u64) {
    places.iter().for_each(|place| cluster.pause(*place));
    last(milliseconds).await;
    places.iter().for_each(|place| cluster.resume(*place));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stood_still_tells_nothing_old() {
    let mut trial = Trial::start(Plan::of(3)).await;
    for _ in 0..rounds() {
        trial
            .endures("pause-leader", async |cluster, _, random| {
                let leader = cluster.leader().await;
                pause(cluster, &[leader], length(random)).await;
            })
            .await;
        trial
            .endures("pause-leader-until-replaced", async |cluster, workload, _| {
                let leader = cluster.leader().await;
                cluster.pause(leader);
                cluster.leader().await;
                workload.progress(40).await;
                cluster.resume(leader);
            })
            .await;
        trial
            .endures("pause-all-but-leader", async |cluster, _, random| {
                let leader = cluster.leader().await;
                let rest = others(cluster, leader);
                pause(cluster, &rest, length(random)).await;
            })
            .await;
    }
}
