//! Members that come and go.

use super::support::Store;
use crate::proto::internal::MemberAttributes;
use crate::proto::internal::request::Op;
use crate::storage::engine::Space;
use crate::types::ids::MemberId;

fn publish(store: &mut Store, id: u64) {
    let attributes =
        MemberAttributes { member_id: id, name: format!("m{id}"), ..MemberAttributes::default() };
    store.run(Op::MemberAttributes(attributes)).result.unwrap();
}

/// The ids that published something, and those that were removed.
fn members(store: &Store) -> (Vec<u64>, Vec<u64>) {
    let members = store.reader.members();
    let published = members.iter().map(|(id, _)| id.0).collect();
    (published, members.removed().map(|id| id.0).collect())
}

#[test]
fn who_is_removed_is_remembered_for_ever() {
    let mut store = Store::new();
    store.configure(&[1, 2, 3]);
    for id in [1, 2, 3] {
        publish(&mut store, id);
    }
    assert_eq!(members(&store), (vec![1, 2, 3], vec![]));
    // As when members are exchanged: first both are there.
    store.configure(&[1, 2, 3, 4]);
    assert_eq!(members(&store), (vec![1, 2, 3], vec![]));
    store.configure(&[1, 4]);
    assert_eq!(members(&store), (vec![1], vec![2, 3]));
    let mut store = store.reopen();
    assert_eq!(members(&store), (vec![1], vec![2, 3]));
    store.configure(&[4]);
    assert_eq!(members(&store), (vec![], vec![1, 2, 3]));
    assert!(store.reader.members().is_removed(MemberId(2)));
    assert!(!store.reader.members().is_removed(MemberId(4)));
    assert_eq!(store.machine.membership().unwrap(), "[4]");
}

#[test]
fn what_a_removed_member_publishes_is_not_heard() {
    let mut store = Store::new();
    store.configure(&[1, 2]);
    store.configure(&[1]);
    publish(&mut store, 2);
    publish(&mut store, 1);
    assert_eq!(members(&store), (vec![1], vec![2]));
    assert_eq!(members(&store.reopen()), (vec![1], vec![2]));
}

#[test]
fn a_state_of_an_earlier_release_opens_and_learns_from_the_next_change() {
    let mut store = Store::new();
    store.configure(&[1, 2]);
    publish(&mut store, 1);
    for key in [&b"present"[..], b"removed"] {
        let mut batch = store.machine.engine.batch();
        batch.delete(Space::Members, key);
        batch.commit().unwrap();
    }
    let mut store = store.reopen();
    assert_eq!(members(&store), (vec![1], vec![]));
    store.configure(&[1, 3]);
    assert_eq!(members(&store), (vec![1], vec![]));
    store.configure(&[1]);
    assert_eq!(members(&store), (vec![1], vec![3]));
}
