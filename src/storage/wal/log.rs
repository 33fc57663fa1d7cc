//! The log as its callers see it: what they appended is there at once, written or not.

use std::collections::VecDeque;
use std::ops::Range;

use super::extent::Extent;
use super::types::{Frame, LogPos, Positions};

/// Rough cost of one entry in memory besides its bytes.
const OVERHEAD: usize = 96;

/// Extent of the log, and its newest entries in memory.
#[derive(Default)]
pub(crate) struct Log {
    extent: Extent,
    last: Option<LogPos>,
    /// The newest entries without gap, each with the number of the call that brought it.
    tail: Tail,
    bytes: usize,
}

type Tail = VecDeque<(u64, Frame)>;

fn cost(frame: &Frame) -> usize {
    frame.id.len() + frame.payload.len() + OVERHEAD
}

impl Log {
    pub(crate) fn new(extent: Extent, last: Option<LogPos>) -> Self {
        Self { extent, last, tail: VecDeque::new(), bytes: 0 }
    }

    /// Adds entries brought by call number `call`; the error is the index expected instead. Then
    /// nothing was added.
    pub(crate) fn append(&mut self, call: u64, frames: &[Frame]) -> Result<(), u64> {
        let mut extent = self.extent.clone();
        for frame in frames {
            extent.append(frame.index)?;
        }
        self.extent = extent;
        for frame in frames {
            self.bytes += cost(frame);
            self.tail.push_back((call, frame.clone()));
        }
        if let Some(frame) = frames.last() {
            self.last = Some(LogPos { index: frame.index, id: frame.id.clone() });
        }
        Ok(())
    }

    /// Drops the entries from this index on; `last` is the place before it.
    pub(crate) fn truncate(&mut self, from: u64, last: Option<LogPos>) {
        self.extent.truncate(from);
        while self.tail.back().is_some_and(|(_, frame)| frame.index >= from) {
            self.forget(|tail| tail.pop_back());
        }
        self.last = last.or_else(|| self.extent.purged.clone());
    }

    /// Drops the entries up to this one.
    pub(crate) fn purge(&mut self, pos: &LogPos) {
        if !self.extent.purge(pos) {
            return;
        }
        let first = self.extent.first();
        while self.tail.front().is_some_and(|(_, frame)| frame.index < first) {
            self.forget(|tail| tail.pop_front());
        }
        if self.extent.live().is_empty() {
            self.last = Some(pos.clone());
        }
    }

    /// Forgets the oldest entries in memory beyond `limit` bytes, if calls up to `written` have
    /// been written to disk.
    pub(crate) fn evict(&mut self, limit: usize, written: u64) {
        while self.bytes > limit && self.tail.front().is_some_and(|(call, _)| *call <= written) {
            self.forget(|tail| tail.pop_front());
        }
    }

    fn forget(&mut self, pop: impl FnOnce(&mut Tail) -> Option<(u64, Frame)>) {
        self.bytes -= pop(&mut self.tail).map_or(0, |(_, frame)| cost(&frame));
    }

    /// The entry at this index, if it is in memory.
    pub(crate) fn cached(&self, index: u64) -> Option<&Frame> {
        let (_, oldest) = self.tail.front()?;
        let at = usize::try_from(index.checked_sub(oldest.index)?).ok()?;
        self.tail.get(at).map(|(_, frame)| frame)
    }

    /// Splits the existing part of a range into what must be read from disk and what is in memory.
    pub(crate) fn range(&self, range: &Range<u64>) -> (Range<u64>, Vec<Frame>) {
        let live = self.extent.live();
        let (start, end) = (range.start.max(live.start), range.end.min(live.end));
        let border = self
            .tail
            .front()
            .map_or(live.end, |(_, frame)| frame.index)
            .clamp(start, end.max(start));
        let cached = (border..end).filter_map(|index| self.cached(index).cloned()).collect();
        (start..border, cached)
    }

    pub(crate) fn positions(&self) -> Positions {
        Positions {
            purged: self.extent.purged.clone(),
            first: self.extent.first(),
            last: self.last.clone(),
        }
    }
}
