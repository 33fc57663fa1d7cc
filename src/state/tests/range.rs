//! Range: every option, at the current revision and at an older one.

use super::support::{Store, all, get, keys, pairs, range};
use crate::proto::etcdserverpb::RangeRequest;
use crate::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::state::ReadError;

/// Five keys whose orders by version, creation, change and value all differ.
fn store() -> Store {
    let mut store = Store::new();
    for (key, value) in [("c", "5"), ("a", "9"), ("e", "1"), ("b", "7"), ("d", "3")] {
        store.put(key, value);
    }
    for (key, value) in [("d", "8"), ("a", "2"), ("d", "4"), ("c", "6")] {
        store.put(key, value);
    }
    store
}

/// As [`store`], then changed beyond recognition; the returned revision shows it as it was.
fn old_store() -> (Store, i64) {
    let mut store = store();
    let revision = store.reader.revision();
    store.delete("\0", "\0");
    store.put("b", "0");
    store.put("zz", "0");
    (store, revision)
}

/// The same answers at the current revision and at the same revision later on.
fn check(request: &RangeRequest, expected: &str, more: bool, count: i64) {
    let now = store();
    let (later, revision) = old_store();
    let old = RangeRequest { revision, ..request.clone() };
    for (store, request) in [(&now, request), (&later, &old)] {
        let answer = store.reader.range(request).unwrap();
        assert_eq!(keys(&answer.kvs), expected, "{request:?}");
        assert_eq!((answer.more, answer.count), (more, count), "{request:?}");
        assert_eq!(answer.header.unwrap().revision, store.reader.revision());
    }
}

fn sorted(order: SortOrder, target: SortTarget, limit: i64) -> RangeRequest {
    RangeRequest { sort_order: order as i32, sort_target: target as i32, limit, ..all() }
}

#[test]
fn intervals() {
    check(&all(), "a b c d e", false, 5);
    check(&range("b", "d"), "b c", false, 2);
    check(&range("c", "\0"), "c d e", false, 3);
    check(&range("d", "b"), "", false, 0);
    check(&range("d", "d"), "", false, 0);
    check(&get("c"), "c", false, 1);
    check(&get("cc"), "", false, 0);
}

#[test]
fn limits_cut_and_say_so_but_count_everything() {
    let limited = |limit| RangeRequest { limit, ..all() };
    check(&limited(2), "a b", true, 5);
    check(&limited(5), "a b c d e", false, 5);
    check(&limited(9), "a b c d e", false, 5);
    check(&limited(-3), "a b c d e", false, 5);
}

#[test]
fn count_only_gives_nothing_but_the_count() {
    check(&RangeRequest { count_only: true, limit: 1, ..all() }, "", false, 5);
    check(&RangeRequest { count_only: true, ..get("a") }, "", false, 1);
    check(&RangeRequest { count_only: true, ..get("x") }, "", false, 0);
}

#[test]
fn sort_orders_and_targets() {
    use SortOrder::{Ascend, Descend};
    use SortTarget::{Create, Key, Mod, Value, Version};
    check(&sorted(Ascend, Key, 0), "a b c d e", false, 5);
    check(&sorted(Descend, Key, 2), "e d", true, 5);
    check(&sorted(Descend, Version, 1), "d", true, 5);
    check(&sorted(Ascend, Create, 3), "c a e", true, 5);
    check(&sorted(Descend, Create, 2), "d b", true, 5);
    check(&sorted(Ascend, Mod, 2), "e b", true, 5);
    check(&sorted(Descend, Mod, 0), "c d a b e", false, 5);
    check(&sorted(Ascend, Value, 2), "e a", true, 5);
    check(&sorted(Descend, Value, 3), "b c d", true, 5);
}

#[test]
fn without_an_order_the_limit_cuts_by_key_before_the_target_sorts() {
    use SortOrder::None as Unordered;
    use SortTarget::{Create, Mod, Value};
    // Three keys are looked at, a b c; they are sorted, then two stay.
    check(&sorted(Unordered, Create, 2), "c a", true, 5);
    check(&sorted(Unordered, Mod, 2), "b a", true, 5);
    check(&sorted(Unordered, Value, 2), "a c", true, 5);
    check(&sorted(Unordered, Create, 0), "c a e b d", false, 5);
    // A filter makes it look at everything again.
    let filtered = RangeRequest { min_mod_revision: 1, ..sorted(Unordered, Create, 2) };
    check(&filtered, "c a", true, 5);
    let filtered = RangeRequest { min_mod_revision: 1, ..sorted(Unordered, Value, 1) };
    check(&filtered, "e", true, 5);
}

#[test]
fn filters_are_inclusive_and_come_before_the_limit() {
    // Changed at: a 8, b 5, c 10, d 9, e 4. Created at: c 2, a 3, e 4, b 5, d 6.
    check(&RangeRequest { min_mod_revision: 8, ..all() }, "a c d", false, 5);
    check(&RangeRequest { max_mod_revision: 8, ..all() }, "a b e", false, 5);
    check(&RangeRequest { min_create_revision: 4, ..all() }, "b d e", false, 5);
    check(&RangeRequest { max_create_revision: 3, ..all() }, "a c", false, 5);
    check(&RangeRequest { min_mod_revision: 8, limit: 2, ..all() }, "a c", true, 5);
    check(&RangeRequest { min_mod_revision: 8, limit: 3, ..all() }, "a c d", false, 5);
    let both = RangeRequest { min_mod_revision: 5, max_create_revision: 5, ..all() };
    check(&both, "a b c", false, 5);
    let descending =
        RangeRequest { min_mod_revision: 8, ..sorted(SortOrder::Descend, SortTarget::Key, 2) };
    check(&descending, "d c", true, 5);
    check(&RangeRequest { min_mod_revision: 99, ..get("a") }, "", false, 1);
}

