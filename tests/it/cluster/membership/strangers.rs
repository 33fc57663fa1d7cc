//! Processes that are, or believe to be, in another cluster.

use crate::support::cluster::requests::put;
use crate::support::cluster::{Cluster, Plan};
use crate::support::wait::eventually;

/// Somebody who lists two members of the cluster as its own, under another token.
fn stranger(cluster: &mut Cluster, token: &str) -> usize {
    let place = cluster.prepare();
    let everybody = cluster.entries([0, 1, place]);
    cluster.members[place].bootstrap = vec![
        format!("--initial-cluster={everybody}"),
        format!("--initial-cluster-token={token}"),
        "--initial-cluster-state=new".to_owned(),
    ];
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_told_and_disturbs_nobody() {
    let mut cluster = Cluster::start(Plan::of(3).on_a_network()).await;
    put(&cluster.members[0].client, "ours", "1").await;
    let (term, listed) = (cluster.term().await, cluster.list(0).await);
    let stranger = stranger(&mut cluster, "another-token");
    cluster.launch(stranger);
    eventually("the stranger to be told", || {
        let told = |line: &String| line.to_lowercase().contains("cluster id mismatch");
        let heard =
            [0, 1, stranger].iter().any(|place| cluster.members[*place].output().iter().any(told));
        heard.then_some(())
    });
    for place in 0..3 {
        for round in 0..20 {
            put(&cluster.members[place].client, "ours", &round.to_string()).await;
        }
    }
    cluster.kill(stranger);
    assert_eq!(cluster.term().await, term);
    assert_eq!(cluster.list(0).await, listed);
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_makes_the_ids() {
    let mut seen = Vec::new();
    for token in ["first", "second"] {
        let cluster = Cluster::start(Plan::of(3).token(token)).await;
        let listed = cluster.list(0).await;
        for (place, member) in cluster.members.iter().enumerate() {
            let urls = [member.peer_url()];
            let id = etcd::types::ids::MemberId::derive(&urls, token, None);
            assert_eq!(cluster.id(place).await, id.0);
        }
        seen.push((listed, cluster.status(0).await.header.unwrap().cluster_id));
    }
    assert_ne!(seen[0].1, seen[1].1);
}
