//! Compaction: what is refused, what stays readable, what is deleted.

use std::time::Duration;

use super::support::{Store, all, get, keys, pairs, put};
use crate::proto::etcdserverpb::{CompactionRequest, RangeRequest};
use crate::proto::internal::request::Op;
use crate::state::{ApplyError, Options, Pace, ReadError, Response, Upkeep};
use crate::types::clock::Clock;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn revisions_to_compact_are_bounded() {
    let mut store = Store::new();
    store.put("k", "1");
    store.put("k", "2");
    assert_eq!(store.accept_compaction(4), Err(ApplyError::FutureRevision));
    assert_eq!(store.accept_compaction(-1), Err(ApplyError::Compacted));
    assert_eq!(store.accept_compaction(0), Ok(Response::Compact));
    assert_eq!(store.reader.compacted(), 0);
    assert_eq!(store.accept_compaction(0), Err(ApplyError::Compacted));
    assert_eq!(store.accept_compaction(3), Ok(Response::Compact));
    assert_eq!(store.accept_compaction(2), Err(ApplyError::Compacted));
    assert_eq!(store.reader.compacted(), 3);
    assert_eq!(store.reader.revision(), 3, "compaction moves no revision");
}

#[test]
fn reads_below_fail_at_once_and_those_at_or_above_go_on() {
    let mut store = Store::new();
    for value in ["1", "2", "3"] {
        store.put("k", value);
    }
    store.put("gone", "");
    store.delete("gone", "");
    let before = [4, 5, 6].map(|revision| read(&store, revision));
    store.accept_compaction(4).unwrap();
    for _ in ["accepted", "carried out"] {
        assert!(matches!(
            store.reader.range(&RangeRequest { revision: 3, ..all() }),
            Err(ReadError::Compacted)
        ));
        assert_eq!([4, 5, 6].map(|revision| read(&store, revision)), before);
        store.settle();
    }
    assert_eq!(store.reader.key_counts(), (1, 3));
}

fn read(store: &Store, revision: i64) -> Vec<(String, String)> {
    pairs(&store.reader.range(&RangeRequest { revision, ..all() }).unwrap().kvs)
}

#[test]
fn the_sweep_is_cut_into_steps_and_goes_on_after_a_restart() {
    let mut store = Store::new();
    for round in 0..4 {
        let ops = (0..1500).map(|n| Op::Put(put(&format!("k{n:04}"), &format!("{round}"))));
        store.batch(ops.collect());
    }
    let revision = store.reader.revision();
    assert_eq!(revision, 6001);
    let contents = store.contents();
    store.accept_compaction(revision).unwrap();
    for _ in 0..3 {
        assert_eq!(store.machine.maintain().unwrap(), Upkeep::More, "three steps cannot be enough");
    }
    assert!(store.reader.key_counts().1 > 1500);
    let mut store = store.reopen();
    assert_eq!(store.reader.compacted(), revision);
    store.settle();
    assert_eq!(store.reader.key_counts(), (1500, 1500));
    assert_eq!(store.contents(), contents);
    let bytes: usize = contents.iter().map(|kv| 17 + prost::Message::encoded_len(kv)).sum();
    assert_eq!(store.reader.sizes().in_use, bytes as u64);
    let store = store.reopen();
    assert_eq!(store.reader.key_counts(), (1500, 1500));
    assert_eq!(store.contents(), contents);
}

#[test]
fn whoever_waits_for_the_deletion_is_told_when_it_is_done() {
    let mut store = Store::new();
    for value in ["1", "2", "3"] {
        store.put("k", value);
    }
    let compact = |revision, physical| Op::Compaction(CompactionRequest { revision, physical });
    assert!(store.run(compact(2, false)).physical.is_none());
    let mut first = store.run(compact(3, true)).physical.unwrap();
    let mut second = store.run(compact(4, true)).physical.unwrap();
    assert!(first.try_recv().is_err());
    store.settle();
    assert_eq!((first.try_recv(), second.try_recv()), (Ok(()), Ok(())));
    assert_eq!(store.reader.key_counts(), (1, 1));
    assert!(store.run(compact(4, true)).physical.is_none(), "a refused one waits for nothing");
}

