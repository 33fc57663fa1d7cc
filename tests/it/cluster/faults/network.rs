//! A network between members that holds back, delays and loses.

use std::time::Duration;

use super::{Trial, last, others, rounds};
use crate::support::cluster::{Path, Plan};

/// Writes that must go on while a majority can talk.
const MEANWHILE: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_cut_off_both_ways_is_done_without() {
    let mut trial = Trial::start(Plan::of(3).on_a_network()).await;
    for _ in 0..rounds() {
        trial
            .endures("isolate-leader", async |cluster, workload, _| {
                let leader = cluster.leader().await;
                let rest = others(cluster, leader);
                cluster.network().part(&[leader], &rest);
                cluster.leader_of(&rest).await;
                workload.progress(MEANWHILE).await;
                cluster.network().heal();
            })
            .await;
        trial
            .endures("isolate-follower", async |cluster, workload, _| {
                let follower = cluster.follower().await;
                cluster.network().part(&[follower], &others(cluster, follower));
                workload.progress(MEANWHILE).await;
                cluster.network().heal();
            })
            .await;
        trial
            .endures("isolate-all", async |cluster, _, random| {
                cluster.network().shape(Path { cut: true, ..Path::default() });
                last(500 + random.below(1_500)).await;
                cluster.network().heal();
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_heard_or_hearing_only_one_way_is_replaced() {
    let mut trial = Trial::start(Plan::of(3).on_a_network()).await;
    for _ in 0..rounds() {
        trial
            .endures("mute-leader", async |cluster, workload, _| {
                let leader = cluster.leader().await;
                let rest = others(cluster, leader);
                rest.iter().for_each(|other| cluster.network().cut(leader, *other));
                cluster.leader_of(&rest).await;
                workload.progress(MEANWHILE).await;
                cluster.network().heal();
            })
            .await;
        trial
            .endures("deaf-leader", async |cluster, workload, _| {
                let leader = cluster.leader().await;
                let rest = others(cluster, leader);
                rest.iter().for_each(|other| cluster.network().cut(*other, leader));
                cluster.leader_of(&rest).await;
                workload.progress(MEANWHILE).await;
                cluster.network().heal();
            })
            .await;
        trial
            .endures("half-deaf-follower", async |cluster, workload, _| {
                let (leader, follower) = (cluster.leader().await, cluster.follower().await);
                cluster.network().cut(leader, follower);
                workload.progress(MEANWHILE).await;
                cluster.network().heal();
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_are_made_again() {
    let mut trial = Trial::start(Plan::of(3).on_a_network().with_mutual_tls()).await;
    for _ in 0..rounds() {
        trial
            .endures("broken-connections", async |cluster, workload, random| {
                for _ in 0..5 {
                    cluster.network().break_connections();
                    workload.progress(10).await;
                    last(random.below(300)).await;
                }
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delay_and_loss_make_it_slow_and_nothing_else() {
    let mut trial = Trial::start(Plan::of(3).on_a_network()).await;
    let delay = Path {
        delay: Duration::from_millis(40),
        jitter: Duration::from_millis(60),
        ..Path::default()
    };
    for _ in 0..rounds() {
        trial
            .endures("delay", async |cluster, workload, _| {
                cluster.network().shape(delay);
                workload.progress(MEANWHILE).await;
                cluster.network().heal();
            })
            .await;
        trial
            .endures("loss", async |cluster, workload, _| {
                cluster.network().shape(Path { loss: 100, ..Path::default() });
                workload.progress(MEANWHILE).await;
                cluster.network().heal();
            })
            .await;
    }
}
