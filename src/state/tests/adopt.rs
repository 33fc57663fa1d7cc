//! Taking over the state of another member while everybody goes on reading.

use super::support::{Store, all, entry, keys, log_id, put};
use super::transfer::{fill, look, pieces, receive};
use crate::proto::etcdserverpb::{CompactionRequest, RangeRequest};
use crate::proto::internal::request::Op;
use crate::state::lease::LeaseEvent;
use crate::state::{ReadError, Upkeep};
use crate::types::ids::LeaseId;

/// A member that is behind, and one that is ahead of it in the same log.
fn behind_and_ahead() -> (Store, Store) {
    let (mut behind, mut ahead) = (Store::member(), Store::new());
    for store in [&mut behind, &mut ahead] {
        store.grant(1);
        store.put("a", "1");
        store.put("b", "1");
    }
    fill(&mut ahead);
    (behind, ahead)
}

fn adopt(store: &mut Store, from: &Store) {
    let received = receive(store, from);
    store.machine.adopt(received).unwrap();
    store.index = from.index;
}

#[test]
fn every_reader_sees_the_new_state_and_both_go_on_alike() {
    let (mut behind, mut ahead) = behind_and_ahead();
    let before = behind.reader.clone();
    assert_eq!(keys(&behind.contents()), "a b");
    adopt(&mut behind, &ahead);
    assert_eq!(look(&behind), look(&ahead));
    assert_eq!(before.range(&all()).unwrap(), ahead.reader.range(&all()).unwrap());
    assert_eq!(before.applied_index(), ahead.index);
    for store in [&mut behind, &mut ahead] {
        store.put("k06", "after");
        store.revoke(5).1.unwrap();
        store.settle();
        store.compact(70);
    }
    assert_eq!(look(&behind), look(&ahead));
    drop(before);
    let behind = behind.reopen();
    assert_eq!(look(&behind), look(&ahead));
    assert_eq!(look(&behind.restart()), look(&ahead));
}

#[test]
fn it_is_known_how_far_the_state_was_received() {
    let (mut behind, ahead) = behind_and_ahead();
    assert_eq!(behind.machine.received(), None);
    adopt(&mut behind, &ahead);
    assert_eq!(behind.machine.received(), behind.machine.applied());
    let mut behind = behind.reopen();
    assert_eq!(behind.machine.received(), Some(log_id(ahead.index)));
    behind.put("k", "v");
    assert_eq!(behind.machine.received(), Some(log_id(ahead.index)));
    assert_eq!(behind.machine.applied(), Some(log_id(ahead.index + 1)));
    // That is this member's own story and not told on.
    let mut third = Store::member();
    adopt(&mut third, &behind);
    assert_eq!(third.machine.received(), Some(log_id(ahead.index + 1)));
}

#[test]
fn a_crash_leaves_the_old_state_or_the_new_one() {
    let (behind, ahead) = behind_and_ahead();
    let old = look(&behind);
    // It has an index checkpoint, which must not be taken for one of the new state.
    let behind = behind.restart();
    assert!(behind.options.checkpoint.as_ref().unwrap().exists());
    // Before it is valid. The folder stays, as nobody tidies up.
    let received = receive(&behind, &ahead);
    std::mem::forget(received.fresh);
    drop(received.engine);
    let behind = behind.reopen();
    assert_eq!(look(&behind), old);
    // Right after it is valid.
    let received = receive(&behind, &ahead);
    received.fresh.make_valid().unwrap();
    drop(received.engine);
    let behind = behind.reopen();
    assert_eq!(look(&behind), look(&ahead));
    assert_eq!(behind.machine.received(), Some(log_id(ahead.index)));
}

#[test]
fn the_old_state_stays_for_those_who_read_it_and_goes_afterwards() {
    let (mut behind, ahead) = behind_and_ahead();
    let (old, image) = (behind.folder(), behind.machine.image().unwrap());
    adopt(&mut behind, &ahead);
    behind.settle();
    assert!(matches!(behind.machine.maintain().unwrap(), Upkeep::Rest(_)));
    assert!(old.exists());
    assert_eq!(pieces(&image).len(), 2);
    drop(image);
    assert_eq!(behind.machine.maintain().unwrap(), Upkeep::Done);
    assert!(!old.exists() && behind.folder().exists());
}

