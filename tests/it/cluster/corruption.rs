//! Members that hold something else than the others: found, named, and kept from serving it.

use std::collections::BTreeSet;
use std::ops::Bound;

use etcd::client::Client;
use etcd::proto::etcdserverpb::{AlarmMember, AlarmRequest, AlarmType, WatchCreateRequest};
use etcd::storage::datadir::DataDir;
use etcd::storage::engine::{Engine, Options, Space};
use tonic::Code;

use super::membership::remove_at_last;
use crate::support::cluster::requests::{
    answer, get, local, one, put, refusal, try_get, try_put, value,
};
use crate::support::cluster::{Cluster, Plan, accepted, add};
use crate::support::http;
use crate::support::session::{self, WatchSession, opening};
use crate::support::wait::comes_true;

/// The words of a cluster, or a member, that may hold the wrong data.
const CORRUPT: (Code, &str) = (Code::DataLoss, "etcdserver: corrupt cluster");
const KEPT: [&str; 2] =
    ["--feature-gates=CompactHashCheck=true", "--compact-hash-check-time=100ms"];
const EVERYTHING: [&str; 1] = ["--corrupt-check-time=100ms"];

/// Asks for alarms, or changes them.
async fn alarms(client: &Client, action: i32, member_id: u64) -> Vec<AlarmMember> {
    let alarm = if action == 0 { AlarmType::None } else { AlarmType::Corrupt } as i32;
    let request = AlarmRequest { action, member_id, alarm };
    answer(client.maintenance().alarm(request)).await.unwrap().alarms
}

fn corrupt(member_id: u64) -> AlarmMember {
    AlarmMember { member_id, alarm: AlarmType::Corrupt as i32 }
}

/// Waits until a member knows of exactly these alarms.
async fn alarmed(client: &Client, expected: &[AlarmMember]) {
    comes_true("the alarm", async || {
        let raised = alarms(client, 0, 0).await;
        assert!(raised.iter().all(|alarm| expected.contains(alarm)), "{raised:?}");
        (raised == expected).then_some(())
    })
    .await;
}

fn refused<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) {
    let (code, words) = refusal(answer);
    assert_eq!((code, words.as_str()), CORRUPT);
}

/// From its next start on, a member stores another value than `word` wherever that is written.
fn errs(cluster: &mut Cluster, member: usize, word: &str) {
    cluster.members[member].by = vec!["/usr/bin/env".to_owned(), format!("FAIL_ALTER={word}")];
}

/// Changes a record of a stopped member behind its back.
fn tamper(cluster: &Cluster, member: usize, from: &[u8], to: &[u8]) {
    let data = DataDir::open(&cluster.members[member].data(), None).unwrap();
    let engine = Engine::open(&data.state(), &Options::default()).unwrap();
    let pairs = engine.scan(Space::Records, Bound::Unbounded, Bound::Unbounded);
    let holds = |record: &[u8]| record.windows(from.len()).position(|window| window == from);
    let found =
        pairs.map(Result::unwrap).find_map(|(key, record)| Some((key, holds(&record)?, record)));
    let (key, at, record) = found.unwrap();
    let mut record = record.to_vec();
    record[at..at + from.len()].copy_from_slice(to);
    let mut batch = engine.batch();
    batch.put(Space::Records, &key, &record);
    batch.commit().unwrap();
    engine.persist().unwrap();
}

/// Has a member start, and it must refuse to, saying why.
fn does_not_start(cluster: &mut Cluster, member: usize, flag: &str, said: &[&str]) {
    cluster.launch_with(member, &[flag]);
    let member = &mut cluster.members[member];
    let status = member.wait_end();
    let output = member.output().join("\n");
    assert_eq!(status.code(), Some(1), "{output}");
    for words in said {
        assert!(output.contains(words), "no word of {words:?} in\n{output}");
    }
}

