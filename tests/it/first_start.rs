//! A first start that is broken off at any moment: the next one begins anew or goes on, and never
//! refuses, forgets or mixes up anything.

use std::path::Path;

use etcd::proto::etcdserverpb::{MemberListRequest, RangeRequest, cluster_client::ClusterClient};
use etcd::storage::datadir::DataDir;
use etcd::storage::wal::{Wal, WalOptions};
use etcd::types::ids::MemberId;
use tempfile::TempDir;

use crate::support::process::Process;
use crate::support::server::Kind;
use crate::support::session::{Session, put};
use crate::support::wait::within;

const PEER: &str = "http://127.0.0.1:2380";
/// Somebody else's: what is remembered of a member that never wrote anything.
const IDENTITY: &[u8] = b"member=abc cluster=def";

fn start(home: &Path) -> Process {
    Process::start(&mut Kind::Ours.daemon(home, "http", PEER))
}

/// Waits until the server serves.
async fn serving(process: &mut Process) -> Session {
    let address = process.wait_line("the client address", |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let serves = line["msg"].as_str()?.starts_with("serving client traffic");
        serves.then(|| line["address"].as_str().map(str::to_owned)).flatten()
    });
    Session::connect(&format!("http://{address}")).await
}

async fn value(session: &mut Session, key: &str) -> String {
    let request = RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() };
    let answer = within("a range", session.kv.range(request)).await.unwrap().into_inner();
    String::from_utf8(answer.kvs[0].value.to_vec()).unwrap()
}

/// Starts on what is in `home`, writes, crashes, starts again and finds everything: the node is whole
/// and is who its flags say.
async fn lives(home: &Path) {
    let mut process = start(home);
    let mut session = serving(&mut process).await;
    within("a put", session.kv.put(put("k", "kept"))).await.unwrap();
    process.kill();
    let mut process = start(home);
    let mut session = serving(&mut process).await;
    assert_eq!(value(&mut session, "k").await, "kept");
    let mut cluster = ClusterClient::new(session.channel());
    let list = cluster.member_list(MemberListRequest::default());
    let members = within("the members", list).await.unwrap().into_inner().members;
    let [member] = members.as_slice() else { panic!("one member, not {members:?}") };
    let id = MemberId::derive(&[PEER.to_owned()], "etcd-cluster", None);
    assert_eq!(member.id, id.0, "{member:?}");
    assert_eq!((member.name.as_str(), member.peer_ur_ls.len()), ("default", 1));
}

/// A data directory as far as an interrupted start came, made by `rest`.
fn interrupted(rest: impl FnOnce(&mut DataDir)) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let mut data = DataDir::open(&home.path().join("data"), None).unwrap();
    rest(&mut data);
    home
}

/// Makes a member that has run look as if it had crashed right after its first entry was durable.
fn leave_first_entry_alone(data: &DataDir) {
    let (wal, recovered) = Wal::open(&data.wal(), WalOptions::default()).unwrap();
    assert!(recovered.last.is_some_and(|last| last.index > 0));
    let first = wal.read(0..1).unwrap();
    wal.close().unwrap();
    for folder in [data.wal(), data.state(), data.checkpoint()] {
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
    }
    let (wal, _) = Wal::open(&data.wal(), WalOptions::default()).unwrap();
    wal.append(first, |result| result.unwrap());
    wal.close().unwrap();
}

#[tokio::test]
async fn before_the_member_is_remembered_the_next_start_begins_anew() {
    lives(interrupted(|_| ()).path()).await;
    let home = interrupted(|data| {
        drop(Wal::open(&data.wal(), WalOptions::default()).unwrap());
        std::fs::write(data.state().join("half-made"), "x").unwrap();
    });
    lives(home.path()).await;
}

#[tokio::test]
async fn remembered_without_a_first_entry_it_founds_by_its_flags() {
    let home = interrupted(|data| {
        drop(Wal::open(&data.wal(), WalOptions::default()).unwrap());
        data.mark_started(IDENTITY).unwrap();
    });
    lives(home.path()).await;
}

#[tokio::test]
async fn with_a_first_entry_and_nothing_applied_it_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut process = start(home.path());
    drop(serving(&mut process).await);
    process.kill();
    leave_first_entry_alone(&DataDir::open(&home.path().join("data"), None).unwrap());
    lives(home.path()).await;
}

#[tokio::test]
async fn a_log_that_is_gone_is_missed_once_the_member_is_remembered() {
    let home = interrupted(|data| {
        let (wal, _) = Wal::open(&data.wal(), WalOptions::default()).unwrap();
        wal.close().unwrap();
        data.mark_started(IDENTITY).unwrap();
        std::fs::remove_dir_all(data.wal()).unwrap();
    });
    let mut process = start(home.path());
    assert_eq!(process.wait_end().code(), Some(1));
    let said = process.output().join("\n");
    assert!(said.contains("failed to start etcd") && said.contains("started before"), "{said}");
}

#[tokio::test]
async fn killed_at_any_line_of_its_log_it_starts_again() {
    for line in [
        "starting an etcd server",
        "starting local member",
        "state opened",
        "published local member to cluster through raft",
        "set initial cluster version",
        "ready to serve client requests",
    ] {
        let home = tempfile::tempdir().unwrap();
        let mut process = start(home.path());
        process.wait_line(line, |said| said.contains(line).then_some(()));
        process.kill();
        lives(home.path()).await;
    }
}
