//! What the rooms above rely on in the state database.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fjall::AbstractTree;

use super::{Engine, Options, Space, StorageError};
use crate::types::clock::Clock;

fn open(dir: &Path) -> Engine {
    Engine::open(dir, &Options::default()).unwrap()
}

fn keys(engine: &Engine, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Vec<Bytes> {
    engine.scan(Space::Records, from, to).map(|pair| pair.unwrap().0).collect()
}

fn fill(engine: &Engine, names: &[&str]) {
    let mut batch = engine.batch();
    for name in names {
        batch.put(Space::Records, name.as_bytes(), name.as_bytes());
    }
    batch.commit().unwrap();
}

#[test]
fn a_batch_is_whole_across_keyspaces_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut batch = engine.batch();
    assert!(batch.is_empty());
    for space in Space::ALL {
        batch.put(space, b"k", space.name().as_bytes());
        batch.put_bytes(space, b"gone", Bytes::from_static(b"x"));
        batch.delete(space, b"gone");
    }
    assert_eq!(batch.len(), 18);
    assert_eq!(engine.get(Space::Meta, b"k").unwrap(), None);
    batch.commit().unwrap();
    engine.persist().unwrap();
    drop(engine);
    let engine = open(dir.path());
    for space in Space::ALL {
        assert_eq!(engine.get(space, b"k").unwrap().unwrap(), space.name());
        assert_eq!(engine.get(space, b"gone").unwrap(), None);
    }
    assert!(engine.disk_bytes() > 0);
}

#[test]
fn what_was_flushed_is_not_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    fill(&engine, &["a", "b"]);
    assert!(engine.inner.db.write_buffer_size() > 0);
    engine.persist().unwrap();
    engine.flush().unwrap();
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(engine.inner.db.write_buffer_size(), 0);
    assert_eq!(keys(&engine, Bound::Unbounded, Bound::Unbounded), ["a", "b"]);
}

#[test]
fn buffers_that_were_written_out_are_freed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    fill(&engine, &["a", "b"]);
    let buffer = Arc::downgrade(&engine.space(Space::Records).tree.active_memtable());
    for _ in 0..3 {
        engine.flush().unwrap();
        fill(&engine, &["a", "b"]);
    }
    let begun = Clock.now();
    while buffer.strong_count() > 0 {
        assert!(Clock.now() - begun < Duration::from_secs(60), "{} owners", buffer.strong_count());
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn scans_respect_their_bounds_from_both_ends() {
    use Bound::{Excluded, Included, Unbounded};
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    fill(&engine, &["a", "b", "c", "d"]);
    assert_eq!(keys(&engine, Unbounded, Unbounded), ["a", "b", "c", "d"]);
    assert_eq!(keys(&engine, Included(b"b"), Excluded(b"d")), ["b", "c"]);
    assert_eq!(keys(&engine, Excluded(b"b"), Included(b"d")), ["c", "d"]);
    for (from, to) in [(Included(&b"c"[..]), Included(&b"b"[..])), (Excluded(b"b"), Excluded(b"b"))]
    {
        assert!(keys(&engine, from, to).is_empty());
    }
    let mut scan = engine.scan(Space::Records, Unbounded, Unbounded);
    assert_eq!(scan.next_back().unwrap().unwrap().0, "d");
    assert_eq!(scan.next().unwrap().unwrap().0, "a");
    assert_eq!(scan.next_back().unwrap().unwrap().0, "c");
    assert_eq!(scan.next().unwrap().unwrap().0, "b");
    assert!(scan.next().is_none() && scan.next_back().is_none());
}

#[test]
fn a_view_keeps_its_moment() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    fill(&engine, &["a", "b"]);
    let view = engine.view();
    let mut batch = engine.batch();
    batch.put(Space::Records, b"a", b"changed");
    batch.delete(Space::Records, b"b");
    batch.put(Space::Records, b"c", b"new");
    batch.commit().unwrap();
    assert_eq!(view.get(Space::Records, b"a").unwrap().unwrap(), "a");
    let seen = view.scan(Space::Records, Bound::Unbounded, Bound::Unbounded);
    assert_eq!(seen.map(|pair| pair.unwrap().1).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(keys(&engine, Bound::Unbounded, Bound::Unbounded), ["a", "c"]);
}

#[test]
fn many_keys_are_deleted_in_steps() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut batch = engine.batch();
    for number in 0..10_000_u32 {
        batch.put(Space::Records, &number.to_be_bytes(), b"x");
    }
    batch.commit().unwrap();
    let doomed = (0..10_000_u32).filter(|number| number % 10 != 0).map(u32::to_be_bytes);
    engine.delete_many(Space::Records, doomed).unwrap();
    assert_eq!(keys(&engine, Bound::Unbounded, Bound::Unbounded).len(), 1000);
}

#[test]
fn a_bulk_load_is_there_at_once_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let pair = |key: u32| (Bytes::copy_from_slice(&key.to_be_bytes()), Bytes::from_static(b"v"));
    let pairs = (0..5000).map(|key| Ok::<_, StorageError>(pair(key)));
    assert_eq!(engine.load(Space::Records, pairs).unwrap(), 5000);
    assert_eq!(keys(&engine, Bound::Unbounded, Bound::Unbounded).len(), 5000);
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(keys(&engine, Bound::Unbounded, Bound::Unbounded).len(), 5000);

    let unsorted = [3, 5, 4].map(|key| Ok::<_, StorageError>(pair(key)));
    let error = engine.load(Space::Leases, unsorted).unwrap_err();
    assert!(matches!(error, StorageError::Unsorted { position: 2, .. }), "{error}");
    assert_eq!(engine.get(Space::Leases, &3_u32.to_be_bytes()).unwrap(), None);
}

/// fjall recovers buffers from its journal at open; the engine is to be writable at once.
#[test]
fn a_killed_database_is_whole_and_writable() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(dir.path());
    for round in 0..50_u32 {
        let mut batch = engine.batch();
        batch.put(Space::Meta, b"round", &round.to_be_bytes());
        for number in 0..200_u32 {
            let key = [round.to_be_bytes(), number.to_be_bytes()].concat();
            batch.put(Space::Records, &key, &[7; 500]);
        }
        batch.commit().unwrap();
    }
    copy_tree(dir.path(), copy.path());
    drop(engine);
    let engine = open(copy.path());
    assert_eq!(engine.get(Space::Meta, b"round").unwrap().unwrap(), &49_u32.to_be_bytes()[..]);
    assert_eq!(keys(&engine, Bound::Unbounded, Bound::Unbounded).len(), 10_000);
    fill(&engine, &["more"]);
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_database_is_not_calm_from_a_full_buffer_until_it_is_written_out() {
    const STEP: usize = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut steps: u64 = 0;
    while engine.is_calm() {
        let mut batch = engine.batch();
        batch.put(Space::Records, &steps.to_be_bytes(), &vec![7; STEP]);
        batch.commit().unwrap();
        steps += 1;
    }
    let full = Space::Records.buffer_bytes() / STEP as u64;
    assert!((full..=full + 1).contains(&steps), "{steps} of {full} MiB");
    while !engine.is_calm() {
        std::thread::park_timeout(Duration::from_millis(1));
        fill(&engine, &["a"]);
    }
    assert_eq!(engine.inner.spaces[0].sealed_memtable_count(), 0);
}
