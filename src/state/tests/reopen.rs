//! Restarts: the state after is the state before, from records alone or with an index checkpoint.

use super::support::{Store, delete, entry, log_id, op_delete, op_put, put, then};
use crate::proto::etcdserverpb::PutRequest;
use crate::proto::internal::request::Op;
use crate::proto::mvccpb::KeyValue;
use crate::state::{Options, StateError, Upkeep};

/// Everything a client could tell two states apart by.
fn look(store: &Store) -> (i64, i64, Vec<KeyValue>, (u64, u64), u32, u64) {
    (
        store.reader.revision(),
        store.reader.compacted(),
        store.contents(),
        store.reader.key_counts(),
        store.reader.hash_kv(0).unwrap().hash,
        store.reader.sizes().in_use,
    )
}

fn fill(store: &mut Store) {
    store.grant(5);
    for n in 0..40 {
        store.put(&format!("k{:02}", n % 13), &format!("{n}"));
    }
    store.try_put(PutRequest { lease: 5, ..put("leased", "") }).unwrap();
    store.delete("k05", "k08");
    store.txn(then(vec![op_put(put("k06", "back")), op_delete(delete("k10", "\0"))]));
}

#[test]
fn a_crash_loses_nothing_that_was_applied() {
    let mut store = Store::new();
    fill(&mut store);
    let before = look(&store);
    let mut store = store.reopen();
    assert_eq!(look(&store), before);
    assert_eq!(store.machine.applied(), Some(log_id(44)));
    store.put("k06", "next");
    assert_eq!(store.get("k06").unwrap().version, 2);
    store.compact(20);
    let before = look(&store);
    let store = store.reopen();
    assert_eq!(look(&store), before);
}

#[test]
fn an_empty_store_reopens_empty() {
    let store = Store::new().reopen();
    assert_eq!((store.reader.revision(), store.reader.compacted()), (1, -1));
    assert_eq!(store.machine.applied(), None);
}

#[test]
fn entries_applied_before_are_skipped_and_holes_are_fatal() {
    let mut store = Store::new();
    store.put("k", "1");
    let mut store = store.reopen();
    let again = || entry(1, vec![Op::Put(put("k", "again"))]);
    let next = entry(2, vec![Op::Put(put("k", "2"))]);
    let outcomes = store.machine.apply(vec![again(), next]).unwrap();
    assert!(outcomes[0].is_none());
    assert_eq!(outcomes[1].as_ref().unwrap()[0].revision, 3);
    assert!(store.machine.apply(vec![again()]).unwrap()[0].is_none());
    assert_eq!(store.reader.revision(), 3);
    let hole = store.machine.apply(vec![entry(4, vec![])]).unwrap_err();
    assert!(matches!(hole, StateError::Gap { expected: 3, got: 4 }), "{hole}");
}

fn with_checkpoint() -> Store {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.keep().join("index");
    Store::with(Options { checkpoint: Some(path), ..Options::default() })
}

#[test]
fn a_checkpoint_and_the_records_above_it_give_the_same_state() {
    let mut store = with_checkpoint();
    fill(&mut store);
    let mut store = store.restart();
    fill_more(&mut store);
    let before = look(&store);
    // A crash: the checkpoint is older than the store.
    let mut store = store.reopen();
    assert_eq!(look(&store), before);
    store.compact(60);
    let before = look(&store);
    let store = store.restart();
    assert_eq!(look(&store), before);
    let store = store.reopen();
    assert_eq!(look(&store), before);
}

fn fill_more(store: &mut Store) {
    for n in 0..30 {
        store.put(&format!("k{:02}", n % 9), &format!("more {n}"));
    }
    store.delete("k02", "");
}

#[test]
fn a_checkpoint_older_than_a_compaction_is_not_trusted() {
    let mut store = with_checkpoint();
    store.put("doomed", "1");
    store.put("kept", "1");
    let mut store = store.restart();
    store.put("doomed", "2");
    store.delete("doomed", "");
    store.put("kept", "2");
    store.accept_compaction(6).unwrap();
    // One step is enough to delete; a second one would write a new checkpoint.
    assert_eq!(store.machine.maintain().unwrap(), Upkeep::More);
    let before = look(&store);
    assert_eq!(before.3, (1, 1));
    let store = store.reopen();
    assert_eq!(look(&store), before);
}

#[test]
fn a_checkpoint_taken_before_the_sweep_is_swept_again() {
    let mut store = with_checkpoint();
    for value in ["1", "2", "3"] {
        store.put("k", value);
    }
    store.accept_compaction(4).unwrap();
    // Stops before the sweep began, then carries it out, then crashes.
    let mut store = store.restart();
    store.settle();
    let before = look(&store);
    assert_eq!(before.3, (1, 1));
    let mut store = store.reopen();
    store.settle();
    assert_eq!(look(&store), before);
}

#[test]
fn a_damaged_checkpoint_is_ignored() {
    let mut store = with_checkpoint();
    fill(&mut store);
    let before = look(&store);
    let path = store.options.checkpoint.clone().unwrap();
    let store = store.restart();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&path, bytes).unwrap();
    let store = store.reopen();
    assert_eq!(look(&store), before);
}

#[test]
fn a_checkpoint_from_the_future_is_ignored() {
    let mut ahead = with_checkpoint();
    fill(&mut ahead);
    let path = ahead.options.checkpoint.clone().unwrap();
    drop(ahead.restart());
    let mut store = Store::with(Options { checkpoint: Some(path), ..Options::default() });
    assert_eq!(store.reader.revision(), 1);
    assert!(store.contents().is_empty());
    store.put("k", "v");
    let store = store.reopen();
    assert_eq!(store.contents().len(), 1);
}
