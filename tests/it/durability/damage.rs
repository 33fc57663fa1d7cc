//! Files of the data directory that change behind the member's back: it says which and what to do, or
//! makes up for it; it never serves anything else than what was written.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use etcd::proto::etcdserverpb::{CompactionRequest, HashKvRequest, RangeRequest};

use super::subject::{Start, Subject};
use crate::support::process::Process;
use crate::support::session::{Session, put};
use crate::support::wait::within;

const SMALL: [(&str, &str); 1] = [("STORAGE_SCALE", "64")];
const KEYS: usize = 1500;

#[derive(Clone, Copy, Debug)]
enum What {
    /// One bit of the byte at so many percent of the file, or of the used part of it.
    Flip(u64),
    /// Half of the file goes.
    Cut,
    /// All of it goes, the name stays.
    Empty,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It does not start, and names the file.
    Refuses,
    /// It does not start, and names the state database or its folder.
    RefusesState,
    /// It starts and has everything.
    Serves,
    /// It starts; what lies in the file cannot be read, which is said and is all.
    FailsReads,
}

use Outcome::{FailsReads, Refuses, RefusesState, Serves};
use What::{Cut, Delete, Empty, Flip};

/// Files, each found by its beginning and its end; of several the first and the last.
const FORMAT: (&str, &str) = ("format", "");
const CURRENT: (&str, &str) = ("member/state/CURRENT", "");
const CHECKPOINT: (&str, &str) = ("member/index/checkpoint", "");
const SEGMENT: (&str, &str) = ("member/wal/", ".wal");
const JOURNAL: (&str, &str) = ("member/state/1/", ".jnl");
const MARKER: (&str, &str) = ("member/state/1/version", "");
const POINTER: (&str, &str) = ("member/state/1/keyspaces/1/current", "");
const MANIFEST: (&str, &str) = ("member/state/1/keyspaces/1/v", "");
const TABLE: (&str, &str) = ("member/state/1/keyspaces/1/tables/", "");

/// What is done to which file after an orderly stop, and what comes of it.
const STOPPED: [((&str, &str), What, Outcome); 31] = [
    (FORMAT, Flip(50), Refuses),
    (FORMAT, Cut, Refuses),
    (FORMAT, Empty, Refuses),
    (FORMAT, Delete, Refuses),
    (CURRENT, Flip(0), Refuses),
    (CURRENT, Empty, Refuses),
    (CURRENT, Delete, Refuses),
    (CHECKPOINT, Flip(50), Serves),
    (CHECKPOINT, Cut, Serves),
    (CHECKPOINT, Empty, Serves),
    (CHECKPOINT, Delete, Serves),
    (SEGMENT, Flip(1), Refuses),
    (SEGMENT, Flip(60), Refuses),
    (SEGMENT, Cut, Refuses),
    (SEGMENT, Empty, Refuses),
    (SEGMENT, Delete, Refuses),
    (JOURNAL, Flip(40), Refuses),
    (JOURNAL, Cut, Refuses),
    // Everything is in tables.
    (JOURNAL, Empty, Serves),
    (JOURNAL, Delete, Refuses),
    (MARKER, Empty, Refuses),
    (MARKER, Delete, Refuses),
    (POINTER, Flip(2), Refuses),
    (POINTER, Flip(50), Refuses),
    (POINTER, Cut, Refuses),
    (POINTER, Delete, Refuses),
    (MANIFEST, Flip(30), Refuses),
    (MANIFEST, Delete, Refuses),
    (TABLE, Flip(30), FailsReads),
    (TABLE, Cut, RefusesState),
    (TABLE, Delete, RefusesState),
];

/// The same after `kill -9`: there is no index checkpoint, so that the start reads all records.
const KILLED: [((&str, &str), What, Outcome); 5] = [
    (SEGMENT, Flip(60), Refuses),
    (JOURNAL, Flip(40), Refuses),
    (JOURNAL, Empty, RefusesState),
    (JOURNAL, Delete, Refuses),
    (TABLE, Flip(30), Refuses),
];

fn key(number: usize) -> String {
    format!("key/{number:06}")
}

