//! A disk that really is full: a small file system of its own, filled by somebody else.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use etcd::proto::etcdserverpb::RangeRequest;
use tokio::task::JoinSet;
use tonic::Code;

use super::subject::{self, Subject};
use crate::support::http;
use crate::support::process::Process;
use crate::support::session::{Session, put};
use crate::support::wait::{eventually, within};

const SMALL: [(&str, &str); 1] = [("STORAGE_SCALE", "16")];
const STEP: usize = 1 << 20;

/// A file system of 200 MiB at the data directory, in a namespace that lives as long as this.
struct SmallDisk {
    holder: Process,
    data: PathBuf,
}

impl SmallDisk {
    /// `None` where the system does not allow it.
    fn mount(subject: &Subject) -> Option<Self> {
        let allowed = Command::new("unshare").args(["--mount", "true"]).status();
        if !allowed.as_ref().is_ok_and(ExitStatus::success) {
            eprintln!("SKIPPED: a full disk; `unshare --mount` is not allowed here ({allowed:?})");
            return None;
        }
        fs::create_dir(subject.data()).unwrap();
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o size=200m,mode=700 full data && echo mounted && \
                      exec sleep infinity";
        command.current_dir(subject.home()).args(["--mount", "sh", "-c", script]);
        let mut holder = Process::start(&mut command);
        holder.wait_line("the small disk", |line| (line == "mounted").then_some(()));
        let root = PathBuf::from(format!("/proc/{}/root", holder.pid()));
        let data = root.join(subject.data().strip_prefix("/").unwrap());
        Some(Self { holder, data })
    }

    fn start(&self, subject: &Subject) -> (Process, String) {
        subject::settle(Process::start(&mut self.command(subject))).serving("a start")
    }

    fn command(&self, subject: &Subject) -> Command {
        let (pid, home) = (self.holder.pid().to_string(), subject.home().to_str().unwrap());
        let enter = ["nsenter", "-t", &pid, "-m", "sh", "-c", "cd $0 && exec \"$@\"", home];
        subject.command(&enter, &SMALL)
    }

    /// Starts a daemon that does not serve before it has said `words` and `then` is done.
    fn start_when(&self, subject: &Subject, words: &str, then: impl Fn()) -> (Process, String) {
        let mut process = Process::start(&mut self.command(subject));
        process.wait_line(words, |line| line.contains(words).then_some(()));
        then();
        subject::settle(process).serving("a start with space again")
    }

    /// Fills the disk by and by, to the last byte.
    fn fill(&self) -> PathBuf {
        let path = self.data.join("ballast");
        let mut file = File::create(&path).unwrap();
        let chunk = vec![1; STEP];
        while file.write_all(&chunk).is_ok() {}
        path
    }
}

async fn read_all(session: &mut Session, serializable: bool) -> usize {
    let request = RangeRequest {
        key: "key/".into(),
        range_end: "key0".into(),
        serializable,
        ..RangeRequest::default()
    };
    within("a range", session.kv.range(request)).await.unwrap().into_inner().kvs.len()
}

/// Writes until refused for lack of space; returns how many keys there are then.
async fn write_until_full(url: String) -> usize {
    let mut session = Session::connect(&url).await;
    let value = "v".repeat(5000);
    for number in 0.. {
        let request = put(&format!("key/{number:08}"), &value);
        if let Err(refusal) = within("a put", session.kv.put(request)).await {
            assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal}");
            assert_eq!(refusal.message(), "etcdserver: mvcc: database space exceeded");
            return number;
        }
    }
    0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_writes_and_nothing_else_until_space_returns() {
    let subject = Subject::new(&[]);
    let Some(disk) = SmallDisk::mount(&subject) else { return };
    let (mut process, url) = disk.start(&subject);
    let mut writer = JoinSet::new();
    writer.spawn(write_until_full(url.clone()));
    let ballast = disk.fill();
    let held = within("the writer", writer.join_next()).await.unwrap().unwrap();
    assert!(held > 0, "the disk was full before anything was written");

    let mut session = Session::connect(&url).await;
    assert_eq!(read_all(&mut session, false).await, held);
    assert_eq!(read_all(&mut session, true).await, held);
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let health = http::request(&address, "GET", "/health");
    assert!(health.body.contains("ALARM NOSPACE"), "{}", health.body);
    eventually("the metric of a full disk", || {
        let metrics = http::request(&address, "GET", "/metrics").body;
        metrics.contains("\netcd_rs_disk_space_low 1\n").then_some(())
    });
    assert!(!process.has_ended());

    fs::remove_file(&ballast).unwrap();
    eventually("a good health", || {
        (http::request(&address, "GET", "/health").status == 200).then_some(())
    });
    within("a put", session.kv.put(put("key/after", "v"))).await.unwrap();
    assert_eq!(read_all(&mut session, false).await, held + 1);

    // A member that is killed on a full disk waits for space, and then serves what it had.
    process.kill();
    let ballast = disk.fill();
    let (process, url) = disk.start_when(&subject, "the start waits for space", || {
        fs::remove_file(&ballast).unwrap();
    });
    let mut session = Session::connect(&url).await;
    assert_eq!(read_all(&mut session, false).await, held + 1);
    drop(process);
}