#[test]
fn a_compaction_accepted_during_another_is_carried_out_after_it() {
    let mut store = Store::new();
    for _ in 0..2 {
        store.batch((0..1000).map(|n| Op::Put(put(&format!("k{n:04}"), ""))).collect());
    }
    store.accept_compaction(1500).unwrap();
    store.machine.maintain().unwrap();
    store.accept_compaction(2001).unwrap();
    store.settle();
    assert_eq!(store.reader.key_counts(), (1000, 1000));
}

#[test]
fn previous_values_are_silently_absent_once_compacted() {
    let mut store = Store::new();
    for value in ["1", "2", "3", "4"] {
        store.put("k", value);
    }
    let prev = |store: &Store, revision| {
        store.reader.prev_kv(b"k", revision).unwrap().map(|kv| pairs(&[kv])[0].1.clone())
    };
    assert_eq!(prev(&store, 4).as_deref(), Some("2"));
    let events = store.reader.events().since(4).unwrap();
    store.compact(4);
    assert_eq!(prev(&store, 4), None);
    assert_eq!(prev(&store, 5).as_deref(), Some("3"));
    let record = |place: usize| {
        let at = events[place].prev[0].unwrap();
        store.reader.prev_record(at, events[place].revision).unwrap().map(|kv| kv.value)
    };
    assert_eq!((record(0), record(1)), (None, Some("3".into())));
    assert_eq!(prev(&store, 2), None);
}

#[test]
fn readers_on_other_threads_never_see_the_deletion() {
    let mut store = Store::new();
    for _ in 0..3 {
        store.batch((0..600).map(|n| Op::Put(put(&format!("k{n:04}"), "v"))).collect());
    }
    let reader = store.reader.clone();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut rounds = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let answer = reader.range(&all()).unwrap();
                assert_eq!((answer.kvs.len(), answer.count), (600, 600));
                rounds += 1;
            }
            rounds
        });
        for round in 0..20 {
            let ops = (0..600).map(|n| Op::Put(put(&format!("k{n:04}"), &format!("{round}"))));
            store.batch(ops.collect());
            let revision = store.reader.revision();
            store.compact(revision);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reading.join().unwrap() > 0);
    });
    assert_eq!(keys(&store.reader.range(&get("k0000")).unwrap().kvs), "k0000");
}

/// A store in which a compaction drops 1000 records, at this pace.
fn paced(batch: usize, pause: Duration) -> Store {
    let mut store = Store::with(Options { pace: Pace { batch, pause }, ..Options::default() });
    for _ in 0..2 {
        store.batch((0..1000).map(|n| Op::Put(put(&format!("k{n:04}"), ""))).collect());
    }
    let revision = store.reader.revision();
    store.accept_compaction(revision).unwrap();
    store
}

#[test]
fn a_small_batch_makes_small_steps_and_a_large_one_no_larger_ones() {
    for (batch, most) in [(7, 7), (300, 256), (usize::MAX, 256), (0, 1)] {
        let mut store = paced(batch, Duration::ZERO);
        let (mut largest, mut before) = (0, 0);
        while store.machine.maintain().unwrap() == Upkeep::More {
            let step = store.deleted() - before;
            assert!(step <= most, "batch {batch}: {step} records in one step");
            (largest, before) = (largest.max(step), store.deleted());
        }
        assert_eq!((largest, before), (most, 1000), "batch {batch}");
    }
}

#[test]
fn a_pause_comes_after_each_batch_and_holds_up_nothing() {
    let mut store = paced(300, HOUR);
    let until = loop {
        match store.machine.maintain().unwrap() {
            Upkeep::More => {}
            Upkeep::Rest(until) => break until,
            Upkeep::Done => panic!("no pause after the first batch"),
        }
    };
    let left = until - Clock.now();
    assert!(left <= HOUR && left > HOUR / 2, "{left:?}");
    assert_eq!(store.deleted(), 300);
    let revision = store.put("k0000", "during the pause");
    assert_eq!(store.machine.maintain().unwrap(), Upkeep::Rest(until));
    assert_eq!(store.deleted(), 300);
    assert_eq!(store.accept_compaction(revision), Ok(Response::Compact), "another may be accepted");
    assert!(read(&store, revision).contains(&("k0000".into(), "during the pause".into())));
}