#[test]
fn a_state_that_is_not_ahead_is_dropped() {
    let (mut behind, ahead) = behind_and_ahead();
    adopt(&mut behind, &ahead);
    let before = look(&behind);
    for received in [receive(&behind, &ahead), receive(&behind, &Store::new())] {
        behind.machine.adopt(received).unwrap();
    }
    assert_eq!(look(&behind), before);
    behind.machine.apply(vec![entry(ahead.index + 1, vec![Op::Put(put("k", "v"))])]).unwrap();
    assert_eq!(behind.reader.applied_index(), ahead.index + 1);
}

#[test]
fn who_follows_leases_is_told_to_read_them_anew() {
    let (mut behind, ahead) = behind_and_ahead();
    let (mut events, reader) = (behind.reader.lease_events(), behind.reader.clone());
    adopt(&mut behind, &ahead);
    assert_eq!(events.try_recv().unwrap(), LeaseEvent::Replaced);
    assert_eq!(reader.leases(), ahead.reader.leases());
    assert_eq!(reader.lease_table().get(LeaseId(6)).unwrap().remaining, 7);
    assert_eq!(reader.lease_keys(LeaseId(5)), ["leased"]);
}

#[test]
fn who_waits_for_a_compaction_is_told_when_the_new_state_has_it_behind_it() {
    let (mut behind, mut ahead) = behind_and_ahead();
    let wait = |revision| Op::Compaction(CompactionRequest { revision, physical: true });
    let mut early = behind.run(wait(2)).physical.unwrap();
    let mut late = behind.run(wait(3)).physical.unwrap();
    ahead.settle();
    adopt(&mut behind, &ahead);
    assert_eq!((early.try_recv(), late.try_recv()), (Ok(()), Ok(())));
}

#[test]
fn a_stream_of_a_range_goes_on_or_says_that_it_is_compacted() {
    let (mut behind, mut ahead) = (Store::member(), Store::new());
    for n in 0..50 {
        for store in [&mut behind, &mut ahead] {
            store.put(&format!("k{n:02}"), "old");
        }
    }
    let begin = |store: &Store| {
        let request = RangeRequest { limit: 0, ..all() };
        let mut stream = store.reader.range_stream(request, 100).unwrap();
        let first = stream.next_piece().unwrap().unwrap().kvs;
        (stream, first)
    };
    let (mut stream, mut kvs) = begin(&behind);
    for n in 0..50 {
        ahead.put(&format!("k{n:02}"), "new");
    }
    adopt(&mut behind, &ahead);
    while let Some(piece) = stream.next_piece().unwrap() {
        kvs.extend(piece.kvs);
    }
    assert_eq!(kvs.len(), 50);
    assert!(kvs.iter().all(|kv| kv.value == "old"), "all of one revision");
    let (mut stream, _) = begin(&behind);
    ahead.put("k00", "newer");
    ahead.compact(102);
    adopt(&mut behind, &ahead);
    assert!(matches!(stream.next_piece(), Err(ReadError::Compacted)));
}

#[test]
fn metrics_quota_and_events_follow() {
    let (mut behind, ahead) = behind_and_ahead();
    let mut told = behind.reader.events().revisions();
    told.borrow_and_update();
    adopt(&mut behind, &ahead);
    assert!(told.has_changed().unwrap());
    assert_eq!(*told.borrow(), ahead.reader.revision());
    let events = behind.reader.events();
    assert_eq!(events.since(ahead.reader.revision()), None, "read from history");
    assert_eq!(events.since(ahead.reader.revision() + 1), Some(vec![]));
    assert_eq!(*events.compactions().borrow(), 30);
    assert_eq!(behind.reader.quota_used(), ahead.reader.quota_used());
    let gauge = |name: &str| behind.registry().gauge(name, "").get();
    assert_eq!(gauge("etcd_debugging_mvcc_current_revision"), ahead.reader.revision());
    assert_eq!(gauge("etcd_debugging_mvcc_compact_revision"), 30);
}
