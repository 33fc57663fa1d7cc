//! The watchers of one range.

use std::collections::BTreeSet;

/// A set of watcher numbers that costs nothing extra for the usual case of one.
#[derive(Debug)]
pub(super) enum Group {
    One(u32),
    Many(BTreeSet<u32>),
}

impl Group {
    pub(super) fn insert(&mut self, number: u32) {
        match self {
            Self::One(first) => *self = Self::Many([*first, number].into()),
            Self::Many(all) => {
                all.insert(number);
            }
        }
    }

    /// Takes a number out; true when none is left and the group should go.
    pub(super) fn remove(&mut self, number: u32) -> bool {
        match self {
            Self::One(only) => *only == number,
            Self::Many(all) => {
                all.remove(&number);
                all.is_empty()
            }
        }
    }

    pub(super) fn visit(&self, visit: &mut impl FnMut(u32)) {
        match self {
            Self::One(only) => visit(*only),
            Self::Many(all) => all.iter().copied().for_each(visit),
        }
    }
}
