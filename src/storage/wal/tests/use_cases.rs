//! What the log promises when nothing goes wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use bytes::Bytes;

use super::super::{Frame, Wal, WalError, WalOptions};
use super::{append, done, entry, open, pos, purge, small, truncate, vote};

fn entries(range: std::ops::Range<u64>) -> Vec<Frame> {
    range.map(|index| entry(index, 1, 300)).collect()
}

fn file_count(dir: &std::path::Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, fresh) = open(dir.path());
    assert_eq!((fresh.first, fresh.last, fresh.vote), (0, None, None));
    append(&wal, entries(0..40)).unwrap();
    vote(&wal, "me").unwrap();
    wal.save_committed(Bytes::from_static(b"39"));
    truncate(&wal, 30).unwrap();
    append(&wal, (30..60).map(|index| entry(index, 2, 300)).collect()).unwrap();
    purge(&wal, pos(20, 1)).unwrap();
    wal.close().unwrap();

    let (wal, found) = open(dir.path());
    assert_eq!(found.vote, Some(Bytes::from_static(b"me")));
    assert_eq!(found.committed, Some(Bytes::from_static(b"39")));
    assert_eq!((found.purged, found.first, found.last), (Some(pos(20, 1)), 21, Some(pos(59, 2))));
    let mut expected = entries(21..30);
    expected.extend((30..60).map(|index| entry(index, 2, 300)));
    assert_eq!(wal.read(0..1000).unwrap(), expected);
}

#[test]
fn entries_are_readable_before_they_are_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    let (first, outcome) = done();
    wal.append(entries(5..9), first);
    assert_eq!(wal.read(0..u64::MAX).unwrap(), entries(5..9));
    assert_eq!(wal.positions().last, Some(pos(8, 1)));
    outcome.recv().unwrap().unwrap();
}

#[test]
fn entries_evicted_from_memory_come_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = Wal::open(dir.path(), WalOptions { cache_bytes: 0, ..small() }).unwrap();
    for index in 0..100 {
        append(&wal, entries(index..index + 1)).unwrap();
    }
    assert_eq!(wal.read(3..97).unwrap(), entries(3..97));
}

#[test]
fn callbacks_come_in_the_order_of_the_calls() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    let (sender, outcomes) = mpsc::channel();
    for index in 0..500 {
        let sender = sender.clone();
        wal.append(entries(index..index + 1), move |outcome| {
            sender.send((index, outcome.is_ok())).unwrap();
        });
    }
    let order: Vec<_> = outcomes.iter().take(500).collect();
    assert_eq!(order, (0..500).map(|index| (index, true)).collect::<Vec<_>>());
}

#[test]
fn an_entry_larger_than_a_segment_gets_a_larger_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    let frames = vec![entry(0, 1, 10), entry(1, 1, 100_000), entry(2, 1, 10)];
    append(&wal, frames.clone()).unwrap();
    wal.close().unwrap();
    assert_eq!(open(dir.path()).0.read(0..3).unwrap(), frames);
}

#[test]
fn purging_removes_files_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    vote(&wal, "kept").unwrap();
    append(&wal, entries(0..500)).unwrap();
    let before = file_count(dir.path());
    purge(&wal, pos(498, 1)).unwrap();
    wal.close().unwrap();
    assert!(file_count(dir.path()) + 15 < before, "{before} files");
    let (wal, found) = open(dir.path());
    assert_eq!(found.vote, Some(Bytes::from_static(b"kept")));
    assert_eq!(wal.read(0..1000).unwrap(), entries(499..500));
    append(&wal, entries(500..510)).unwrap();
}

#[test]
fn purging_beyond_the_end_moves_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    append(&wal, entries(0..50)).unwrap();
    purge(&wal, pos(1000, 7)).unwrap();
    assert_eq!(wal.positions().last, Some(pos(1000, 7)));
    append(&wal, entries(50..51)).unwrap_err();
    append(&wal, entries(1001..1003)).unwrap();
    wal.close().unwrap();
    let (wal, found) = open(dir.path());
    assert_eq!((found.first, found.last), (1001, Some(pos(1002, 1))));
    assert_eq!(wal.read(0..2000).unwrap(), entries(1001..1003));
}

#[test]
fn a_gap_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    append(&wal, entries(0..3)).unwrap();
    let error = append(&wal, entries(4..5)).unwrap_err();
    assert!(error.to_string().contains("next index is 3"), "{error}");
    append(&wal, entries(3..4)).unwrap();
    assert_eq!(wal.read(0..9).unwrap(), entries(0..4));
}

#[test]
fn a_log_that_must_exist_is_not_created() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions { must_exist: true, ..small() };
    let error = Wal::open(dir.path(), options).map(|_| ()).unwrap_err();
    assert!(matches!(error, WalError::Missing { id: 1, .. }), "{error}");
    assert_eq!(file_count(dir.path()), 0);
}

#[test]
fn a_log_of_the_go_etcd_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("0000000000000000-0000000000000000.wal"), b"x").unwrap();
    let error = Wal::open(dir.path(), small()).map(|_| ()).unwrap_err();
    assert!(matches!(error, WalError::Foreign { .. }), "{error}");
}

#[test]
fn calls_after_closing_fail() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    wal.close().unwrap();
    assert!(append(&wal, entries(0..1)).unwrap_err().to_string().contains("closed"));
    wal.close().unwrap();
}

#[test]
fn a_reader_is_not_disturbed_by_writes_and_purges() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = Wal::open(dir.path(), WalOptions { cache_bytes: 2000, ..small() }).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = thread::spawn({
        let (wal, stop) = (wal.clone(), Arc::clone(&stop));
        move || {
            let mut seen = 0;
            while !stop.load(Ordering::Relaxed) {
                let frames = wal.read(0..u64::MAX).unwrap();
                for (frame, next) in frames.iter().zip(frames.iter().skip(1)) {
                    assert_eq!(frame.index + 1, next.index);
                }
                for frame in &frames {
                    assert_eq!(*frame, entry(frame.index, 1, 300));
                }
                seen += frames.len();
            }
            seen
        }
    });
    for round in 0..60 {
        append(&wal, entries(round * 10..round * 10 + 10)).unwrap();
        if round > 3 {
            purge(&wal, pos(round * 10 - 30, 1)).unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 0);
}
