//! A start with much to do: what the service manager is told meanwhile.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use tokio::task::JoinSet;

use super::subject::Subject;
use crate::support::manager::Manager;
use crate::support::session::{Session, put};
use crate::support::wait::within;

/// Four batches of the apply thread at least.
const WRITES: usize = 4 * 2048;
const WRITERS: usize = 64;
/// Each batch takes so long, so that the replay is looked at several times.
const SLOW: &str = "write .jnl slow 800";
const MORE_TIME: &str = "EXTEND_TIMEOUT_USEC=60000000";

async fn write(url: &str) {
    let mut session = Session::connect(url).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut kv = session.kv.clone();
        writers.spawn(async move {
            for number in 0..WRITES / WRITERS {
                kv.put(put(&format!("key/{writer}/{number}"), "v")).await.unwrap();
            }
        });
    }
    within("the writes", writers.join_all()).await;
    within("a put", session.kv.put(put("last", "v"))).await.unwrap();
}

fn run(program: &str, arguments: [&Path; 2]) {
    let status = Command::new(program).arg("-a").args(arguments).status().unwrap();
    assert!(status.success(), "{program}: {status}");
}

/// All that was written stands in the log alone, as after a loss of what the state had not made durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_replay_is_told_of_and_given_time() {
    let manager = Manager::new();
    let path = manager.path();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let subject = Subject::new(&[]);
    let (mut process, _) = subject.start_on_shim(&environment).serving("a first start");
    manager.hear("READY=1");
    process.signal("TERM");
    assert_eq!(process.wait_end().signal(), Some(15));
    let kept = subject.home().join("kept");
    run("cp", [&subject.data(), &kept]);
    let (mut process, url) = subject.start_on_shim(&environment).serving("a second start");
    manager.hear("READY=1");
    write(&url).await;
    process.kill();
    std::fs::remove_dir_all(kept.join("member/wal")).unwrap();
    std::fs::rename(subject.data().join("member/wal"), kept.join("member/wal")).unwrap();
    std::fs::remove_dir_all(subject.data()).unwrap();
    std::fs::rename(&kept, subject.data()).unwrap();

    subject.set_rules(SLOW);
    let (_process, url) = subject.start_on_shim(&environment).serving("a start with a replay");
    let (_, before) = manager.hear_after("READY=1");
    let begins = |line: &String| line.starts_with("STATUS=starting: replaying the log: ");
    let replay = before.iter().position(begins).unwrap_or_else(|| panic!("{before:?}"));
    let extensions = before.iter().skip(replay).filter(|line| *line == MORE_TIME).count();
    assert!(extensions >= 2, "{before:?}");
    subject.clear_rules();
    let mut session = Session::connect(&url).await;
    let last = etcd::proto::etcdserverpb::RangeRequest {
        key: "last".into(),
        ..etcd::proto::etcdserverpb::RangeRequest::default()
    };
    let found = within("a range", session.kv.range(last)).await.unwrap().into_inner();
    assert_eq!(found.count, 1);
}
