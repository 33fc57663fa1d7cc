//! From one member to three, and members that move.

use super::{promote, remove, told, update};
use crate::support::cluster::requests::{get, put, refusal};
use crate::support::cluster::{Cluster, Plan};
use crate::support::wait::comes_true;
use tonic::Code;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_grows_to_three_and_keeps_its_name_and_data() {
    let mut cluster = Cluster::start(Plan::of(1)).await;
    let cluster_id = cluster.status(0).await.header.unwrap().cluster_id;
    let first = cluster.id(0).await;
    put(&cluster.members[0].client, "old", "1").await;
    for size in 2..=3 {
        let added = cluster.add(0, false).await;
        let listed = cluster.own_list(0).await;
        let entry = listed.iter().find(|entry| entry.id == added.id).unwrap();
        assert_eq!((entry.name.as_str(), entry.client_ur_ls.len()), ("", 0), "not started yet");
        cluster.restart(added.place).await;
        assert_eq!(cluster.id(added.place).await, added.id);
        for place in 0..size {
            let client = &cluster.members[place].client;
            assert_eq!(get(client, "old").await.as_deref(), Some("1"));
            put(client, &format!("new/{size}/{place}"), "1").await;
            let listed = cluster.list(place).await;
            let named = listed.iter().filter(|entry| !entry.name.is_empty()).count();
            assert_eq!((listed.len(), named), (size, size), "{listed:?}");
            assert_eq!(cluster.status(place).await.header.unwrap().cluster_id, cluster_id);
        }
    }
    assert_eq!(cluster.id(0).await, first);
    cluster.same_everywhere().await;
    // The new members count: with them the cluster goes on without the first.
    cluster.kill(0);
    cluster.leader().await;
    put(&cluster.members[1].client, "without", "the first").await;
    cluster.restart(0).await;
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_behind_certificates_grows() {
    let mut cluster = Cluster::start(Plan::of(1).with_mutual_tls()).await;
    put(&cluster.members[0].client, "old", "1").await;
    let second = cluster.grow(0).await;
    assert_eq!(get(&cluster.members[second].client, "old").await.as_deref(), Some("1"));
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_moves_to_another_peer_url() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let mover = cluster.follower().await;
    let through = cluster.leader().await;
    let (id, client) = (cluster.id(mover).await, cluster.client(through));
    let taken = cluster.members[through].peer_url();
    let exists = told(Code::FailedPrecondition, "Peer URLs already exists");
    assert_eq!(refusal(update(&client, id, &taken).await), exists);
    let unknown = told(Code::NotFound, "member not found");
    assert_eq!(refusal(update(&client, 7, "http://127.0.0.1:1").await), unknown);
    assert_eq!(refusal(remove(&client, 7).await), unknown);
    assert_eq!(refusal(promote(&client, 7).await), unknown);

    cluster.stop(mover);
    let url = cluster.members[mover].move_peer_listener();
    let listed = update(&client, id, &url).await.unwrap();
    let entry = listed.iter().find(|entry| entry.id == id).unwrap();
    assert_eq!(entry.peer_ur_ls, [url]);
    assert_eq!(entry.name, cluster.members[mover].name, "the rest of it stays");
    put(&client, "moved", "1").await;
    cluster.restart(mover).await;
    comes_true("the member to be reached", async || {
        let told = get(&cluster.members[mover].client, "moved").await;
        (told.as_deref() == Some("1")).then_some(())
    })
    .await;
    assert_eq!(cluster.id(mover).await, id);
    cluster.same_everywhere().await;
}
