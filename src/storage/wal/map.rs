//! Where in which segment each entry lies.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::DiskFile;
use super::frame::ALIGN;

/// An open segment file. Removing the file does not disturb who still holds this.
pub(crate) struct Segment {
    pub(crate) id: u64,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// Where a frame lies in its segment. Eight bytes per entry: there may be a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// In units of [`ALIGN`], so that 32 GiB can be addressed.
    unit: u32,
    size: u32,
}

impl Spot {
    /// `None` if the frame lies too far out or is too large.
    pub(crate) fn new(offset: u64, size: u64) -> Option<Self> {
        let unit = u32::try_from(offset / ALIGN).ok()?;
        Some(Self { unit, size: u32::try_from(size).ok()? })
    }

    pub(crate) fn bytes(self) -> Range<u64> {
        let offset = u64::from(self.unit) * ALIGN;
        offset..offset + u64::from(self.size)
    }
}

struct Slot {
    segment: Arc<Segment>,
    /// Index of the entry at the first spot.
    start: u64,
    spots: Vec<Spot>,
}

impl Slot {
    fn end(&self) -> u64 {
        self.start + self.spots.len() as u64
    }
}

/// All segments, oldest first, with the places of their entries.
#[derive(Default)]
pub(crate) struct Map {
    slots: VecDeque<Slot>,
}

impl Map {
    /// Adds the segment that is written from now on.
    pub(crate) fn push(&mut self, segment: Arc<Segment>) {
        self.slots.push_back(Slot { segment, start: 0, spots: Vec::new() });
    }

    /// Notes an entry in the newest segment.
    pub(crate) fn record(&mut self, index: u64, spot: Spot) {
        if let Some(slot) = self.slots.back_mut() {
            if slot.end() != index {
                // Nothing older in this segment is alive, or the index would follow it.
                slot.spots.clear();
            }
            if slot.spots.is_empty() {
                slot.start = index;
            }
            slot.spots.push(spot);
        }
    }

    /// Forgets the entries from this index on.
    pub(crate) fn truncate(&mut self, from: u64) {
        for slot in &mut self.slots {
            let keep = from.saturating_sub(slot.start);
            slot.spots.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        }
    }

    /// Forgets the places of entries before `first`.
    pub(crate) fn purge_spots(&mut self, first: u64) {
        for slot in self.slots.iter_mut().filter(|slot| slot.end() <= first) {
            slot.spots = Vec::new();
        }
    }

    /// Gives up the oldest segments that hold no entry from `first` on.
    pub(crate) fn retire(&mut self, first: u64) -> Vec<Arc<Segment>> {
        self.purge_spots(first);
        let newest = self.slots.len().saturating_sub(1);
        let dead = self.slots.iter().take(newest).take_while(|slot| slot.spots.is_empty()).count();
        self.slots.drain(..dead).map(|slot| slot.segment).collect()
    }

    /// Where an entry lies.
    pub(crate) fn find(&self, index: u64) -> Option<(&Arc<Segment>, Spot)> {
        let slot =
            self.slots.iter().rev().find(|slot| (slot.start..slot.end()).contains(&index))?;
        let spot = slot.spots.get(usize::try_from(index - slot.start).ok()?)?;
        Some((&slot.segment, *spot))
    }

    /// The first of these indexes whose entry is in no segment.
    pub(crate) fn first_absent(&self, live: Range<u64>) -> Option<u64> {
        let mut next = live.start;
        for slot in self.slots.iter().filter(|slot| !slot.spots.is_empty()) {
            if (slot.start..slot.end()).contains(&next) {
                next = slot.end();
            }
        }
        (next < live.end).then_some(next)
    }

    /// Path of the oldest segment.
    pub(crate) fn oldest(&self) -> Option<&Arc<Segment>> {
        self.slots.front().map(|slot| &slot.segment)
    }
}
