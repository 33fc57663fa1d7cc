//! What the log does when the file system fails: it says so once and for all, and what it
//! acknowledged before is there afterwards.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;

use super::super::{Wal, WalError, WalOptions};
use super::disk::{Plan, Step, TestDisk};
use super::{append, entry, open, pos, purge, small, vote};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn open_failing(dir: &Path, plan: &Arc<Plan>) -> Result<Wal, WalError> {
    let disk = Arc::new(TestDisk(Arc::clone(plan)));
    Wal::open_on(disk, dir, small()).map(|(wal, _)| wal)
}

/// Uses the log until it fails or the script ends; returns how many entries, and which vote, were
/// acknowledged.
fn run_script(wal: &Wal) -> (u64, Option<Bytes>) {
    let (mut entries, mut voted, mut failed) = (0, None, false);
    for round in 0..30 {
        let frames = (round * 2..round * 2 + 2).map(|index| entry(index, 1, 500)).collect();
        let outcome = append(wal, frames);
        assert!(!(failed && outcome.is_ok()), "round {round}: success after a failure");
        failed |= outcome.is_err();
        entries = if outcome.is_ok() { round * 2 + 2 } else { entries };
        let outcome = vote(wal, &round.to_string());
        assert!(!(failed && outcome.is_ok()), "round {round}: success after a failure");
        failed |= outcome.is_err();
        voted = if outcome.is_ok() { Some(Bytes::from(round.to_string())) } else { voted };
        if round == 20 && !failed {
            failed |= purge(wal, pos(10, 1)).is_err();
        }
    }
    assert_eq!(wal.close().is_err(), failed || wal.close().is_err());
    (entries, voted)
}

#[test]
fn a_failure_at_any_call_is_final_and_loses_nothing_acknowledged() {
    use Step::{Allocate, Create, Remove, Rename, Sync, SyncDir, Write};
    for step in [Create, Allocate, Write, Sync, Rename, SyncDir, Remove] {
        for after in 0..18 {
            let dir = tempfile::tempdir().unwrap();
            let plan = Plan::new(step, after, false, EIO);
            let (entries, voted) = match open_failing(dir.path(), &plan) {
                Ok(wal) => run_script(&wal),
                Err(_) => (0, None),
            };
            let (wal, found) = open(dir.path());
            let acknowledged: Vec<_> =
                (found.first..entries).map(|index| entry(index, 1, 500)).collect();
            let held = wal.read(0..entries).unwrap();
            assert_eq!(held, acknowledged, "{step:?} after {after}");
            assert!(found.first <= 11);
            let number = |vote: Option<Bytes>| {
                vote.map(|vote| String::from_utf8(vote.to_vec()).unwrap().parse::<u64>().unwrap())
            };
            assert!(number(found.vote) >= number(voted), "{step:?} after {after}");
        }
    }
}

#[test]
fn calls_queued_behind_a_failure_fail_too() {
    let dir = tempfile::tempdir().unwrap();
    // The first sync creates the segment.
    let plan = Plan::new(Step::Sync, 1, false, EIO);
    let wal = open_failing(dir.path(), &plan).unwrap();
    let (sender, outcomes) = std::sync::mpsc::channel();
    for index in 0..50 {
        let sender = sender.clone();
        wal.append(vec![entry(index, 1, 10)], move |outcome| {
            sender.send((index, outcome.map_err(|error| error.to_string()))).unwrap();
        });
    }
    for (expected, (index, outcome)) in outcomes.iter().take(50).enumerate() {
        assert_eq!(index, expected as u64);
        assert!(outcome.unwrap_err().contains("the Raft log failed"));
    }
}

#[test]
fn a_full_disk_is_told_early_and_does_not_prevent_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::new(Step::Allocate, 1, true, ENOSPC);
    let wal = open_failing(dir.path(), &plan).unwrap();
    append(&wal, vec![entry(0, 1, 1000)]).unwrap();
    while !wal.low_space() {
        thread::yield_now();
    }
    let mut held = 1;
    let error = loop {
        match append(&wal, vec![entry(held, 1, 1000)]) {
            Ok(()) => held += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert!(held > 2);
    drop(wal);
    let wal = open_failing(dir.path(), &plan).unwrap();
    assert_eq!(wal.read(0..held).unwrap().len() as u64, held);
}

#[test]
fn without_fsync_nothing_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    wal.close().unwrap();
    let plan = Plan::new(Step::Sync, 0, true, EIO);
    let disk = Arc::new(TestDisk(plan));
    let options = WalOptions { fsync: false, segment_bytes: 1 << 20, ..small() };
    let (wal, _) = Wal::open_on(disk, dir.path(), options).unwrap();
    append(&wal, vec![entry(0, 1, 1000)]).unwrap();
    wal.close().unwrap();
}
