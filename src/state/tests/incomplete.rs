//! State of which a part is lost: it is refused, whatever part that is.

use std::ops::Bound;

use super::support::{Store, put};
use crate::proto::etcdserverpb::PutRequest;
use crate::storage::engine::{Engine, Space};
use crate::types::revision::Revision;

fn store() -> Store {
    let mut store = Store::new();
    for n in 0..10 {
        store.put(&format!("k{n}"), "v");
    }
    store.grant(5);
    store.try_put(PutRequest { lease: 5, ..put("leased", "") }).unwrap();
    store
}

fn delete(engine: &Engine, space: Space, key: &[u8]) {
    let mut batch = engine.batch();
    batch.delete(space, key);
    batch.commit().unwrap();
}

#[test]
fn a_revision_without_records_is_missed() {
    for revision in [2, 7, 12] {
        let lost = Revision::new(revision, 0).to_bytes();
        let error = store().changed(|engine| delete(engine, Space::Records, &lost)).unwrap_err();
        let missing = format!("the records of revision {revision} are missing");
        assert!(error.to_string().contains(&missing), "{error}");
    }
}

#[test]
fn compacted_revisions_are_not_missed() {
    let mut store = store();
    store.put("k3", "again");
    store.compact(13);
    let lost = Revision::new(5, 0).to_bytes();
    assert!(store.changed(|engine| delete(engine, Space::Records, &lost)).is_ok());
}

#[test]
fn records_ahead_of_the_progress_are_refused() {
    let rewind = |engine: &Engine| {
        let mut progress = engine.get(Space::Meta, b"progress").unwrap().unwrap().to_vec();
        progress[8..16].copy_from_slice(&9_i64.to_be_bytes());
        let mut batch = engine.batch();
        batch.put(Space::Meta, b"progress", &progress);
        batch.commit().unwrap();
    };
    let error = store().changed(rewind).unwrap_err().to_string();
    assert!(
        error.contains("a record of revision 10, but the newest applied entry led to 9"),
        "{error}"
    );
}

#[test]
fn keys_whose_lease_is_lost_are_noticed() {
    let forget = |engine: &Engine| {
        let leases: Vec<_> = engine
            .scan(Space::Leases, Bound::Unbounded, Bound::Unbounded)
            .map(Result::unwrap)
            .collect();
        assert_eq!(leases.len(), 1);
        delete(engine, Space::Leases, &leases[0].0);
    };
    let error = store().changed(forget).unwrap_err().to_string();
    assert!(error.contains("lease 5 has keys but is not there itself"), "{error}");
}
