//! A member that was away for so long that the log no longer reaches back.

use super::{Trial, rounds};
use crate::support::cluster::Plan;
use crate::support::http;
use crate::support::wait::eventually;

/// More than the log keeps.
const MISSED: usize = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_missed_too_much_gets_a_snapshot() {
    let flags = ["--snapshot-count=50", "--experimental-snapshot-catchup-entries=10"];
    for _ in 0..rounds() {
        // For half a minute after it sent a snapshot etcd keeps its log whole, so that each round has
        // a cluster of its own.
        let mut trial = Trial::start(Plan::of(3).flags(&flags)).await;
        trial
            .endures("long-absence", async |cluster, workload, _| {
                let away = cluster.follower().await;
                cluster.kill(away);
                workload.progress(MISSED).await;
                cluster.restart(away).await;
                let address = cluster.members[away].client_address();
                eventually("a snapshot to be received", || {
                    let metrics = http::request(&address, "GET", "/metrics").body;
                    let counter = "etcd_network_snapshot_receive_success{";
                    metrics.lines().any(|line| line.starts_with(counter)).then_some(())
                });
            })
            .await;
    }
}
