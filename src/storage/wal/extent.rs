//! Which indexes the log spans.
//!
//! The same arithmetic is done three times: when calls come in, when frames are written, and when
//! they are read back. Doing it in one place keeps the three in agreement.

use std::ops::Range;

use super::types::LogPos;

/// Oldest and next index, and what was purged before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) purged: Option<LogPos>,
    /// First and next index; `None` while the log is empty and nothing was ever purged, when an
    /// entry of any index may begin it.
    pub(crate) bounds: Option<(u64, u64)>,
}

impl Extent {
    /// Index of the oldest entry, or of the next one if there is none.
    pub(crate) fn first(&self) -> u64 {
        self.bounds.map_or(0, |(first, _)| first)
    }

    /// The indexes of all entries.
    pub(crate) fn live(&self) -> Range<u64> {
        self.bounds.map_or(0..0, |(first, next)| first..next)
    }

    /// Takes one more entry; the error is the index that was expected instead.
    pub(crate) fn append(&mut self, index: u64) -> Result<(), u64> {
        let (first, next) = self.bounds.unwrap_or((index, index));
        // The highest index is kept free, so that "the one after" always exists.
        if index != next || index == u64::MAX {
            return Err(next);
        }
        self.bounds = Some((first, next + 1));
        Ok(())
    }

    /// Drops the entries from this index on.
    pub(crate) fn truncate(&mut self, from: u64) {
        let Some((first, next)) = self.bounds else { return };
        let next = from.clamp(first, next);
        let vanished = first == next && self.purged.is_none();
        self.bounds = (!vanished).then_some((first, next));
    }

    /// Drops the entries up to this one, present or not; says whether that changed anything.
    pub(crate) fn purge(&mut self, pos: &LogPos) -> bool {
        if self.purged.as_ref().is_some_and(|old| old.index >= pos.index) {
            return false;
        }
        let start = pos.index.saturating_add(1);
        let (first, next) = self.bounds.unwrap_or((start, start));
        self.bounds = Some((first.max(start), next.max(start)));
        self.purged = Some(pos.clone());
        true
    }
}
