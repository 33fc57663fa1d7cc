//! Reading the index.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::KeyMeta;
use super::node::{Leaf, Node};
use super::slot::Slot;
use crate::types::range::KeyRange;
use crate::types::revision::Revision;

/// Sums over the whole index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Live keys.
    pub(super) live: u64,
    /// Keys with any record.
    pub(super) keys: u64,
    /// Their lengths.
    pub(super) key_bytes: u64,
    /// Records, tombstones included.
    pub(super) records: u64,
}

/// The index at one moment: never changes, cheap to clone, and keeps alive what it shows, so hold
/// it for one request and not for good.
#[derive(Clone, Debug)]
pub struct Root {
    pub(super) node: Arc<Node>,
    pub(super) totals: Totals,
}

impl Default for Root {
    fn default() -> Self {
        Self { node: Arc::new(Node::Leaf(Leaf::default())), totals: Totals::default() }
    }
}

/// Which leaves a walk visits.
struct Walk<'a, F> {
    /// Skips nodes without live keys.
    live_only: bool,
    descending: bool,
    visit: &'a mut F,
}

impl<F: FnMut(&Leaf, Range<usize>) -> ControlFlow<()>> Walk<'_, F> {
    /// Visits the part of each leaf that lies at or above `from` and below `to`.
    fn node(&mut self, node: &Node, from: Option<&[u8]>, to: Option<&[u8]>) -> ControlFlow<()> {
        let inner = match node {
            Node::Leaf(leaf) => {
                let start = from.map_or(0, |from| leaf.keys.below(from));
                let end = to.map_or(leaf.slots.len(), |to| leaf.keys.below(to));
                return if start < end {
                    (self.visit)(leaf, start..end)
                } else {
                    ControlFlow::Continue(())
                };
            }
            Node::Inner(inner) => inner,
        };
        let Some(widest) = inner.children.len().checked_sub(1) else {
            return ControlFlow::Continue(());
        };
        let first = from.map_or(0, |from| inner.child_of(from));
        let last = to.map_or(widest, |to| inner.child_of(to));
        for step in 0..(last + 1).saturating_sub(first) {
            let at = if self.descending { last - step } else { first + step };
            let child = &inner.children[at];
            if self.live_only && child.live == 0 {
                continue;
            }
            self.node(&child.node, from.filter(|_| at == first), to.filter(|_| at == last))?;
        }
        ControlFlow::Continue(())
    }
}

/// The bounds of a range of many keys: at or above, and below.
fn bounds(range: &KeyRange) -> (Option<&[u8]>, Option<&[u8]>) {
    match range {
        KeyRange::Single(key) => (Some(key), Some(key)),
        KeyRange::Between(start, end) => (Some(start), Some(end)),
        KeyRange::From(start) => (Some(start), None),
    }
}

impl Root {
    fn slot(&self, key: &[u8]) -> Option<&Slot> {
        let mut node = &self.node;
        loop {
            match &**node {
                Node::Leaf(leaf) => return leaf.slots.get(leaf.keys.search(key).ok()?),
                Node::Inner(inner) => node = &inner.children.get(inner.child_of(key))?.node,
            }
        }
    }

    /// The key's state if it is live.
    pub fn get(&self, key: &[u8]) -> Option<KeyMeta> {
        self.slot(key)?.meta()
    }

    /// The newest record of the key at or below main revision `rev`; `None` if there is none or it
    /// is a tombstone.
    pub fn get_at(&self, key: &[u8], rev: i64) -> Option<Revision> {
        self.slot(key)?.at(rev)
    }

