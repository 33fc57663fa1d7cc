//! Work beside the requests: compactions at the pace that was asked for, logs set aside and packed.

use std::io::Read;

use etcd::proto::etcdserverpb::{CompactionRequest, RangeRequest};
use tokio::task::JoinSet;

use crate::support::http::request;
use crate::support::server::{Kind, Server};
use crate::support::session::{Session, put};
use crate::support::wait::{eventually, within};

const REVISIONS: usize = 300;

/// The value of a metric without labels.
fn metric(server: &Server, name: &str) -> f64 {
    let text = request(server.address(), "GET", "/metrics").body;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

fn removed(server: &Server) -> f64 {
    metric(server, "etcd_debugging_mvcc_db_compaction_keys_total")
}

/// A server with these flags and a key written so often.
async fn written(flags: &[&str]) -> (Server, Session) {
    let server = Server::start_with(&Kind::Ours, "http", flags);
    let mut session = Session::connect(&server.url()).await;
    for _ in 0..=REVISIONS {
        session.kv.put(put("k", "v")).await.unwrap();
    }
    (server, session)
}

fn compaction() -> CompactionRequest {
    CompactionRequest { revision: 2 + REVISIONS as i64, physical: true }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_pauses_after_each_batch_and_writes_do_not_wait_for_it() {
    let flags = ["--compaction-batch-limit=70", "--compaction-sleep-interval=1h"];
    let (mut server, mut session) = written(&flags).await;
    let mut client = session.kv.clone();
    let mut compacting = JoinSet::new();
    compacting.spawn(async move { client.compact(compaction()).await });
    eventually("the first batch", || (removed(&server) == 70.0).then_some(()));
    for round in 0..100 {
        session.kv.put(put("k", &round.to_string())).await.unwrap();
    }
    let all = RangeRequest { key: "k".into(), ..RangeRequest::default() };
    let answer = session.kv.range(all).await.unwrap().into_inner();
    assert_eq!(answer.kvs[0].value, "99");
    assert_eq!(removed(&server), 70.0, "the pause is not over");
    assert!(compacting.try_join_next().is_none());
    server.process.signal("TERM");
    server
        .process
        .wait_line("an end in order", |line| line.contains("closed etcd server").then_some(()));
    let output = server.process.output().join("\n");
    assert!(!output.contains("did not stop within"), "{output}");
    let ended = within("the end of the request", compacting.join_next()).await.unwrap();
    ended.unwrap().unwrap_err();
    // What is left is gone on with at the next start.
    server.restart();
    eventually("the first batch of the rest", || (removed(&server) == 70.0).then_some(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_compaction_goes_on_by_itself() {
    let flags = [
        "--experimental-compaction-batch-limit=10",
        "--experimental-compaction-sleep-interval=1ms",
    ];
    let (server, mut session) = written(&flags).await;
    within("the compaction", session.kv.compact(compaction())).await.unwrap();
    assert_eq!(removed(&server), REVISIONS as f64);
    let steps = "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds_count";
    assert!(metric(&server, steps) >= REVISIONS as f64 / 10.0);
}

#[test]
fn a_full_log_is_set_aside_and_packed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("etcd.log");
    let full = "an old line\n".repeat(100_000);
    std::fs::write(&log, &full).unwrap();
    let mut server = std::process::Command::new(Kind::Ours.program("etcd"));
    server.current_dir(folder.path()).env_clear().args([
        "--listen-client-urls=http://127.0.0.1:0",
        "--advertise-client-urls=http://127.0.0.1:0",
        "--listen-peer-urls=http://127.0.0.1:0",
        "--log-outputs=etcd.log",
        "--enable-log-rotation",
        r#"--log-rotation-config-json={"maxsize": 1, "compress": true}"#,
    ]);
    let _process = crate::support::process::Process::start(&mut server);
    let packed = eventually("a packed copy alone", || {
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let copies: Vec<_> = names
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("etcd-"))
            .collect();
        match copies.as_slice() {
            [only] if only.extension()? == "gz" => Some(only.clone()),
            _ => None,
        }
    });
    let mut unpacked = String::new();
    let file = std::fs::File::open(packed).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut unpacked).unwrap();
    assert!(unpacked == full, "{} bytes for {}", unpacked.len(), full.len());
    let now = std::fs::read_to_string(&log).unwrap();
    assert!(now.contains("starting an etcd server") && !now.contains("an old line"), "{now}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_older_than_the_retention_goes_by_itself() {
    let flags = ["--auto-compaction-mode=periodic", "--auto-compaction-retention=1s"];
    let (mut server, mut session) = written(&flags).await;
    eventually("old revisions to be removed", || (removed(&server) > 0.0).then_some(()));
    let old = RangeRequest { key: "k".into(), revision: 2, ..RangeRequest::default() };
    let refused = session.kv.range(old).await.unwrap_err();
    let words = "etcdserver: mvcc: required revision has been compacted";
    assert_eq!(refused.message(), words);
    let now = RangeRequest { key: "k".into(), ..RangeRequest::default() };
    assert_eq!(session.kv.range(now).await.unwrap().into_inner().kvs[0].value, "v");
    server.process.wait_line("the line scripts look for", |line| {
        line.contains("completed auto periodic compaction").then_some(())
    });
}
