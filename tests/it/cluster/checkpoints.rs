//! What a new leader knows of the time that leases have left.

use etcd::proto::etcdserverpb::LeaseKeepAliveRequest;

use crate::support::cluster::requests::{answer, grant, time_to_live};
use crate::support::cluster::{Cluster, Plan};
use crate::support::wait::comes_true;

const GRANTED: i64 = 600;
/// Seconds of its life that a lease uses up before its leader dies.
const USED: i64 = 8;
/// A new leader adds the time of an election, and a checkpoint may be so old.
const LEEWAY: i64 = 6;

async fn left(cluster: &Cluster, member: usize, lease: i64) -> i64 {
    time_to_live(&cluster.members[member].client, lease).await.ttl
}

/// Waits until a lease has used up so many seconds, kills the leader, and tells what a member that
/// is left then says about it.
async fn left_after_a_death(cluster: &mut Cluster, lease: i64, used: i64) -> i64 {
    let leader = cluster.leader().await;
    comes_true("the lease to age", async || {
        (left(cluster, leader, lease).await <= GRANTED - used).then_some(())
    })
    .await;
    cluster.kill(leader);
    let survivors = cluster.running();
    cluster.leader_of(&survivors).await;
    let left = left(cluster, survivors[0], lease).await;
    cluster.restart(leader).await;
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_checkpoints_a_lease_keeps_its_age_when_its_leader_dies() {
    let plan = Plan::of(3)
        .flags(&["--feature-gates=LeaseCheckpoint=true,LeaseCheckpointPersist=true"])
        .variable("CHECKPOINT_SCALE", "300");
    let mut cluster = Cluster::start(plan).await;
    let lease = grant(&cluster.members[0].client, GRANTED).await;
    for used in [USED, 2 * USED] {
        let left = left_after_a_death(&mut cluster, lease, used).await;
        assert!(left <= GRANTED - used + LEEWAY, "{left} of {GRANTED} s");
        assert!(left > GRANTED / 2, "{left} of {GRANTED} s");
    }
    // Whoever renews it takes back what was stored.
    let client = &cluster.members[0].client;
    let renewal = tokio_stream::once(LeaseKeepAliveRequest { id: lease });
    let mut renewed = answer(client.lease().lease_keep_alive(renewal)).await.unwrap();
    assert_eq!(renewed.message().await.unwrap().unwrap().ttl, GRANTED);
    assert!(left(&cluster, 0, lease).await > GRANTED - USED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_checkpoints_a_new_leader_starts_a_lease_anew_as_in_etcd() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let lease = grant(&cluster.members[0].client, GRANTED).await;
    let left = left_after_a_death(&mut cluster, lease, USED).await;
    assert!(left > GRANTED - USED, "{left} of {GRANTED} s");
}