#[test]
fn keys_only_leaves_out_the_value_and_nothing_else() {
    let mut store = Store::new();
    store.grant(7);
    let leased = super::support::put("k", "secret");
    store.try_put(crate::proto::etcdserverpb::PutRequest { lease: 7, ..leased }).unwrap();
    let full = store.get("k").unwrap();
    store.put("k", "other");
    store.put("j", "a");
    let only = |revision| RangeRequest { keys_only: true, revision, ..all() };
    let old = store.reader.range(&only(2)).unwrap().kvs.pop().unwrap();
    assert_eq!(old, crate::proto::mvccpb::KeyValue { value: "".into(), ..full });
    let by_value = RangeRequest { sort_target: SortTarget::Value as i32, ..only(0) };
    let found = store.reader.range(&by_value).unwrap().kvs;
    assert_eq!(pairs(&found), [("j".into(), "".into()), ("k".into(), "".into())]);
    let now = store.reader.range(&only(0)).unwrap().kvs;
    assert_eq!(now, found);
    assert_eq!((now[1].version, now[1].create_revision, now[1].lease), (2, 2, 0));
}

#[test]
fn revisions_are_bounded() {
    let mut store = store();
    let at = |revision| RangeRequest { revision, ..get("c") };
    assert_eq!(store.reader.range(&at(2)).unwrap().kvs[0].value, "5");
    assert_eq!(store.reader.range(&at(1)).unwrap().kvs, []);
    assert_eq!(store.reader.range(&at(-7)).unwrap().kvs[0].value, "6");
    assert!(matches!(store.reader.range(&at(11)), Err(ReadError::FutureRevision)));
    store.compact(8);
    assert!(matches!(store.reader.range(&at(7)), Err(ReadError::Compacted)));
    assert_eq!(store.reader.range(&at(8)).unwrap().kvs[0].value, "5");
    assert_eq!(store.reader.range(&at(-7)).unwrap().kvs[0].value, "6");
}

#[test]
fn unknown_sort_options_are_refused() {
    let store = store();
    for request in
        [RangeRequest { sort_order: 3, ..all() }, RangeRequest { sort_target: -1, ..all() }]
    {
        assert!(matches!(store.reader.range(&request), Err(ReadError::InvalidSortOption)));
    }
}

#[test]
fn a_stream_adds_up_to_the_range() {
    let mut store = Store::new();
    for n in 0..100 {
        store.put(&format!("k{n:03}"), "some value");
    }
    for (limit, revision, wanted) in
        [(0, 0, 64), (37, 0, 100_000), (0, 60, 64), (1, 0, 1), (100, 0, 1)]
    {
        let request = RangeRequest { limit, revision, ..range("k", "l") };
        let whole = store.reader.range(&request).unwrap();
        let mut stream = store.reader.range_stream(request, wanted).unwrap();
        let (mut kvs, mut last, mut pieces) = (Vec::new(), None, 0);
        while let Some(mut piece) = stream.next_piece().unwrap() {
            assert!(last.is_none(), "a header came before the last piece");
            kvs.append(&mut piece.kvs);
            pieces += 1;
            last = piece.header.map(|header| (header.revision, piece.more, piece.count));
            // What is written meanwhile is not seen.
            store.put("k000x", "late");
        }
        assert_eq!(kvs, whole.kvs);
        assert_eq!(last.unwrap(), (whole.header.unwrap().revision, whole.more, whole.count));
        assert!(pieces > 1 || limit == 1, "{pieces}");
        store.delete("k000x", "");
    }
}

#[test]
fn a_stream_ends_when_its_revision_is_compacted() {
    let mut store = Store::new();
    for n in 0..30 {
        store.put(&format!("k{n:03}"), "v");
    }
    let mut stream = store.reader.range_stream(range("k", "l"), 50).unwrap();
    assert_eq!(stream.next_piece().unwrap().unwrap().kvs.len(), 10);
    store.put("k000", "w");
    store.compact(32);
    assert!(matches!(stream.next_piece(), Err(ReadError::Compacted)));
}

#[test]
fn a_piece_of_a_stream_is_cut_where_values_grow() {
    let mut store = Store::new();
    for n in 0..200 {
        store.put(&format!("a{n:03}"), "v");
    }
    for n in 0..20 {
        store.put(&format!("b{n:03}"), &"v".repeat(10_000));
    }
    let mut stream = store.reader.range_stream(range("a", "c"), 20_000).unwrap();
    let mut found = Vec::new();
    while let Some(piece) = stream.next_piece().unwrap() {
        let bytes: usize = piece.kvs.iter().map(|kv| kv.value.len()).sum();
        assert!(bytes <= 30_000, "{bytes} bytes in one piece");
        found.extend(piece.kvs);
    }
    assert_eq!(found, store.reader.range(&range("a", "c")).unwrap().kvs);
}
