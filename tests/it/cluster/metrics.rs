//! What members tell of each other in metrics and variables, as dashboards of etcd expect it.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::cluster::requests::{get, put};
use crate::support::cluster::{Cluster, Plan};
use crate::support::http;
use crate::support::wait::eventually;

/// Series with their values.
type Series = BTreeMap<String, f64>;

fn metrics(cluster: &Cluster, member: usize) -> Series {
    let text = http::request(&cluster.members[member].client_address(), "GET", "/metrics").body;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.rsplit_once(' '));
    pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// Waits until a series of a member has a value that is wanted.
fn reaches(cluster: &Cluster, member: usize, name: &str, wanted: impl Fn(f64) -> bool) {
    eventually(name, || {
        let series = metrics(cluster, member);
        wanted(series.get(name).copied()?).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_count_what_goes_between_them() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let leader = cluster.leader().await;
    let mut ids = Vec::new();
    for member in 0..3 {
        ids.push(format!("{:x}", cluster.id(member).await));
    }
    for number in 0..20 {
        put(&cluster.members[leader].client, &format!("k{number}"), &"v".repeat(1000)).await;
    }
    for member in 0..3 {
        for other in (0..3).filter(|other| *other != member) {
            let (own, other) = (&ids[member], &ids[other]);
            let active = format!(r#"etcd_network_active_peers{{Local="{own}",Remote="{other}"}}"#);
            reaches(&cluster, member, &active, |value| value == 1.0);
            let trip =
                format!(r#"etcd_network_peer_round_trip_time_seconds_count{{To="{other}"}}"#);
            reaches(&cluster, member, &trip, |value| value >= 1.0);
        }
    }
    let follower = (0..3).find(|member| *member != leader).unwrap();
    let sent = format!(r#"etcd_network_peer_sent_bytes_total{{To="{}"}}"#, ids[follower]);
    reaches(&cluster, leader, &sent, |value| value > 20_000.0);
    let received = format!(r#"etcd_network_peer_received_bytes_total{{From="{}"}}"#, ids[leader]);
    reaches(&cluster, follower, &received, |value| value > 20_000.0);

    // One that is gone shows as such, and comes back.
    cluster.kill(follower);
    let pair = format!(r#"{{Local="{}",Remote="{}"}}"#, ids[leader], ids[follower]);
    reaches(&cluster, leader, &format!("etcd_network_active_peers{pair}"), |value| value == 0.0);
    let lost = format!("etcd_network_disconnected_peers_total{pair}");
    reaches(&cluster, leader, &lost, |value| value >= 1.0);
    let failures = format!(r#"etcd_network_peer_sent_failures_total{{To="{}"}}"#, ids[follower]);
    reaches(&cluster, leader, &failures, |value| value >= 1.0);
    cluster.restart(follower).await;
    reaches(&cluster, leader, &format!("etcd_network_active_peers{pair}"), |value| value == 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_tells_how_far_everybody_is() {
    let cluster = Cluster::start(Plan::of(3)).await;
    let leader = cluster.leader().await;
    put(&cluster.members[leader].client, "k", "v").await;
    let mut ids = BTreeSet::new();
    for member in 0..3 {
        ids.insert(format!("{:x}", cluster.id(member).await));
    }
    let status = |member: usize| {
        let address = cluster.members[member].client_address();
        let vars = http::request(&address, "GET", "/debug/vars").body;
        let vars: serde_json::Value = serde_json::from_str(&vars).unwrap();
        vars["raft.status"].clone()
    };
    eventually("everybody to have everything", || {
        let told = status(leader);
        let progress = told["progress"].as_object().unwrap();
        assert_eq!(told["raftState"], "StateLeader");
        assert_eq!(progress.keys().cloned().collect::<BTreeSet<_>>(), ids);
        let level = progress.values().all(|one| {
            one["match"] == told["commit"]
                && one["next"].as_u64() == one["match"].as_u64().map(|at| at + 1)
                && one["state"] == "StateReplicate"
        });
        level.then_some(())
    });
    let follower = (0..3).find(|member| *member != leader).unwrap();
    assert_eq!(status(follower)["progress"], serde_json::json!({}));
    assert_eq!(status(follower)["raftState"], "StateFollower");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linearizable_reads_write_nothing_to_disk() {
    const READS: usize = 100;
    let cluster = Cluster::start(Plan::of(3)).await;
    put(&cluster.members[0].client, "k", "v").await;
    let syncs = || {
        let name = "etcd_disk_wal_fsync_duration_seconds_count";
        (0..3).map(|member| metrics(&cluster, member)[name]).sum::<f64>()
    };
    let before = syncs();
    for member in &cluster.members {
        for _ in 0..READS {
            assert_eq!(get(&member.client, "k").await.as_deref(), Some("v"), "at {}", member.name);
        }
    }
    // What was written just before is confirmed once on each member.
    let written = syncs() - before;
    assert!(written < READS as f64 / 10.0, "{written} syncs for {READS} reads at each member");
    put(&cluster.members[0].client, "k", "w").await;
    assert!(syncs() > before, "the count stands still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn linearizable_reads_open_no_streams_between_members() {
    const READS: usize = 300;
    // Sent and received: a heartbeat and its answer take 65, with a stream of their own twice that.
    const BYTES: f64 = 100.0;
    // Heartbeats that come by themselves are not to count.
    let cluster = Cluster::start(Plan::of(3).paced(1000, 5000)).await;
    let leader = cluster.leader().await;
    put(&cluster.members[leader].client, "k", "v").await;
    let other = cluster.id(cluster.follower().await).await;
    let exchanged = || {
        let metrics = metrics(&cluster, leader);
        let sent = format!(r#"etcd_network_peer_sent_bytes_total{{To="{other:x}"}}"#);
        let received = format!(r#"etcd_network_peer_received_bytes_total{{From="{other:x}"}}"#);
        metrics[&sent] + metrics[&received]
    };
    let before = exchanged();
    for _ in 0..READS {
        assert_eq!(get(&cluster.members[leader].client, "k").await.as_deref(), Some("v"));
    }
    let each = (exchanged() - before) / READS as f64;
    assert!(each > 1.0 && each < BYTES, "{each} bytes for a read");
}
