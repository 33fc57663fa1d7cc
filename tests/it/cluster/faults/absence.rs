//! A member that was away for so long that the log no longer reaches back, and the state it is sent.

use std::time::Duration;

use etcd::types::clock::Clock;

use super::{Trial, others, rounds};
use crate::cluster::linearizability::Workload;
use crate::support::cluster::requests::put;
use crate::support::cluster::{Cluster, Plan};
use crate::support::http;
use crate::support::wait::eventually;

const FLAGS: [&str; 2] = ["--snapshot-count=50", "--experimental-snapshot-catchup-entries=10"];
/// More than the log keeps.
const MISSED: usize = 250;
/// Values of a megabyte, and what the way of the state is slowed down to: it takes seconds, so that
/// something can happen in the middle.
const LARGE: usize = 48;
const SLOW: Duration = Duration::from_millis(150);
/// How late the receiver hears that a state comes; the others write more meanwhile than the log then keeps.
const LATE: Duration = Duration::from_millis(250);
/// Bytes of the state after which the receiver has some of it, wherever the others are.
const MIDDLE: f64 = (16 << 20) as f64;

/// For so long after a state was sent the log stays whole. Later, a member that misses eleven entries when the
/// log is cut to [`FLAGS`] has a right to another one.
const WHOLE: Duration = Duration::from_secs(30);

/// What a member has counted under a name of another one with this id.
fn counted(cluster: &Cluster, member: usize, name: &str, other: u64) -> f64 {
    let way = if name.contains("receive") { "From" } else { "To" };
    series(cluster, member, &format!("{name}{{{way}=\"{other:x}\"}}")).unwrap_or_default()
}

/// The value of the first series that begins so.
fn series(cluster: &Cluster, member: usize, beginning: &str) -> Option<f64> {
    let address = cluster.members[member].client_address();
    let text = http::request(&address, "GET", "/metrics").body;
    let line = text.lines().find(|line| line.starts_with(beginning))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Lets a follower miss more than the log keeps; tells which.
async fn falls_behind(cluster: &mut Cluster, workload: &Workload) -> usize {
    let away = cluster.follower().await;
    cluster.kill(away);
    workload.progress(MISSED).await;
    away
}

/// Lets a follower miss a large state and come back on a slow way, until it has some of it; tells who
/// sends, who receives, and the id of the second.
async fn half_received(cluster: &mut Cluster, workload: &Workload) -> (usize, usize, u64) {
    let away = cluster.follower().await;
    let id = cluster.id(away).await;
    cluster.kill(away);
    let leader = cluster.leader().await;
    for number in 0..LARGE {
        put(&cluster.members[leader].client, &format!("large{number}"), &"v".repeat(1 << 20)).await;
    }
    workload.progress(MISSED).await;
    let leader = cluster.leader().await;
    cluster.network().delay(leader, away, SLOW);
    let sent =
        |cluster: &Cluster| counted(cluster, leader, "etcd_network_peer_sent_bytes_total", id);
    let before = sent(cluster);
    cluster.launch(away);
    eventually("the state to be half received", || (sent(cluster) > before + MIDDLE).then_some(()));
    (leader, away, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_missed_too_much_gets_a_snapshot() {
    for _ in 0..rounds() {
        // For half a minute after it sent a snapshot etcd keeps its log whole, so that each round has
        // a cluster of its own.
        let mut trial = Trial::start(Plan::of(3).flags(&FLAGS)).await;
        trial
            .endures("long-absence", async |cluster, workload, _| {
                let away = falls_behind(cluster, workload).await;
                cluster.restart(away).await;
                let leader = cluster.leader().await;
                let (id, sender) = (cluster.id(away).await, cluster.id(leader).await);
                for (member, way, other) in [(away, "receive", sender), (leader, "send", id)] {
                    let counter = format!("etcd_network_snapshot_{way}_success");
                    let once = || (counted(cluster, member, &counter, other) > 0.0).then_some(());
                    eventually(&counter, once);
                }
            })
            .await;
    }
}

/// What the state holds at least is promised before the receiver is asked for it. By the time it answers, the
/// log can be cut behind the promise; such a state would have to be sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_sent_once_though_the_log_is_cut_meanwhile() {
    let often = ["--snapshot-count=10", "--experimental-snapshot-catchup-entries=5"];
    let mut trial = Trial::start(Plan::of(3).on_a_network().flags(&often)).await;
    trial
        .endures("slow-answer", async |cluster, workload, _| {
            let away = cluster.follower().await;
            let id = cluster.id(away).await;
            cluster.kill(away);
            workload.progress(MISSED).await;
            let leader = cluster.leader().await;
            let sent = |cluster: &Cluster| {
                counted(cluster, leader, "etcd_network_snapshot_send_success", id)
            };
            cluster.network().delay(leader, away, LATE);
            cluster.launch(away);
            eventually("the state to arrive", || (sent(cluster) > 0.0).then_some(()));
            let arrived = Clock.now();
            cluster.network().heal();
            cluster.wait_ready(away).await;
            workload.progress(MISSED).await;
            if arrived.elapsed() < WHOLE {
                assert_eq!(sent(cluster), 1.0);
            }
        })
        .await;
}

/// The others go on meanwhile, and the state is not kept for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_stands_still_is_given_up() {
    // Each attempt ends after two election timeouts without an answer, and there are ten of them.
    let mut trial = Trial::start(Plan::of(3).on_a_network().paced(50, 500).flags(&FLAGS)).await;
    trial
        .endures("paused-receiver", async |cluster, workload, _| {
            let (leader, away, id) = half_received(cluster, workload).await;
            let sent = |cluster: &Cluster| {
                counted(cluster, leader, "etcd_network_snapshot_send_success", id)
            };
            // It failed already when the member was not there.
            let failed = |cluster: &Cluster| {
                counted(cluster, leader, "etcd_network_snapshot_send_failures", id)
            };
            let before = failed(cluster);
            cluster.pause(away);
            assert_eq!(sent(cluster), 0.0);
            workload.progress(100).await;
            eventually("the sender to give up", || (failed(cluster) > before).then_some(()));
            cluster.network().heal();
            cluster.resume(away);
            let again = Clock.now();
            cluster.wait_ready(away).await;
            // What was written while the state was on its way is still in the log.
            workload.progress(MISSED).await;
            if again.elapsed() < WHOLE {
                assert_eq!(sent(cluster), 1.0);
            }
        })
        .await;
}

/// Without the state the new leader would have no majority.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_stands_still_is_done_without() {
    let mut trial = Trial::start(Plan::of(3).on_a_network().flags(&FLAGS)).await;
    trial
        .endures("paused-sender", async |cluster, workload, _| {
            let (leader, _, _) = half_received(cluster, workload).await;
            cluster.pause(leader);
            cluster.leader_of(&others(cluster, leader)).await;
            workload.progress(40).await;
            cluster.resume(leader);
            cluster.network().heal();
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_dies_as_it_takes_over_a_state_starts_again() {
    for point in ["adopt-before", "adopt-switched"] {
        let mut trial = Trial::start(Plan::of(3).flags(&FLAGS)).await;
        trial
            .endures(point, async |cluster, workload, _| {
                let away = falls_behind(cluster, workload).await;
                cluster.members[away].by = vec!["env".into(), format!("FAIL_POINT={point}:1")];
                cluster.launch(away);
                cluster.members[away].wait_end();
                let died = format!("fail point {point} reached");
                assert!(cluster.members[away].output().contains(&died), "{point}");
                cluster.members[away].by.clear();
                cluster.restart(away).await;
            })
            .await;
    }
}
