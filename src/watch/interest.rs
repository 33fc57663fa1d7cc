//! Who is interested in a key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;

use super::group::Group;
use super::intervals::{End, Intervals};
use crate::types::range::KeyRange;

/// All watched ranges: single keys in a hash map, the others in an interval tree.
#[derive(Debug, Default)]
pub(super) struct Interest {
    single: HashMap<Bytes, Group>,
    ranges: Intervals,
}

impl Interest {
    pub(super) fn insert(&mut self, range: &KeyRange, watcher: u32) {
        match range {
            KeyRange::Single(key) => match self.single.entry(key.clone()) {
                Entry::Occupied(mut group) => group.get_mut().insert(watcher),
                Entry::Vacant(place) => {
                    place.insert(Group::One(watcher));
                }
            },
            KeyRange::Between(start, end) => {
                self.ranges.insert(start, &End::Before(end.clone()), watcher);
            }
            KeyRange::From(start) => self.ranges.insert(start, &End::Never, watcher),
        }
    }

    pub(super) fn remove(&mut self, range: &KeyRange, watcher: u32) {
        match range {
            KeyRange::Single(key) => {
                if self.single.get_mut(key).is_some_and(|group| group.remove(watcher)) {
                    self.single.remove(key);
                }
            }
            KeyRange::Between(start, end) => {
                self.ranges.remove(start, &End::Before(end.clone()), watcher);
            }
            KeyRange::From(start) => self.ranges.remove(start, &End::Never, watcher),
        }
    }

    /// Calls `visit` with every watcher whose range holds `key`.
    pub(super) fn visit(&self, key: &[u8], visit: &mut impl FnMut(u32)) {
        if let Some(group) = self.single.get(key) {
            group.visit(visit);
        }
        self.ranges.visit(key, visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_keys_prefixes_and_open_ranges_meet_on_one_key() {
        let mut interest = Interest::default();
        let ranges = [
            KeyRange::Single("a1".into()),
            KeyRange::Single("a1".into()),
            KeyRange::prefix("a".into()),
            KeyRange::From("a0".into()),
            KeyRange::prefix("b".into()),
        ];
        for (watcher, range) in (0..).zip(&ranges) {
            interest.insert(range, watcher);
        }
        assert_eq!(found(&interest, b"a1"), [0, 1, 2, 3]);
        assert_eq!(found(&interest, b"b"), [3, 4]);
        interest.remove(&ranges[0], 0);
        interest.remove(&ranges[3], 3);
        assert_eq!(found(&interest, b"a1"), [1, 2]);
        interest.remove(&ranges[1], 1);
        assert!(interest.single.is_empty());
    }

    fn found(interest: &Interest, key: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        interest.visit(key, &mut |watcher| found.push(watcher));
        found.sort_unstable();
        found
    }
}
