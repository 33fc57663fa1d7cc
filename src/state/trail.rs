//! The hashes of the newest entries, so that members that are not at the same entry can still be
//! compared at one that all of them have passed.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::rolling::AppliedHash;

/// Entries that are remembered: seconds of a busy cluster, in 64 KiB.
const LENGTH: usize = 8192;

/// What hash the state had after each of the newest entries. Only apply writes, once per batch.
#[derive(Debug)]
pub(super) struct Trail {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    newest: AppliedHash,
    /// Ends with that of `newest`; one for each entry.
    hashes: VecDeque<u64>,
}

impl Trail {
    /// Begins at a state of which nothing older is known.
    pub(super) fn new(at: AppliedHash) -> Self {
        Self { inner: Mutex::new(Inner::begin(at)) }
    }

    /// Goes on at another state.
    pub(super) fn restart(&self, at: AppliedHash) {
        *self.inner.lock() = Inner::begin(at);
    }

    /// Adds the entries of a batch, ascending.
    pub(super) fn add(&self, entries: &[AppliedHash]) {
        let mut inner = self.inner.lock();
        for entry in entries {
            if entry.applied != inner.newest.applied + 1 || entry.since != inner.newest.since {
                inner.hashes.clear();
            }
            inner.newest = *entry;
            inner.hashes.push_back(entry.hash);
            if inner.hashes.len() > LENGTH {
                inner.hashes.pop_front();
            }
        }
    }

    /// The hash after an entry; `None` if that is too old, or not applied yet.
    pub(super) fn at(&self, applied: u64) -> Option<AppliedHash> {
        let inner = self.inner.lock();
        let back = usize::try_from(inner.newest.applied.checked_sub(applied)?).ok()?;
        let place = inner.hashes.len().checked_sub(1)?.checked_sub(back)?;
        let hash = *inner.hashes.get(place)?;
        Some(AppliedHash { applied, hash, ..inner.newest })
    }

    /// The oldest entry whose hash is remembered.
    pub(super) fn oldest(&self) -> u64 {
        let inner = self.inner.lock();
        let before = inner.hashes.len().saturating_sub(1) as u64;
        inner.newest.applied.saturating_sub(before)
    }
}

impl Inner {
    fn begin(at: AppliedHash) -> Self {
        Self { newest: at, hashes: VecDeque::from([at.hash]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(applied: u64) -> AppliedHash {
        AppliedHash { applied, since: 3, hash: applied * 7 }
    }

    #[test]
    fn the_newest_entries_are_remembered_and_no_others() {
        let trail = Trail::new(entry(10));
        assert_eq!((trail.oldest(), trail.at(10)), (10, Some(entry(10))));
        assert_eq!((trail.at(9), trail.at(11)), (None, None));
        let last = 10 + 2 * LENGTH as u64;
        for first in (11..=last).step_by(100) {
            let batch: Vec<_> = (first..last.min(first + 99) + 1).map(entry).collect();
            trail.add(&batch);
        }
        let oldest = last + 1 - LENGTH as u64;
        assert_eq!(trail.oldest(), oldest);
        for known in [oldest, oldest + 1, last - 1, last] {
            assert_eq!(trail.at(known), Some(entry(known)));
        }
        assert_eq!((trail.at(oldest - 1), trail.at(last + 1)), (None, None));
    }

    #[test]
    fn another_state_leaves_nothing_of_the_old_one() {
        let trail = Trail::new(entry(10));
        trail.add(&[entry(11), entry(12)]);
        trail.restart(entry(50));
        assert_eq!((trail.oldest(), trail.at(12), trail.at(50)), (50, None, Some(entry(50))));
        // Nor does an entry that does not follow.
        trail.add(&[entry(60)]);
        assert_eq!((trail.oldest(), trail.at(50), trail.at(60)), (60, None, Some(entry(60))));
    }
}
