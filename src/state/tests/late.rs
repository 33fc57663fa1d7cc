//! Answers too large to be read while applying.

use super::support::{Store, all, delete, keys, op_delete, op_put, op_range, op_txn, put, then};
use crate::proto::etcdserverpb::response_op::Response as Answer;
use crate::proto::etcdserverpb::{DeleteRangeRequest, PutRequest};
use crate::proto::internal::request::Op;
use crate::state::late::EARLY_BYTES;
use crate::state::{ReadError, Response};

fn stocked() -> Store {
    let mut store = Store::new();
    let value = "v".repeat(EARLY_BYTES / 4);
    for key in ["a", "b", "c", "d", "e"] {
        store.put(key, &value);
    }
    store
}

#[test]
fn late_parts_show_the_state_of_their_place_in_the_transaction() {
    let mut store = stocked();
    let delete = DeleteRangeRequest { prev_kv: true, ..delete("b", "f") };
    let inner = then(vec![op_range(all()), op_delete(delete)]);
    let again = PutRequest { prev_kv: true, ..put("a", "new") };
    let outcome = store.run(Op::Txn(then(vec![op_txn(inner), op_put(again), op_range(all())])));
    let response = outcome.result.unwrap();
    assert!(outcome.late.len() >= 3, "{:?}", outcome.late);
    store.put("z", "later");
    let small = store.reader.complete(&response, &outcome.late, EARLY_BYTES);
    assert!(matches!(small, Err(ReadError::TooLarge(EARLY_BYTES))));
    let whole = store.reader.complete(&response, &outcome.late, usize::MAX).unwrap();
    let Response::Txn(whole) = whole else { panic!("{whole:?}") };
    let Some(Answer::ResponseTxn(inner)) = &whole.responses[0].response else { panic!() };
    let Some(Answer::ResponseRange(before)) = &inner.responses[0].response else { panic!() };
    let Some(Answer::ResponseDeleteRange(deleted)) = &inner.responses[1].response else { panic!() };
    let Some(Answer::ResponsePut(first)) = &whole.responses[1].response else { panic!() };
    let Some(Answer::ResponseRange(after)) = &whole.responses[2].response else { panic!() };
    assert_eq!((keys(&before.kvs), before.count), ("a b c d e".to_owned(), 5));
    assert_eq!((keys(&deleted.prev_kvs), deleted.deleted), ("b c d e".to_owned(), 4));
    assert!(deleted.prev_kvs.iter().all(|kv| kv.value.len() == EARLY_BYTES / 4));
    assert_eq!(first.prev_kv.as_ref().unwrap().value.len(), EARLY_BYTES / 4);
    assert_eq!((keys(&after.kvs), &after.kvs[0].value[..]), ("a".to_owned(), &b"new"[..]));
}

#[test]
fn deletions_and_puts_on_their_own_have_late_parts_too() {
    let mut store = stocked();
    let outcome =
        store.run(Op::DeleteRange(DeleteRangeRequest { prev_kv: true, ..delete("a", "z") }));
    let response = outcome.result.unwrap();
    let whole = store.reader.complete(&response, &outcome.late, usize::MAX).unwrap();
    let Response::DeleteRange(whole) = whole else { panic!("{whole:?}") };
    assert_eq!(keys(&whole.prev_kvs), "a b c d e");
    store.put("k", &"v".repeat(EARLY_BYTES + 1));
    let outcome = store.run(Op::Put(PutRequest { prev_kv: true, ..put("k", "") }));
    let response = outcome.result.unwrap();
    let whole = store.reader.complete(&response, &outcome.late, usize::MAX).unwrap();
    let Response::Put(whole) = whole else { panic!("{whole:?}") };
    assert_eq!(whole.prev_kv.unwrap().value.len(), EARLY_BYTES + 1);
}

#[test]
fn a_late_part_that_a_compaction_took_is_told_as_compacted() {
    let mut store = Store::new();
    store.put("a", &"v".repeat(EARLY_BYTES + 1));
    let outcome = store.run(Op::Put(PutRequest { prev_kv: true, ..put("a", "new") }));
    let response = outcome.result.unwrap();
    assert_eq!(outcome.late.len(), 1);
    store.compact(3);
    let gone = store.reader.complete(&response, &outcome.late, usize::MAX);
    assert!(matches!(gone, Err(ReadError::Compacted)), "{gone:?}");
}
