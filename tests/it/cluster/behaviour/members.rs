//! The list of members, and a member that has no vote.

use etcd::proto::etcdserverpb::{CompactionRequest, HashKvRequest, MemberListRequest};
use tonic::Code;

use super::watches::from;
use crate::support::cluster::requests::{
    answer, grant, local, move_leader, one, put, refusal, value,
};
use crate::support::cluster::{Cluster, add};
use crate::support::session::{self, WatchSession, opening};
use crate::support::wait::{comes_true, within};

pub(super) async fn every_member_lists_the_same(cluster: &Cluster) {
    let listed = cluster.list(0).await;
    assert!(listed.is_sorted_by_key(|member| member.id), "{listed:?}");
    for (place, member) in cluster.members.iter().enumerate() {
        assert_eq!(cluster.list(place).await, listed);
        assert_eq!(cluster.own_list(place).await, listed);
        let id = cluster.id(place).await;
        let entry = listed.iter().find(|entry| entry.id == id).unwrap();
        assert_eq!((&entry.name, entry.is_learner), (&member.name, false));
        assert_eq!(entry.peer_ur_ls, [member.peer_url()]);
        assert_eq!(entry.client_ur_ls, [member.client_url()]);
    }
    assert_eq!(listed.len(), cluster.members.len());
}

pub(super) async fn every_header_names_cluster_and_member(cluster: &Cluster) {
    let term = cluster.term().await;
    let cluster_id = cluster.status(0).await.header.unwrap().cluster_id;
    for (place, member) in cluster.members.iter().enumerate() {
        let put = answer(member.client.kv().put(session::put("header", "x"))).await.unwrap();
        let header = put.header.unwrap();
        let expected = (cluster_id, cluster.id(place).await, term);
        assert_eq!((header.cluster_id, header.member_id, header.raft_term), expected);
        let request = MemberListRequest { linearizable: true };
        let list = answer(member.client.cluster().member_list(request)).await.unwrap();
        let header = list.header.unwrap();
        assert_eq!((header.cluster_id, header.member_id, header.raft_term), expected);
        assert_eq!(header.revision, 0);
    }
}

/// A learner has everything and refuses nearly everything; the cluster goes on without its vote.
pub(super) async fn a_learner_serves_little(cluster: &mut Cluster) {
    let leader = cluster.leader().await;
    let added = cluster.add(leader, true).await;
    let client = cluster.client(leader);
    let many = add(&client, &["http://127.0.0.1:1"], true).await;
    let many = refusal(many.map(drop));
    assert_eq!(many.1, "etcdserver: too many learner members in cluster");
    assert_eq!(many.0, Code::FailedPrecondition);
    cluster.restart(added.place).await;
    put(&client, "learnt", "1").await;
    refuses_what_learners_refuse(cluster, added.place).await;
    comes_true("the learner to catch up", async || {
        let own = local(&cluster.members[added.place].client, one("learnt")).await;
        (value(&own).as_deref() == Some("1")).then_some(())
    })
    .await;
    let listed = cluster.list(leader).await;
    let entry = listed.iter().find(|entry| entry.id == added.id).unwrap();
    assert!(entry.is_learner && entry.name == cluster.members[added.place].name, "{entry:?}");
    let refused = refusal(move_leader(&client, added.id).await);
    assert_eq!(refused.1, "etcdserver: bad leader transferee");
    // Losing it costs nothing.
    cluster.kill(added.place);
    put(&client, "learnt", "2").await;
}

async fn refuses_what_learners_refuse(cluster: &Cluster, learner: usize) {
    let client = &cluster.members[learner].client;
    let refused = (Code::Unavailable, "etcdserver: rpc not supported for learner".to_owned());
    assert!(cluster.status(learner).await.is_learner);
    let put = answer(client.kv().put(session::put("refused", "x"))).await;
    assert_eq!(refusal(put.map(drop)), refused);
    let range = answer(client.kv().range(one("refused"))).await;
    assert_eq!(refusal(range.map(drop)), refused);
    let compact = answer(client.kv().compact(CompactionRequest::default())).await;
    assert_eq!(refusal(compact.map(drop)), refused);
    let hash = answer(client.maintenance().hash_kv(HashKvRequest::default())).await;
    assert_eq!(refusal(hash.map(drop)), refused);
    let list = answer(client.cluster().member_list(MemberListRequest::default())).await;
    assert_eq!(refusal(list.map(drop)), refused);
    assert_eq!(refusal(move_leader(client, 7).await), refused);
    let mut watch = WatchSession::over(client);
    watch.send(opening(from("refused", 0))).await;
    let ended = within("the watch to be refused", watch.receive()).await;
    assert_eq!(refusal(ended.map(drop)), refused);
    let leader = cluster.leader_of(&cluster.running()).await;
    grant(&cluster.members[leader].client, 60).await;
}
