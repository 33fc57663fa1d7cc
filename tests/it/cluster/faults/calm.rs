//! Troubles of one member that are no reason for an election.

use super::disk::on_slow_disks;
use super::{Trial, last, others};
use crate::support::cluster::{Cluster, Plan};

/// Milliseconds; long enough that a loaded machine alone makes no election.
const ELECTION: u32 = 1_500;
/// Times the election timeout, so that the member had every reason to want one.
const AWAY: u64 = 3 * ELECTION as u64;

/// The term and who leads.
async fn reign(cluster: &Cluster) -> (u64, usize) {
    (cluster.term().await, cluster.leader().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_comes_back_makes_no_election() {
    let mut trial = Trial::start(Plan::of(3).on_a_network().paced(100, ELECTION)).await;
    let before = reign(&trial.cluster).await;
    trial
        .endures("cut-off-follower", async |cluster, _, _| {
            let follower = cluster.follower().await;
            cluster.network().part(&[follower], &others(cluster, follower));
            last(AWAY).await;
            cluster.network().heal();
        })
        .await;
    assert_eq!(reign(&trial.cluster).await, before, "after a cut");
    trial
        .endures("paused-follower", async |cluster, _, _| {
            let follower = cluster.follower().await;
            cluster.pause(follower);
            last(AWAY).await;
            cluster.resume(follower);
        })
        .await;
    assert_eq!(reign(&trial.cluster).await, before, "after a pause");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_on_a_slow_disk_makes_no_election() {
    let Some(plan) = on_slow_disks(Plan::of(3).paced(100, ELECTION)) else { return };
    let mut trial = Trial::start(plan).await;
    let before = reign(&trial.cluster).await;
    trial
        .endures("slow-follower", async |cluster, workload, _| {
            let follower = cluster.follower().await;
            let rules = cluster.members[follower].home().join("rules");
            std::fs::write(&rules, format!("sync .wal slow {}", 2 * ELECTION)).unwrap();
            workload.progress(60).await;
            last(AWAY).await;
            std::fs::remove_file(&rules).unwrap();
        })
        .await;
    assert_eq!(reign(&trial.cluster).await, before);
}