    fn leaves(
        &self,
        range: &KeyRange,
        (live_only, descending): (bool, bool),
        mut visit: impl FnMut(&Leaf, Range<usize>) -> ControlFlow<()>,
    ) {
        let (from, to) = bounds(range);
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return;
        }
        // Whether the walk was broken off is the visitor's own knowledge.
        let _ = Walk { live_only, descending, visit: &mut visit }.node(&self.node, from, to);
    }

    /// Visits the live keys of a range in ascending order until told to stop. The key is only lent.
    pub fn for_each(
        &self,
        range: &KeyRange,
        mut visit: impl FnMut(&[u8], KeyMeta) -> ControlFlow<()>,
    ) {
        self.each(range, (true, false), Slot::meta, &mut visit);
    }

    /// As [`Self::for_each`], in descending order.
    pub fn for_each_rev(
        &self,
        range: &KeyRange,
        mut visit: impl FnMut(&[u8], KeyMeta) -> ControlFlow<()>,
    ) {
        self.each(range, (true, true), Slot::meta, &mut visit);
    }

    /// Visits the keys of a range that were live at main revision `rev`, ascending, each with the
    /// record that held its value then. The key is only lent.
    pub fn for_each_at(
        &self,
        range: &KeyRange,
        rev: i64,
        mut visit: impl FnMut(&[u8], Revision) -> ControlFlow<()>,
    ) {
        self.each(range, (false, false), |slot| slot.at(rev), &mut visit);
    }

    /// Visits every key that has any record, live or not, ascending.
    pub(super) fn for_each_slot(&self, mut visit: impl FnMut(&[u8], &Slot) -> ControlFlow<()>) {
        let mut key = Vec::new();
        let _ = Walk {
            live_only: false,
            descending: false,
            visit: &mut |leaf: &Leaf, part: Range<usize>| {
                part.into_iter().try_for_each(|at| {
                    key.clear();
                    key.extend_from_slice(leaf.keys.prefix());
                    key.extend_from_slice(leaf.keys.suffix(at));
                    visit(&key, &leaf.slots[at])
                })
            },
        }
        .node(&self.node, None, None);
    }

    fn each<T>(
        &self,
        range: &KeyRange,
        (live_only, descending): (bool, bool),
        select: impl Fn(&Slot) -> Option<T>,
        visit: &mut impl FnMut(&[u8], T) -> ControlFlow<()>,
    ) {
        if let KeyRange::Single(key) = range {
            if let Some(found) = self.slot(key).and_then(select) {
                let _ = visit(key, found);
            }
            return;
        }
        let mut key = Vec::new();
        self.leaves(range, (live_only, descending), |leaf, part| {
            key.clear();
            key.extend_from_slice(leaf.keys.prefix());
            let prefix = key.len();
            for step in 0..part.len() {
                let at = if descending { part.end - 1 - step } else { part.start + step };
                let Some(found) = select(&leaf.slots[at]) else { continue };
                key.truncate(prefix);
                key.extend_from_slice(leaf.keys.suffix(at));
                visit(&key, found)?;
            }
            ControlFlow::Continue(())
        });
    }

    /// How many live keys are below `key`.
    fn rank(&self, key: &[u8]) -> u64 {
        let (mut node, mut rank) = (&self.node, 0);
        loop {
            match &**node {
                Node::Leaf(leaf) => {
                    let below = leaf.slots.iter().take(leaf.keys.below(key));
                    return rank + below.filter(|slot| slot.is_live()).count() as u64;
                }
                Node::Inner(inner) => {
                    let at = inner.child_of(key);
                    let (below, rest) = inner.children.split_at(at.min(inner.children.len()));
                    rank += below.iter().map(|child| child.live).sum::<u64>();
                    let Some(child) = rest.first() else { return rank };
                    node = &child.node;
                }
            }
        }
    }

    /// How many keys of the range are live. Takes two walks down the tree, however wide the range.
    pub fn count(&self, range: &KeyRange) -> u64 {
        match range {
            KeyRange::Single(key) => u64::from(self.get(key).is_some()),
            KeyRange::Between(start, end) => self.rank(end).saturating_sub(self.rank(start)),
            KeyRange::From(start) => self.totals.live - self.rank(start),
        }
    }

    /// How many keys of the range were live at main revision `rev`. Walks the range.
    pub fn count_at(&self, range: &KeyRange, rev: i64) -> u64 {
        if let KeyRange::Single(key) = range {
            return u64::from(self.get_at(key, rev).is_some());
        }
        let mut count = 0;
        self.leaves(range, (false, false), |leaf, part| {
            count += leaf.slots[part].iter().filter(|slot| slot.at(rev).is_some()).count() as u64;
            ControlFlow::Continue(())
        });
        count
    }

    /// How many keys are live.
    pub fn len(&self) -> u64 {
        self.totals.live
    }

    /// Whether no key is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records the index refers to, tombstones included.
    pub fn revisions(&self) -> u64 {
        self.totals.records
    }

    /// An estimate of the memory the index takes, in bytes: prefixes that keys share are counted
    /// for every key, room left in nodes not at all, which about evens out.
    pub fn memory(&self) -> u64 {
        let Totals { keys, key_bytes, records, .. } = self.totals;
        key_bytes + keys * KEY_COST + (records - keys) * RECORD_COST
    }
}

/// Slot, position in the buffer and a share of the inner nodes.
const KEY_COST: u64 = 50;
/// A record behind a pointer, with a share of its chunk.
const RECORD_COST: u64 = 40;
