//! Troubles of one member that are no reason for an election.

use std::time::Duration;

use etcd::types::clock::Clock;

use super::disk::on_slow_disks;
use super::{Trial, last, others};
use crate::support::cluster::requests::put;
use crate::support::cluster::{Cluster, Plan};

/// Milliseconds; long enough that a loaded machine alone makes no election.
const ELECTION: u32 = 1_500;
/// As long as it takes to give a connection up; a busy machine must not look like that.
const PATIENT: u32 = 5_000;
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

/// How long the slowest of some writes takes through members that are there.
async fn slowest(cluster: &Cluster, members: &[usize]) -> Duration {
    let mut slowest = Duration::ZERO;
    for number in 0..40 {
        for member in members {
            let began = Clock.now();
            put(&cluster.members[*member].client, "quick", &number.to_string()).await;
            slowest = slowest.max(began.elapsed());
        }
    }
    slowest
}

/// Whoever waited for the third would wait for as long as it takes to give a connection up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_dead_or_silent_delays_nobody() {
    let mut cluster = Cluster::start(Plan::of(3).on_a_network().paced(500, PATIENT)).await;
    let silent = cluster.follower().await;
    let rest = others(&cluster, silent);
    let limit = Duration::from_millis(u64::from(PATIENT));
    cluster.pause(silent);
    let paused = slowest(&cluster, &rest).await;
    cluster.resume(silent);
    cluster.network().part(&[silent], &rest);
    let cut = slowest(&cluster, &rest).await;
    cluster.network().heal();
    cluster.kill(silent);
    let dead = slowest(&cluster, &rest).await;
    assert!([paused, cut, dead].iter().all(|took| *took < limit), "{paused:?} {cut:?} {dead:?}");
    cluster.restart(silent).await;
    cluster.same_everywhere().await;
}
