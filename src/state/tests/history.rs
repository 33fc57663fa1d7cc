//! History: what watchers catch up from.

use super::support::{Store, delete, op_delete, op_put, put, then};
use crate::proto::mvccpb::Event;
use crate::proto::mvccpb::event::EventType;
use crate::state::ReadError;
use crate::state::reader::{Limits, Page};
use crate::types::range::KeyRange;

fn everything() -> KeyRange {
    KeyRange::From("\0".into())
}

/// Revision, then `+key` or `-key` for each change.
fn told(page: &Page) -> Vec<String> {
    let change = |event: &Event| {
        let sign = if event.r#type == EventType::Delete as i32 { "-" } else { "+" };
        format!("{sign}{}", String::from_utf8_lossy(&event.kv.as_ref().unwrap().key))
    };
    let line = |one: &std::sync::Arc<crate::state::mvcc::recent::RevisionEvents>| {
        let changes: Vec<_> = one.events.iter().map(change).collect();
        format!("{} {}", one.revision, changes.join(" "))
    };
    page.revisions.iter().map(line).collect()
}

fn store() -> Store {
    let mut store = Store::new();
    store.put("a", "1");
    store.put("b", "1");
    store.txn(then(vec![op_put(put("a", "2")), op_delete(delete("b", "")), op_put(put("c", ""))]));
    store.delete("a", "z");
    store.put("b", "2");
    store
}

#[test]
fn history_tells_what_the_ring_told() {
    let store = store();
    let ring = store.reader.events().since(2).unwrap();
    let page = store.reader.history(&everything(), 2, 6, Limits::default()).unwrap();
    assert_eq!(page.revisions, ring);
    assert_eq!(page.next, 7);
    assert_eq!(told(&page), ["2 +a", "3 +b", "4 +a -b +c", "5 -a -c", "6 +b"]);
    let deleted = page.revisions[3].events[0].kv.clone().unwrap();
    assert_eq!((deleted.mod_revision, deleted.value.len(), deleted.version), (5, 0, 0));
}

#[test]
fn history_is_cut_by_range_and_bounds() {
    let store = store();
    let read = |range: KeyRange, from, to| {
        told(&store.reader.history(&range, from, to, Limits::default()).unwrap())
    };
    assert_eq!(read(KeyRange::Single("b".into()), 2, 9), ["3 +b", "4 -b", "6 +b"]);
    assert_eq!(read(KeyRange::Between("b".into(), "d".into()), 4, 5), ["4 -b +c", "5 -c"]);
    assert_eq!(read(everything(), 7, 9), Vec::<String>::new());
    let beyond = store.reader.history(&everything(), 7, 6, Limits::default()).unwrap();
    assert_eq!((beyond.revisions.len(), beyond.next), (0, 7));
}

#[test]
fn limits_end_a_page_between_revisions() {
    let store = store();
    let limited = |limits: Limits| {
        let (mut from, mut pages) = (2, Vec::new());
        while from <= 6 {
            let page = store.reader.history(&everything(), from, 6, limits).unwrap();
            assert!(page.next > from);
            from = page.next;
            pages.push(told(&page));
        }
        pages
    };
    let whole = ["2 +a", "3 +b", "4 +a -b +c", "5 -a -c", "6 +b"];
    let one = Limits { revisions: 1, ..Limits::default() };
    assert_eq!(limited(one), whole.map(|line| vec![line.to_owned()]));
    let two = Limits { revisions: 2, ..Limits::default() };
    assert_eq!(limited(two).concat(), whole);
    assert_eq!(limited(two).len(), 3);
    assert_eq!(limited(Limits { bytes: 0, ..Limits::default() }).len(), 5);
    assert_eq!(limited(Limits { records: 0, ..Limits::default() }).concat(), whole);
}

#[test]
fn history_below_the_compacted_revision_is_refused() {
    let mut store = store();
    store.compact(5);
    let read = |from| store.reader.history(&everything(), from, 6, Limits::default());
    assert!(matches!(read(4), Err(ReadError::Compacted)));
    let page = read(5).unwrap();
    assert_eq!(told(&page), ["5 -a -c", "6 +b"]);
    assert_eq!(page.revisions[0].prev, [None, None], "what was before is compacted");
}

#[test]
fn history_is_the_same_after_a_restart() {
    let store = store();
    let before = store.reader.history(&everything(), 2, 6, Limits::default()).unwrap();
    let store = store.reopen();
    assert!(store.reader.events().since(6).is_none());
    assert_eq!(store.reader.events().since(7), Some(vec![]));
    let after = store.reader.history(&everything(), 2, 6, Limits::default()).unwrap();
    assert_eq!(after, before);
}
