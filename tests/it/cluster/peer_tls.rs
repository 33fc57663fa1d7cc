//! Certificates between members: those they make themselves, and who stays outside for want of a good one.

use std::path::Path;

use etcd::certs::Purpose;

use super::faults::others;
use crate::support::cluster::requests::{get, put, try_put};
use crate::support::cluster::{Cluster, Plan, address};
use crate::support::pki::{Pki, valid};
use crate::support::session;
use crate::support::wait::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_with_certificates_they_made_themselves_are_a_cluster() {
    let plan = Plan::of(3).encrypted_among_members().flags(&["--peer-auto-tls"]);
    let mut cluster = Cluster::start(plan).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    put(&cluster.members[follower].client, "through", "a follower").await;
    let pair = |member: usize| {
        let folder = cluster.members[member].data().join("fixtures/peer");
        ["cert.pem", "key.pem"].map(|name| std::fs::read(folder.join(name)).unwrap())
    };
    let before = pair(leader);
    cluster.stop(leader);
    cluster.leader().await;
    cluster.restart(leader).await;
    let folder = cluster.members[leader].data().join("fixtures/peer");
    let after = ["cert.pem", "key.pem"].map(|name| std::fs::read(folder.join(name)).unwrap());
    assert!(before == after, "the pair is kept");
    let kept = get(&cluster.members[leader].client, "through").await;
    assert_eq!(kept.as_deref(), Some("a follower"));
    cluster.same_everywhere().await;
}

/// A follower that comes back with another pair of files is not listened to, and the others say why; with
/// its own pair it is a member again.
async fn stays_outside(cluster: &mut Cluster, certificate: &Path, key: &Path, why: &str) {
    let (leader, outside) = (cluster.leader().await, cluster.follower().await);
    let term = cluster.status(leader).await.raft_term;
    cluster.kill(outside);
    let pair = [
        format!("--peer-cert-file={}", certificate.display()),
        format!("--peer-key-file={}", key.display()),
    ];
    cluster.launch_with(outside, &pair.each_ref().map(String::as_str));
    let rest = others(cluster, outside);
    eventually(&format!("somebody to say: {why}"), || {
        let says = |place: &usize| {
            let output = cluster.members[*place].output();
            output.iter().any(|line| line.contains(why))
        };
        rest.iter().any(says).then_some(())
    });
    let refused = try_put(&cluster.members[outside].client, session::put("outside", "1"));
    let refused = tokio::time::timeout(cluster.election_timeout() * 4, refused).await;
    assert!(!matches!(refused, Ok(Ok(_))), "{refused:?}");
    for place in rest {
        put(&cluster.members[place].client, "inside", "1").await;
    }
    assert_eq!(cluster.status(leader).await.raft_term, term);
    cluster.kill(outside);
    cluster.restart(outside).await;
    put(&cluster.members[outside].client, "outside", "2").await;
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_whose_certificates_name_somebody_else_stay_outside() {
    let host = address::host().to_string();
    for flag in ["--peer-cert-allowed-cn=peer", "--peer-cert-allowed-hostname=localhost"] {
        let mut cluster = Cluster::start(Plan::of(3).with_mutual_tls().flags(&[flag])).await;
        let pki = cluster.pki();
        pki.issue("other", Purpose::Peer, &["127.0.0.1", &host], valid());
        let (certificate, key) = (pki.file("other.crt"), pki.file("other.key"));
        let why = "not_allowed";
        stays_outside(&mut cluster, &certificate, &key, why).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_with_certificates_of_a_stranger_stay_outside() {
    let mut cluster = Cluster::start(Plan::of(3).with_mutual_tls()).await;
    let stranger = Pki::new();
    let host = address::host().to_string();
    stranger.issue("peer", Purpose::Peer, &["localhost", "127.0.0.1", &host], valid());
    let (certificate, key) = (stranger.file("peer.crt"), stranger.file("peer.key"));
    stays_outside(&mut cluster, &certificate, &key, "rejected connection").await;
}
