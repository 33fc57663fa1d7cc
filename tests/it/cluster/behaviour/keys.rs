//! Keys, asked for through every member.

use etcd::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use etcd::proto::etcdserverpb::{Compare, TxnRequest};
use tokio::task::JoinSet;

use crate::support::cluster::Cluster;
use crate::support::cluster::requests::{
    delete, get, local, one, prefix, put, put_op, range, txn, value,
};
use crate::support::wait::comes_true;

const ROUNDS: usize = 20;
const COUNTERS: usize = 25;

pub(super) fn absent(key: &str) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key: key.to_owned().into(),
        target_union: Some(TargetUnion::CreateRevision(0)),
        ..Compare::default()
    }
}

fn creation(key: &str, value: &str) -> TxnRequest {
    TxnRequest {
        compare: vec![absent(key)],
        success: vec![put_op(key, value)],
        ..TxnRequest::default()
    }
}

/// Each request moves the one revision of the cluster by one, whoever takes it.
pub(super) async fn every_member_takes_every_request(cluster: &Cluster) {
    let mut revision = put(&cluster.members[0].client, "take/begin", "x").await;
    for (place, member) in cluster.members.iter().enumerate() {
        let (client, key) = (&member.client, format!("take/{place}"));
        assert_eq!(put(client, &key, "1").await, revision + 1);
        assert_eq!(get(client, &key).await.as_deref(), Some("1"));
        let created = txn(client, creation(&format!("{key}/new"), "2")).await;
        assert!(created.succeeded);
        assert_eq!(created.header.unwrap().revision, revision + 2);
        let again = txn(client, creation(&format!("{key}/new"), "3")).await;
        assert!(!again.succeeded);
        assert_eq!(again.header.unwrap().revision, revision + 2, "nothing was changed");
        assert!(delete(client, &key).await);
        assert!(!delete(client, &key).await);
        let kvs = range(client, prefix("take/")).await;
        assert_eq!(kvs.header.unwrap().revision, revision + 3);
        assert_eq!(kvs.count, i64::try_from(place).unwrap() + 2, "{kvs:?}");
        revision += 3;
    }
}

/// What one member acknowledged, every other one tells when asked what the cluster has.
pub(super) async fn a_linearizable_read_sees_what_another_member_acknowledged(cluster: &Cluster) {
    let members = &cluster.members;
    for round in 0..ROUNDS {
        let (writer, wanted) = (&members[round % members.len()], round.to_string());
        let revision = put(&writer.client, "fresh", &wanted).await;
        for reader in members {
            let answer = range(&reader.client, one("fresh")).await;
            assert_eq!(value(&answer), Some(wanted.clone()), "{} reads old", reader.name);
            assert_eq!(answer.kvs[0].mod_revision, revision);
        }
    }
}

/// A member's own state may be late, but it is a state the cluster was in, and it gets there.
pub(super) async fn a_serializable_read_catches_up(cluster: &Cluster) {
    let writer = &cluster.members[0].client;
    for round in 0..ROUNDS {
        let revision = put(writer, "late", &round.to_string()).await;
        for reader in &cluster.members {
            comes_true("a member to catch up", async || {
                let answer = local(&reader.client, one("late")).await;
                let at = answer.header.unwrap().revision;
                let told = value(&answer)?;
                assert_eq!(at >= revision, told == round.to_string(), "{told} at {at}");
                (at >= revision).then_some(())
            })
            .await;
        }
    }
}

/// Of several who change the same value at once, each sees what the others did: nothing is lost.
pub(super) async fn concurrent_transactions_through_all_members_exclude_each_other(
    cluster: &Cluster,
) {
    put(&cluster.members[0].client, "counter", "0").await;
    let mut counting = JoinSet::new();
    for member in &cluster.members {
        let client = member.client.clone();
        counting.spawn(async move {
            for _ in 0..COUNTERS {
                while !count_on(&client).await {}
            }
        });
    }
    counting.join_all().await;
    let told = get(&cluster.members[0].client, "counter").await;
    assert_eq!(told, Some((COUNTERS * cluster.members.len()).to_string()));
}

async fn count_on(client: &etcd::client::Client) -> bool {
    let before = range(client, one("counter")).await;
    let next = value(&before).unwrap().parse::<usize>().unwrap() + 1;
    let unchanged = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: "counter".into(),
        target_union: Some(TargetUnion::ModRevision(before.kvs[0].mod_revision)),
        ..Compare::default()
    };
    let success = vec![put_op("counter", &next.to_string())];
    let request = TxnRequest { compare: vec![unchanged], success, ..TxnRequest::default() };
    txn(client, request).await.succeeded
}
