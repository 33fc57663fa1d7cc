//! A disk that fails, is slow, or has no room: a failure ends the process at once and is never tried
//! again, slowness is reported, lack of room passes.

use std::time::Duration;

use etcd::proto::etcdserverpb::RangeRequest;
use tonic::Code;

use super::subject::Subject;
use crate::support::http;
use crate::support::manager::Manager;
use crate::support::process::Process;
use crate::support::session::{Session, put};
use crate::support::wait::{eventually, within};

/// A rule for the disk, a scale, and what the last words must name.
const FAILURES: [(&str, &str, [&str; 2]); 9] = [
    ("sync .wal 5", SMALL, ["fsync", ".wal"]),
    ("write .wal 5", SMALL, ["write", ".wal"]),
    ("write .jnl 5", SMALL, ["state database", "commit"]),
    ("sync .jnl 5", SMALL, ["state database", "fsync"]),
    ("sync spare.tmp 5", SMALL, ["fsync", "spare.tmp"]),
    ("rename spare.tmp 5", SMALL, ["rename", "spare.tmp"]),
    ("sync /tables/ 5", SMALLEST, ["state database", "the lines before tell"]),
    ("write checkpoint-1 5", SMALLEST, ["write the index checkpoint", "checkpoint-1.tmp"]),
    ("sync checkpoint-1 5", SMALLEST, ["write the index checkpoint", "checkpoint-1.tmp"]),
];

/// So small that the log needs its next segment, and the state is made durable, within seconds.
const SMALL: &str = "64";
/// So small that tables and checkpoints are written within seconds too.
const SMALLEST: &str = "1024";

fn address(url: &str) -> &str {
    url.strip_prefix("http://").unwrap()
}

/// Writes until the member refuses; returns how many keys it has acknowledged, and the refusal.
async fn write_until_refused(session: &mut Session, from: usize) -> (usize, tonic::Status) {
    let value = "v".repeat(20_000);
    for number in from.. {
        let request = put(&format!("key/{number:08}"), &value);
        if let Err(status) = within("a put", session.kv.put(request)).await {
            return (number, status);
        }
    }
    panic!("the member takes everything");
}

async fn count(session: &mut Session) -> usize {
    let request = RangeRequest {
        key: "key/".into(),
        range_end: "key0".into(),
        count_only: true,
        ..RangeRequest::default()
    };
    let answer = within("a count", session.kv.range(request)).await.unwrap().into_inner();
    usize::try_from(answer.count).unwrap()
}

fn fatal_line(process: &Process) -> String {
    let fatal = |line: &String| line.contains("\"level\":\"fatal\"");
    process.output().into_iter().find(fatal).unwrap_or_else(|| {
        panic!("no fatal line in\n{}", process.output().join("\n"));
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_disk_ends_the_process_and_loses_nothing() {
    for (rule, scale, words) in FAILURES {
        let scale = [("STORAGE_SCALE", scale)];
        let subject = Subject::new(&["--snapshot-count=20"]);
        let (mut process, url) = subject.start_on_shim(&scale).serving(rule);
        let mut session = Session::connect(&url).await;
        within("a put", session.kv.put(put("key/0", "v"))).await.unwrap();
        subject.set_rules(rule);
        let (acknowledged, _) = write_until_refused(&mut session, 1).await;
        let status = process.wait_end();
        assert_eq!(status.code(), Some(1), "{rule}: {status}");
        let line = fatal_line(&process);
        assert!(words.iter().all(|word| line.contains(word)), "{rule}: {line}");
        let failed = std::fs::read_to_string(subject.home().join("rules.log")).unwrap();
        assert_eq!(failed.lines().count(), 1, "{rule}: tried again:\n{failed}");
        subject.clear_rules();
        let (_process, url) = subject.start(&scale).serving(rule);
        let mut session = Session::connect(&url).await;
        let held = count(&mut session).await;
        assert!(held >= acknowledged, "{rule}: {held} of {acknowledged} acknowledged keys");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_slower_than_the_election_timeout_is_reported() {
    let subject = Subject::new(&["--election-timeout=300", "--heartbeat-interval=50"]);
    let (process, url) = subject.start_on_shim(&[]).serving("a start");
    let health = |query| http::request(address(&url), "GET", &format!("/health{query}"));
    assert_eq!(health("").status, 200);
    subject.set_rules("sync .wal slow 600");
    let mut session = Session::connect(&url).await;
    within("a slow put", session.kv.put(put("key/0", "v"))).await.unwrap();
    let answer = eventually("a bad health", || {
        let answer = health("");
        (answer.status == 503).then_some(answer)
    });
    assert!(
        answer.body.contains("\"reason\":\"DISK SLOW: a sync of the log took"),
        "{}",
        answer.body
    );
    assert_eq!(health("?serializable=true").status, 200, "a slow disk is no reason to kill");
    let metrics = http::request(address(&url), "GET", "/metrics").body;
    assert!(metrics.contains("\netcd_rs_disk_slow 1\n"), "{metrics}");
    assert!(metrics.contains("\netcd_rs_disk_slow_total 1\n"), "{metrics}");
    let told = "the disk is slower than the election timeout";
    assert!(process.output().iter().any(|line| line.contains(told)));
    subject.clear_rules();
    eventually("a good health", || (health("").status == 200).then_some(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_for_its_next_segment_the_log_stops_writes_until_there_is() {
    let subject = Subject::new(&[]);
    let (_process, url) = subject.start_on_shim(&[("STORAGE_SCALE", "16")]).serving("a start");
    let mut session = Session::connect(&url).await;
    subject.set_rules("write spare.tmp 28\nopen new.tmp 28");
    let (acknowledged, refusal) = write_until_refused(&mut session, 0).await;
    assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal}");
    assert_eq!(refusal.message(), "etcdserver: mvcc: database space exceeded");
    assert_eq!(count(&mut session).await, acknowledged);
    let health = http::request(address(&url), "GET", "/health");
    assert_eq!(
        (health.status, health.body.contains("ALARM NOSPACE")),
        (503, true),
        "{}",
        health.body
    );
    subject.clear_rules();
    within("space to be found", async {
        while session.kv.put(put("key/last", "v")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(count(&mut session).await, acknowledged + 1);
}

/// A disk that does not come back from a sync: nothing is wrong but that, and the pulse stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_disk_keeps_the_pulse_back() {
    let manager = Manager::new();
    let subject = Subject::new(&[]);
    let path = manager.path();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")];
    let (_process, url) = subject.start_on_shim(&environment).serving("a start");
    manager.hear("WATCHDOG=1");
    let mut session = Session::connect(&url).await;
    subject.set_rules("sync .wal slow 5500");
    // The pulse is twice a second as long as all is well.
    let period = Duration::from_secs(3);
    let silence = async {
        while manager.hears_within(period, "WATCHDOG=1") {}
        subject.clear_rules();
    };
    let write = within("the write", session.kv.put(put("key", "v")));
    let (written, ()) = tokio::join!(write, within("three periods without a pulse", silence));
    written.unwrap();
    // It comes back with the disk.
    manager.hear("WATCHDOG=1");
}