/// Everything of a member is deleted, and it joins under another id.
async fn replace(cluster: &mut Cluster, member: usize, through: usize, id: u64) {
    cluster.kill(member);
    remove_at_last(cluster, through, id).await;
    std::fs::remove_dir_all(cluster.members[member].data()).unwrap();
    cluster.members[member].by.clear();
    let (client, url) = (cluster.client(through), cluster.members[member].peer_url());
    let added = comes_true("the cluster to take it back", async || {
        accepted(add(&client, &[&url], false).await)
    })
    .await;
    cluster.joins(member, &added.members);
    cluster.restart(member).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_goes_another_way_is_named_and_serves_no_more() {
    let mut cluster = Cluster::start(Plan::of(3).flags(&KEPT)).await;
    let (leader, wrong) = (cluster.leader().await, cluster.follower().await);
    let id = cluster.id(wrong).await;
    let (right, victim) = (cluster.client(leader), cluster.client(wrong));
    errs(&mut cluster, wrong, "good");
    cluster.stop(wrong);
    cluster.restart(wrong).await;
    put(&right, "before", "1").await;
    assert_eq!(alarms(&right, 0, 0).await, []);
    let mut watch = WatchSession::over(&victim);
    watch.send(opening(WatchCreateRequest { key: "k".into(), ..Default::default() })).await;
    assert!(watch.next().await.created);

    put(&right, "k", "good").await;
    alarmed(&victim, &[corrupt(id)]).await;
    alarmed(&right, &[corrupt(id)]).await;
    // Nobody writes any more; what is right may still be read, what is wrong may not.
    for client in [&right, &victim] {
        refused(try_put(client, session::put("k", "other")).await);
    }
    assert_eq!(get(&right, "k").await.as_deref(), Some("good"));
    refused(try_get(&victim, "k").await);
    let stale = one("k");
    refused(answer(victim.kv().range(stale)).await);
    let ended = comes_true("the stream to end", async || watch.receive().await.err()).await;
    refused::<()>(Err(ended));
    for member in [leader, wrong] {
        let health = http::request(&cluster.members[member].client_address(), "GET", "/health");
        assert_eq!(health.status, 503);
        assert_eq!(health.body.trim(), r#"{"health":"false","reason":"ALARM CORRUPT"}"#);
        let errors = cluster.status(member).await.errors;
        assert_eq!(errors, [format!("memberID:{id} alarm:CORRUPT ")]);
    }

    // The alarm can be taken back, and comes back as long as the member is there.
    assert_eq!(alarms(&right, 2, id).await, [corrupt(id)]);
    alarmed(&right, &[corrupt(id)]).await;
    cluster.stop(wrong);
    let said = [
        "found data inconsistency with peers: of everything applied up to entry",
        "a quorum holds something else: remove this member from the cluster, delete its data directory",
    ];
    does_not_start(&mut cluster, wrong, "--experimental-initial-corrupt-check", &said);
    let through = cluster.leader().await;
    cluster.launch(wrong);
    replace(&mut cluster, wrong, through, id).await;
    let through = cluster.client(through);
    comes_true("the alarm to go for good", async || {
        alarms(&through, 2, id).await;
        try_put(&through, session::put("k", "good")).await.ok()
    })
    .await;
    cluster.same_everywhere().await;
    assert_eq!(alarms(&through, 0, 0).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_changed_on_a_members_disk_is_found() {
    let mut cluster = Cluster::start(Plan::of(3).flags(&EVERYTHING)).await;
    let (leader, wrong) = (cluster.leader().await, cluster.follower().await);
    let id = cluster.id(wrong).await;
    put(&cluster.client(leader), "k", "original-value").await;
    cluster.same_everywhere().await;
    cluster.stop(wrong);
    tamper(&cluster, wrong, b"original-value", b"modified-value");
    let said = ["found data inconsistency with peers: of all keys at revision 2"];
    let check = "--feature-gates=InitialCorruptCheck=true";
    does_not_start(&mut cluster, wrong, check, &said);

    cluster.launch(wrong);
    let victim = cluster.client(wrong);
    let raised = comes_true("the alarm", async || {
        let request = AlarmRequest::default();
        let raised = victim.maintenance().alarm(request).await.ok()?.into_inner().alarms;
        (!raised.is_empty()).then_some(raised)
    })
    .await;
    assert_eq!(raised, [corrupt(id)]);
    refused(try_get(&victim, "k").await);
    assert_eq!(get(&cluster.client(leader), "k").await.as_deref(), Some("original-value"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_that_agrees_nobody_is_named() {
    let mut cluster = Cluster::start(Plan::of(2).flags(&KEPT)).await;
    let (leader, wrong) = (cluster.leader().await, cluster.follower().await);
    errs(&mut cluster, wrong, "good");
    cluster.stop(wrong);
    cluster.restart(wrong).await;
    let right = cluster.client(leader);
    put(&right, "k", "good").await;
    alarmed(&right, &[corrupt(0)]).await;
    refused(try_put(&right, session::put("k", "other")).await);
    // As in etcd both go on answering: either may be the one that is right.
    let held = [leader, wrong].map(|member| cluster.client(member));
    let mut values = BTreeSet::new();
    for client in &held {
        values.extend(value(&local(client, one("k")).await));
    }
    assert_eq!(values.into_iter().collect::<Vec<_>>(), ["doog", "good"]);
    cluster.stop(wrong);
    let said = ["found data inconsistency with peers", "no quorum says who is right"];
    does_not_start(&mut cluster, wrong, "--experimental-initial-corrupt-check", &said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_members_are_compared_under_load_and_at_every_start_without_an_alarm() {
    let checks =
        [&KEPT[..1], &["--compact-hash-check-time=20ms", "--corrupt-check-time=50ms"]].concat();
    let mut cluster = Cluster::start(Plan::of(3).flags(&checks)).await;
    let client = cluster.client(cluster.leader().await);
    let writing = async {
        for number in 0..400 {
            put(&client, &format!("k{}", number % 7), &number.to_string()).await;
            if number % 100 == 50 {
                let request = etcd::proto::etcdserverpb::CompactionRequest {
                    revision: number,
                    physical: false,
                };
                answer(client.kv().compact(request)).await.unwrap();
            }
        }
    };
    writing.await;
    let compared = |cluster: &Cluster, member: usize, what: &str| {
        let lines = cluster.members[member].output();
        let found = |line: &&String| {
            line.contains("finished corruption check; no difference")
                && line.contains(what)
                && line.contains(r#""compared":3"#)
        };
        lines.iter().filter(found).count()
    };
    let leader = cluster.leader().await;
    for what in ["everything applied up to entry", "all keys at revision"] {
        comes_true(what, async || (compared(&cluster, leader, what) > 2).then_some(())).await;
    }
    assert_eq!(alarms(&client, 0, 0).await, []);
    // One after the other, and all at once.
    for members in [vec![0], vec![1], vec![2], vec![0, 1, 2]] {
        for member in &members {
            cluster.stop(*member);
        }
        for member in &members {
            cluster.launch_with(*member, &["--experimental-initial-corrupt-check"]);
        }
        for member in &members {
            cluster.wait_ready(*member).await;
            let output = cluster.members[*member].output().join("\n");
            assert!(output.contains("initial corruption checking passed"), "{output}");
        }
    }
    cluster.same_everywhere().await;
    assert_eq!(alarms(&cluster.client(0), 0, 0).await, []);
}
