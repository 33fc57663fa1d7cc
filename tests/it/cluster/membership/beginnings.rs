//! How members begin: what is refused at once, and what no longer counts at a restart.

use crate::support::cluster::requests::{get, put};
use crate::support::cluster::{Cluster, Plan};

/// Starts a member that must refuse, and checks the words.
fn refuses(cluster: &mut Cluster, place: usize, bootstrap: &[String], words: &str) {
    cluster.members[place].bootstrap = bootstrap.to_vec();
    cluster.launch(place);
    let status = cluster.members[place].wait_end();
    let output = cluster.members[place].output().join("\n");
    assert_eq!(status.code(), Some(1), "{words}: {status}\n{output}");
    assert!(output.contains(words), "not told: {words}\n{output}");
}

fn flags(everybody: &str, state: &str) -> Vec<String> {
    vec![format!("--initial-cluster={everybody}"), format!("--initial-cluster-state={state}")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_cannot_be_is_refused() {
    let mut cluster = Cluster::found(Plan::of(2));
    let (own, other) = (cluster.entries([0]), cluster.entries([1]));
    let url = cluster.members[0].peer_url();
    refuses(
        &mut cluster,
        0,
        &flags(&other, "new"),
        "couldn't find local name \\\"m0\\\" in the initial cluster configuration",
    );
    let twice = format!("{own},other={url}");
    refuses(&mut cluster, 0, &flags(&twice, "new"), "has duplicate url");
    let elsewhere = format!("m0=http://127.0.0.1:1,{other}");
    refuses(
        &mut cluster,
        0,
        &flags(&elsewhere, "new"),
        "but missing from --initial-advertise-peer-urls",
    );
    let mut more = flags(&format!("{own},{other}"), "new");
    more.push(format!("--initial-advertise-peer-urls={url},http://127.0.0.1:1"));
    refuses(&mut cluster, 0, &more, "but missing from --initial-cluster=");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_needs_a_cluster_that_expects_it() {
    let mut cluster = Cluster::start(Plan::of(1)).await;
    let place = cluster.prepare();
    let everybody = cluster.entries([0, place]);
    // Nobody has added it.
    refuses(&mut cluster, place, &flags(&everybody, "existing"), "member count is unequal");
    // Nobody is there.
    let own = cluster.members[place].entry();
    let nobody = format!("{own},m9=http://127.0.0.1:1");
    refuses(
        &mut cluster,
        place,
        &flags(&nobody, "existing"),
        "cannot fetch cluster info from peer urls",
    );
    // The place in the list is somebody else's.
    let added = cluster.add(0, false).await;
    refuses(
        &mut cluster,
        place,
        &flags(&everybody, "existing"),
        "no match found for existing member",
    );
    cluster.restart(added.place).await;
    put(&cluster.members[added.place].client, "joined", "1").await;
}

/// It would vote again in terms in which it has voted; it comes back by being removed and added.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_data_founds_nothing_again() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let lost = cluster.follower().await;
    let id = cluster.id(lost).await;
    cluster.stop(lost);
    std::fs::remove_dir_all(cluster.members[lost].data()).unwrap();
    let founding = cluster.members[lost].bootstrap.clone();
    let words = format!("member {id:x} has already been bootstrapped");
    refuses(&mut cluster, lost, &founding, &words);
    let leader = cluster.leader().await;
    put(&cluster.members[leader].client, "still", "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_takes_no_notice_of_how_it_began() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    put(&cluster.members[0].client, "before", "1").await;
    let listed = cluster.list(0).await;
    for place in 0..3 {
        cluster.stop(place);
        let own = cluster.members[place].entry();
        cluster.members[place].bootstrap = vec![
            format!("--initial-cluster={own},other=http://127.0.0.1:1"),
            "--initial-cluster-token=another".to_owned(),
            format!("--initial-cluster-state={}", ["new", "existing", "new"][place]),
        ];
        cluster.restart(place).await;
    }
    assert_eq!(cluster.list(1).await, listed);
    assert_eq!(get(&cluster.members[2].client, "before").await.as_deref(), Some("1"));
    cluster.same_everywhere().await;
}
