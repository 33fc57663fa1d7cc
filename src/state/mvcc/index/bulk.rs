//! Building an index from keys that arrive in order: every leaf is written once, full.

use super::keys::Keys;
use super::node::{Child, Inner, Leaf, Limits, Node};
use super::root::{Root, Totals};
use super::slot::Slot;
use super::writer::Index;

/// An index in the making.
#[derive(Debug)]
pub(super) struct Bulk {
    limits: Limits,
    leaf: Leaf,
    last: Vec<u8>,
    /// Finished leaves, each with the separator to its left; that of the first is not used.
    leaves: Vec<(Vec<u8>, Child)>,
    totals: Totals,
}

/// Nodes keep an eighth free: a full one would split at the first insert.
fn filled(limit: usize) -> usize {
    (limit - limit / 8).max(2)
}

impl Bulk {
    /// Begins an empty index.
    pub(super) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(super) fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            leaf: Leaf::default(),
            last: Vec::new(),
            leaves: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// Adds a key; refuses one that is not above the last.
    pub(super) fn push(&mut self, key: &[u8], slot: Slot) -> bool {
        if self.totals.keys > 0 && key <= self.last.as_slice() {
            return false;
        }
        let full = self.leaf.slots.len() >= filled(self.limits.leaf)
            || self.leaf.keys.spread_with(key) > self.limits.bytes;
        if full && !self.leaf.slots.is_empty() {
            self.end_leaf();
        }
        if self.leaf.slots.is_empty() {
            self.leaf.slots.reserve_exact(filled(self.limits.leaf));
            self.leaf.keys = Keys::with_capacity(filled(self.limits.leaf));
        }
        self.totals.keys += 1;
        self.totals.key_bytes += key.len() as u64;
        self.totals.records += slot.records() as u64;
        self.totals.live += u64::from(slot.is_live());
        self.leaf.keys.insert(self.leaf.keys.len(), key);
        self.leaf.slots.push(slot);
        self.last.clear();
        self.last.extend_from_slice(key);
        true
    }

    fn end_leaf(&mut self) {
        let mut leaf = std::mem::take(&mut self.leaf);
        leaf.keys.shrink();
        let separator = match self.leaves.last().map(|(_, child)| &*child.node) {
            Some(Node::Leaf(left)) => Keys::separator(&left.keys, &leaf.keys),
            _ => Vec::new(),
        };
        self.leaves.push((separator, Child::new(Node::Leaf(leaf))));
    }

    /// Sums over what was pushed so far.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// The finished index.
    pub(super) fn finish(mut self) -> Index {
        if !self.leaf.slots.is_empty() {
            self.end_leaf();
        }
        let mut level = self.leaves;
        while level.len() > 1 {
            level = above(level, &self.limits);
        }
        let root = match level.pop() {
            Some((_, child)) => Root { node: child.node, totals: self.totals },
            None => Root::default(),
        };
        Index::from_root(root, self.limits)
    }
}

fn above(level: Vec<(Vec<u8>, Child)>, limits: &Limits) -> Vec<(Vec<u8>, Child)> {
    let mut parents: Vec<(Vec<u8>, Inner)> = Vec::new();
    for (separator, child) in level {
        let open = parents.last_mut().map(|(_, inner)| inner).filter(|inner| {
            inner.children.len() < 2
                || (inner.children.len() < filled(limits.fan)
                    && inner.separators.spread_with(&separator) <= limits.bytes)
        });
        if let Some(inner) = open {
            inner.separators.insert(inner.separators.len(), &separator);
            inner.children.push(child);
        } else {
            let inner = Inner { children: vec![child], ..Inner::default() };
            parents.push((separator, inner));
        }
    }
    parents
        .into_iter()
        .map(|(separator, inner)| (separator, Child::new(Node::Inner(inner))))
        .collect()
}