fn value(number: usize) -> String {
    // Not compressible to nothing, so that tables have several blocks.
    (0..60)
        .map(|part| format!("{:08x}", (number * 60 + part).wrapping_mul(2_654_435_761)))
        .collect()
}

/// Fills a member; returns the hash of all it holds.
async fn fill(url: &str) -> (i64, u32) {
    let mut session = Session::connect(url).await;
    for number in 0..KEYS {
        let request = put(&key(number), &value(number));
        within("a put", session.kv.put(request)).await.unwrap();
    }
    let request = CompactionRequest { revision: 100, physical: true };
    within("a compaction", session.kv.compact(request)).await.unwrap();
    hash(&mut session).await.unwrap()
}

async fn hash(session: &mut Session) -> Result<(i64, u32), tonic::Status> {
    let revision = i64::try_from(KEYS).unwrap() + 1;
    let answer = session.maintenance.hash_kv(HashKvRequest { revision });
    let answer = within("a hash", answer).await?.into_inner();
    Ok((answer.compact_revision, answer.hash))
}

/// Reads everything; an error is what the member says of it.
async fn read(url: &str, told: (i64, u32)) -> Result<(), tonic::Status> {
    let mut session = Session::connect(url).await;
    let (mut held, mut failed) = (0, None);
    for number in 0..KEYS {
        let key = key(number);
        let request = RangeRequest { key: key.clone().into(), ..RangeRequest::default() };
        match within("a get", session.kv.range(request)).await {
            Ok(answer) => {
                let kvs = answer.into_inner().kvs;
                assert_eq!(kvs.len(), 1, "{key} is gone");
                assert_eq!(kvs[0].value, value(number).into_bytes(), "{key} has another value");
                held += 1;
            }
            Err(status) => failed = Some(status),
        }
    }
    match failed {
        Some(status) => {
            assert!(held > 0, "nothing at all can be read");
            assert!(hash(&mut session).await.is_err(), "a hash over what cannot be read");
            Err(status)
        }
        None => {
            assert_eq!(hash(&mut session).await?, told, "the hash of everything changed");
            Ok(())
        }
    }
}

