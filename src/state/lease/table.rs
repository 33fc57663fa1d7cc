//! The lease table.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;

use crate::proto::internal;
use crate::state::changes::Changes;
use crate::storage::engine::Space;
use crate::types::ids::LeaseId;

/// A lease without its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The id clients know it by.
    pub id: LeaseId,
    /// The granted time to live, in seconds.
    pub ttl: i64,
    /// Seconds that were left at the last checkpoint; zero when there was none since the last
    /// renewal.
    pub remaining: i64,
}

/// What happened to a lease, in apply order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEvent {
    /// It came into being.
    Granted {
        /// Which.
        id: LeaseId,
        /// Its time to live, in seconds.
        ttl: i64,
    },
    /// It is gone, and its keys with it.
    Revoked {
        /// Which.
        id: LeaseId,
    },
    /// A checkpoint of its remaining time was stored.
    Checkpointed {
        /// Which.
        id: LeaseId,
        /// Seconds left; zero when it was renewed.
        remaining: i64,
    },
    /// The whole table is another one, because the state was received from another member; whoever
    /// follows it reads it anew.
    Replaced,
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    keys: BTreeSet<Bytes>,
}

/// All leases. Apply changes it, readers look; nobody holds its lock for longer than one page.
#[derive(Debug, Default)]
pub struct Leases {
    held: RwLock<BTreeMap<LeaseId, Held>>,
}

/// How many leases or keys are copied under one hold of the lock.
const PAGE: usize = 512;

impl Leases {
    /// Whether the lease exists.
    pub fn contains(&self, id: LeaseId) -> bool {
        self.held.read().contains_key(&id)
    }

    /// The lease, if it exists.
    pub fn get(&self, id: LeaseId) -> Option<Lease> {
        self.held.read().get(&id).map(|held| held.lease)
    }

    /// How many leases there are.
    pub fn len(&self) -> usize {
        self.held.read().len()
    }

    /// Whether there is no lease.
    pub fn is_empty(&self) -> bool {
        self.held.read().is_empty()
    }

    /// All leases, ascending by id. Those granted or revoked meanwhile may be in it or not.
    pub fn list(&self) -> Vec<Lease> {
        let mut all = Vec::new();
        let mut from = Bound::Unbounded;
        loop {
            let held = self.held.read();
            let before = all.len();
            all.extend(held.range((from, Bound::Unbounded)).take(PAGE).map(|(_, one)| one.lease));
            match all.last() {
                Some(last) if all.len() - before == PAGE => from = Bound::Excluded(last.id),
                _ => return all,
            }
        }
    }

    /// The keys of a lease, ascending; none when the lease does not exist. Keys that come and go
    /// meanwhile may be in it or not.
    pub fn keys(&self, id: LeaseId) -> Vec<Bytes> {
        let mut all: Vec<Bytes> = Vec::new();
        loop {
            let held = self.held.read();
            let Some(one) = held.get(&id) else { return all };
            let from = all.last().cloned().map_or(Bound::Unbounded, Bound::Excluded);
            let before = all.len();
            all.extend(one.keys.range((from, Bound::Unbounded)).take(PAGE).cloned());
            if all.len() - before < PAGE {
                return all;
            }
        }
    }

    /// Adds a lease read from storage.
    pub(in crate::state) fn restore(&self, lease: Lease) {
        self.held.write().insert(lease.id, Held { lease, keys: BTreeSet::new() });
    }

    /// Takes the place of all leases at once; keys are those of the others.
    pub(in crate::state) fn replace(&self, others: Self) {
        let others = others.held.into_inner();
        let before = std::mem::replace(&mut *self.held.write(), others);
        // It may be large: freed here, after the lock.
        drop(before);
    }

    /// Adds or replaces a lease, here and in the batch; its keys stay.
    pub(in crate::state) fn store(&self, lease: Lease, changes: &mut Changes) {
        let record =
            internal::Lease { id: lease.id.0, ttl: lease.ttl, remaining_ttl: lease.remaining };
        changes.put(Space::Leases, &storage_key(lease.id), &record.encode_to_vec());
        let mut held = self.held.write();
        match held.get_mut(&lease.id) {
            Some(known) => known.lease = lease,
            None => drop(held.insert(lease.id, Held { lease, keys: BTreeSet::new() })),
        }
    }

    /// Removes a lease, here and in the batch. Its keys must have been deleted.
    pub(in crate::state) fn remove(&self, id: LeaseId, changes: &mut Changes) {
        changes.delete(Space::Leases, &storage_key(id));
        self.held.write().remove(&id);
    }

    /// Moves a key from one lease to another; zero stands for none. An unknown lease is skipped.
    /// Says whether the key is where it should be.
    pub(in crate::state) fn attach(&self, key: &Bytes, from: i64, to: i64) -> bool {
        if from == to {
            return true;
        }
        let mut held = self.held.write();
        if let Some(old) = held.get_mut(&LeaseId(from)) {
            old.keys.remove(key);
        }
        if let Some(new) = held.get_mut(&LeaseId(to)) {
            // A copy of its own: the given key may be a slice of a large request.
            new.keys.insert(Bytes::copy_from_slice(key));
            return true;
        }
        to == 0
    }
}

/// Big-endian with the sign bit as is, as etcd stores lease ids.
fn storage_key(id: LeaseId) -> [u8; 8] {
    id.0.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(id: i64) -> Lease {
        Lease { id: LeaseId(id), ttl: 10, remaining: 0 }
    }

    #[test]
    fn long_lists_are_complete_and_in_order() {
        let leases = Leases::default();
        for id in (-700..700).rev() {
            leases.restore(lease(id));
        }
        let ids: Vec<i64> = leases.list().iter().map(|lease| lease.id.0).collect();
        assert_eq!(ids, (-700..700).collect::<Vec<_>>());
    }

    #[test]
    fn keys_belong_to_one_lease_and_come_out_sorted() {
        let leases = Leases::default();
        leases.restore(lease(1));
        leases.restore(lease(2));
        let mut expected = Vec::new();
        for n in (0..1500).rev() {
            let key = Bytes::from(format!("k{n:05}"));
            leases.attach(&key, 0, 1);
            expected.insert(0, key);
        }
        assert_eq!(leases.keys(LeaseId(1)), expected);
        let moved = Bytes::from_static(b"k00007");
        leases.attach(&moved, 1, 2);
        assert_eq!(leases.keys(LeaseId(2)), std::slice::from_ref(&moved));
        assert_eq!(leases.keys(LeaseId(1)).len(), 1499);
        leases.attach(&moved, 2, 0);
        assert!(leases.keys(LeaseId(2)).is_empty());
        leases.attach(&moved, 0, 99);
        assert!(leases.keys(LeaseId(99)).is_empty());
    }
}
