//! `HashKV`: the numbers were computed by etcd 3.5.16 for the same requests.

use super::support::{Store, delete, op_delete, op_put, put, then};
use crate::proto::etcdserverpb::PutRequest;
use crate::state::ReadError;

fn filled() -> Store {
    let mut store = Store::new();
    store.grant(77);
    store.put("a", "1");
    store.put("b", "2");
    store.put("a", "3");
    store.delete("a", "");
    store.try_put(PutRequest { lease: 77, ..put("c", "x") }).unwrap();
    store.txn(then(vec![op_put(put("d", "1")), op_put(put("e", "2")), op_delete(delete("b", ""))]));
    store.put("a", "again");
    store
}

fn hash(store: &Store, revision: i64) -> (u32, i64) {
    let hash = store.reader.hash_kv(revision).unwrap();
    (hash.hash, hash.compacted)
}

#[test]
fn uncompacted_history_hashes_like_etcds() {
    let store = filled();
    assert_eq!(hash(&store, 0), (24_597_906, -1));
    assert_eq!(hash(&store, 8), (24_597_906, -1));
    assert_eq!(hash(&store, 4), (2_069_675_932, -1));
    assert_eq!(hash(&store, 2), (2_587_454_935, -1));
    assert!(matches!(store.reader.hash_kv(9), Err(ReadError::FutureRevision)));
}

#[test]
fn compacted_history_hashes_like_etcds_before_and_after_the_deletion() {
    let mut store = filled();
    store.accept_compaction(5).unwrap();
    for round in ["accepted", "carried out", "restarted"] {
        assert_eq!(hash(&store, 0), (2_219_501_631, 5), "{round}");
        assert_eq!(hash(&store, 6), (2_191_211_501, 5), "{round}");
        assert!(matches!(store.reader.hash_kv(4), Err(ReadError::Compacted)));
        store.settle();
        if round == "carried out" {
            store = store.reopen();
        }
    }
}

#[test]
fn a_hash_over_nothing_kept_has_etcds_hole() {
    let mut store = filled();
    store.compact(5);
    assert_eq!(store.delete("a", "z").1.deleted, 4);
    assert_eq!(hash(&store, 0), (337_084_541, 5));
    assert_eq!(hash(&store, 8), (2_219_501_631, 5));
}

#[test]
fn a_compaction_at_a_tombstone_hashes_like_etcds() {
    let mut store = filled();
    store.compact(5);
    store.delete("a", "z");
    store.compact(9);
    assert_eq!(hash(&store, 0), (1_084_519_789, 9));
    store.put("z", "1");
    assert_eq!(hash(&store, 0), (3_221_892_700, 9));
    store.compact(10);
    assert_eq!(hash(&store, 0), (3_221_892_700, 10));
    store.put("y", "2");
    assert_eq!(hash(&store, 0), (1_948_301_107, 10));
}

#[test]
fn up_to_a_negative_revision_there_is_nothing_to_hash() {
    let mut store = filled();
    for compacted in [-1, 5] {
        for revision in [-1, -6, i64::MIN] {
            assert_eq!(hash(&store, revision), (1_084_519_789, compacted));
        }
        if compacted < 0 {
            store.compact(5);
        }
    }
}

/// etcd overlooks a key that its own revision deletes and writes anew, and falls into the same hole.
#[test]
fn a_key_deleted_and_written_anew_in_one_transaction_hashes_like_etcds() {
    let mut store = Store::new();
    store.put("c/y", "");
    let everything = op_delete(delete("\0", "\0"));
    store.txn(then(vec![op_put(put("b/1", "")), everything, op_put(put("c/y", "8"))]));
    store.compact(2);
    assert_eq!(hash(&store, 0), (1_346_045_644, 2));
}
