//! The peer port: what it tells whoever asks, and whom it listens to.

use etcd::proto::peer::raft_client::RaftClient;
use etcd::proto::peer::{ProposeRequest, VoteRecord, VoteRequest};
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::support::cluster::requests::put;
use crate::support::cluster::{Cluster, Plan};
use crate::support::http;

/// `host:port` of a member for other members.
fn address(cluster: &Cluster, member: usize) -> String {
    cluster.members[member].peer_url().split_once("://").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tells_who_belongs_to_the_cluster_and_how_its_member_is() {
    let mut cluster = Cluster::start(Plan::of(3)).await;
    let leader = cluster.leader().await;
    let learner = cluster.add(leader, true).await;
    let listed = cluster.list(leader).await;
    let cluster_id = cluster.status(leader).await.header.unwrap().cluster_id;
    let told = listed.iter().map(|member| {
        let mut told = json!({"id": member.id, "peerURLs": member.peer_ur_ls});
        if member.id == learner.id {
            told["isLearner"] = json!(true);
        } else {
            told["name"] = json!(member.name);
            told["clientURLs"] = json!(member.client_ur_ls);
        }
        told
    });
    let told = Value::Array(told.collect());
    for member in 0..3 {
        let address = address(&cluster, member);
        let members = http::request(&address, "GET", "/members");
        assert_eq!(members.status, 200);
        let (name, id) = ("x-etcd-cluster-id".to_owned(), format!("{cluster_id:x}"));
        assert!(members.headers.contains(&(name, id)), "{:?}", members.headers);
        assert_eq!(serde_json::from_str::<Value>(&members.body).unwrap(), told);
        let version = http::request(&address, "GET", "/version").body;
        let version: Value = serde_json::from_str(&version).unwrap();
        assert!(version["etcdserver"].is_string() && version["etcdcluster"].is_string());
        let health = http::request(&address, "GET", "/health");
        assert_eq!(health.status, 200, "{}", health.body);
        assert!(health.body.contains("\"health\":\"true\""), "{}", health.body);
        assert_eq!(http::request(&address, "POST", "/members").status, 405);
    }
}

/// More than any member says to another at once.
const ENDLESS: usize = 64 << 20;
/// A term no cluster of a test comes to by itself.
const TERM: u64 = 1_000;

async fn connected(address: &str) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Somebody on the peer port who wants to be elected, with these words about himself.
async fn stands(address: &str, words: &[(&'static str, String)]) -> (Code, String) {
    let mut client = RaftClient::new(connected(address).await);
    let vote = Some(VoteRecord { term: TERM, candidate: 1, committed: false });
    let mut request = Request::new(VoteRequest { vote, ..VoteRequest::default() });
    for (name, value) in words {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let refused = client.vote(request).await.unwrap_err();
    (refused.code(), refused.message().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_no_member_is_told_why_and_changes_nothing() {
    let cluster = Cluster::start(Plan::of(3)).await;
    let leader = cluster.leader().await;
    let header = cluster.status(leader).await.header.unwrap();
    let (to, other) = (header.member_id, cluster.id((leader + 1) % 3).await);
    let words = |cluster: u64, to: u64, protocol: &str| {
        [
            ("x-etcd-cluster-id", format!("{cluster:x}")),
            ("x-server-from", format!("{other:x}")),
            ("x-raft-to", format!("{to:x}")),
            ("x-etcd-rs-protocol", protocol.to_owned()),
        ]
    };
    let address = address(&cluster, leader);
    for (words, told) in [
        (words(7, to, "1"), "cluster ID mismatch: caller has 7"),
        (words(header.cluster_id, to, "2"), "incompatible version: caller speaks protocol 2"),
        (words(header.cluster_id, other, "1"), "to field mismatch"),
    ] {
        let refused = stands(&address, &words).await;
        assert_eq!(refused.0, Code::FailedPrecondition);
        assert!(refused.1.starts_with(told), "{refused:?}");
    }
    let silent = stands(&address, &[]).await;
    assert_eq!(silent.1, "incompatible version: not a member's call");
    let mut client = RaftClient::new(connected(&address).await);
    let endless = ProposeRequest { record: vec![0; ENDLESS].into() };
    assert_eq!(client.propose(endless).await.unwrap_err().code(), Code::OutOfRange);
    put(&cluster.members[leader].client, "still", "1").await;
    assert!(cluster.term().await < TERM);
}
