//! A cluster that lost its quorum for good, begun anew from one member.

use crate::support::cluster::requests::{get, put};
use crate::support::cluster::{Cluster, Plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_is_made_a_cluster_again() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let client = cluster.client(0);
    put(&client, "kept", "1").await;
    let before = cluster.same_everywhere().await;
    let (id, cluster_id) =
        (cluster.id(0).await, cluster.status(0).await.header.unwrap().cluster_id);
    // In order, so that the log says how much of it was agreed on: real etcd drops the rest.
    [1, 2, 0].into_iter().for_each(|place| cluster.stop(place));

    cluster.launch_with(0, &["--force-new-cluster"]);
    cluster.wait_ready(0).await;
    let header = cluster.status(0).await.header.unwrap();
    assert_eq!((header.member_id, header.cluster_id), (id, cluster_id));
    let listed = cluster.list(0).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((listed[0].id, &listed[0].name), (id, &cluster.members[0].name));
    assert_eq!(cluster.hash(0, before.revision).await, before, "nothing is lost");
    put(&client, "alone", "1").await;
    assert_eq!(get(&client, "alone").await.as_deref(), Some("1"));

    // From then on it is a cluster like any other.
    cluster.stop(0);
    cluster.restart(0).await;
    assert_eq!(get(&client, "alone").await.as_deref(), Some("1"));
    let second = cluster.grow(0).await;
    assert_eq!(get(&cluster.members[second].client, "kept").await.as_deref(), Some("1"));
    cluster.same_everywhere().await;
}