fn files(root: &Path, kind: (&str, &str)) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            if name.starts_with(kind.0) && name.ends_with(kind.1) && used(&path) > 0 {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Bytes up to the last one that is not zero.
fn used(path: &Path) -> u64 {
    const ZEROS: [u8; 4096] = [0; 4096];
    let bytes = fs::read(path).unwrap();
    // Slices are compared fast in every build, bytes are not.
    let Some(last) = bytes.chunks(4096).rposition(|page| *page != ZEROS[..page.len()]) else {
        return 0;
    };
    let before = last * 4096;
    let within = bytes[before..].iter().take(4096).rposition(|byte| *byte != 0);
    within.map_or(0, |within| (before + within) as u64 + 1)
}

fn damage(path: &Path, what: What) {
    let file = || File::options().read(true).write(true).open(path).unwrap();
    match what {
        Flip(percent) => {
            let (file, at) = (file(), used(path) * percent / 100);
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        }
        Cut => file().set_len(used(path) / 2).unwrap(),
        Empty => file().set_len(0).unwrap(),
        Delete => fs::remove_file(path).unwrap(),
    }
}

fn stop(mut process: Process, orderly: bool) {
    if orderly {
        process.signal("TERM");
        process.wait_end();
    }
    process.kill();
}

/// A home whose data directory is a copy of another one's.
fn copy(of: &Subject) -> Subject {
    let copy = Subject::new(&[]);
    let mut cp = Command::new("cp");
    cp.args(["-a", "--sparse=always"]).arg(of.data()).arg(copy.home());
    assert!(cp.status().unwrap().success(), "cannot copy {}", of.data().display());
    copy
}

async fn outcome(subject: &Subject, path: &Path, told: (i64, u32)) -> (Outcome, String) {
    match subject.start(&SMALL) {
        Start::Ended(status, lines) => {
            assert_eq!(status.code(), Some(1), "{status}\n{}", lines.join("\n"));
            let line = lines.iter().find(|line| line.contains("\"level\":\"fatal\""));
            let line = line.unwrap_or_else(|| panic!("no last words\n{}", lines.join("\n")));
            let advice = ["restore", "replace", "choose", "use the", "move the"];
            assert!(advice.iter().any(|words| line.contains(words)), "no advice: {line}");
            let named = |path: &Path| {
                let name = path.strip_prefix(subject.home()).unwrap().to_str().unwrap();
                line.contains(name) || path.ends_with("wal") && line.contains("log folder")
            };
            let state = subject.data().join("member/state/1");
            let by_name = named(path) || path.parent().is_some_and(&named);
            let outcome = if by_name { Refuses } else { RefusesState };
            let by_database = named(&state) || line.contains("the state ");
            assert!(by_name || by_database, "neither the file nor its database: {line}");
            (outcome, line.clone())
        }
        Start::Serving(_process, url) => match read(&url, told).await {
            Ok(()) => (Serves, String::new()),
            Err(status) => (FailsReads, status.message().to_owned()),
        },
    }
}

async fn play(orderly: bool, cases: &[((&str, &str), What, Outcome)]) {
    let original = Subject::new(&[]);
    let (process, url) = original.start(&SMALL).serving("a start");
    let told = fill(&url).await;
    stop(process, orderly);
    let mut faults = Vec::new();
    for (kind, what, expected) in cases {
        let found = files(&original.data(), *kind);
        assert!(!found.is_empty(), "no file like {kind:?}");
        let subject = copy(&original);
        let path = found.last().unwrap().strip_prefix(original.home()).unwrap();
        let path = subject.home().join(path);
        damage(&path, *what);
        let (outcome, said) = outcome(&subject, &path, told).await;
        let case = format!("orderly {orderly}: {what:?} of {}", path.display());
        eprintln!("{case}: {outcome:?} {said}");
        if outcome != *expected {
            faults.push(format!("{case}: expected {expected:?}, got {outcome:?}: {said}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The state database's library would panic.
#[test]
fn a_folder_that_does_not_belong_to_the_state_is_named() {
    let subject = Subject::new(&[]);
    let (process, _) = subject.start(&SMALL).serving("a start");
    stop(process, true);
    let stray = subject.data().join("member/state/1/keyspaces/lost+found");
    fs::create_dir(&stray).unwrap();
    let Start::Ended(status, lines) = subject.start(&SMALL) else { panic!("it serves") };
    let said = lines.join("\n");
    assert_eq!(status.code(), Some(1), "{said}");
    let words = "keyspaces/lost+found is no part of the state database: move the folder away";
    assert!(said.contains(words), "{said}");
    fs::remove_dir(stray).unwrap();
    subject.start(&SMALL).serving("a start without it");
}

/// A disk that returns other bytes than were written, or none, while the member runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_disk_returns_wrongly_is_refused_and_read_again_when_it_is_well() {
    for (rule, words) in
        [("read /tables/ flip 0", "is damaged"), ("read /tables/ 5", "Input/output error")]
    {
        let subject = Subject::new(&[]);
        let (process, url) = subject.start(&SMALL).serving(rule);
        let told = fill(&url).await;
        stop(process, true);
        let (mut process, url) = subject.start_on_shim(&SMALL).serving(rule);
        subject.set_rules(rule);
        let mut session = Session::connect(&url).await;
        let mut refused = Vec::new();
        for number in 0..KEYS {
            let request =
                RangeRequest { key: key(number).into(), serializable: true, ..Default::default() };
            match within("a get", session.kv.range(request)).await {
                Ok(answer) => {
                    let kvs = answer.into_inner().kvs;
                    assert_eq!(kvs.len(), 1, "{rule}: key {number} is gone");
                    assert_eq!(kvs[0].value, value(number).into_bytes(), "{rule}: key {number}");
                }
                Err(status) => refused.push(status.message().to_owned()),
            }
        }
        assert!(!refused.is_empty(), "{rule}: everything was read from memory");
        assert!(refused.iter().all(|said| said.contains(words)), "{rule}: {}", refused[0]);
        assert!(hash(&mut session).await.is_err(), "{rule}: a hash over what cannot be read");
        subject.clear_rules();
        read(&url, told).await.unwrap();
        assert!(!process.has_ended());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_after_an_orderly_stop_is_never_served() {
    play(true, &STOPPED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_after_a_kill_is_never_served() {
    play(false, &KILLED).await;
}
