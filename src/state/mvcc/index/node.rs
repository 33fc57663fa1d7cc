//! Nodes of the tree. A node that a reader can see is never changed: the writer copies it first,
//! once, and changes the copy until that is published in turn.

use std::sync::Arc;

use super::KeyMeta;
use super::keys::{Keys, reserve};
use super::slot::{Slot, Write};

/// How large nodes may grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Keys of a leaf.
    pub(super) leaf: usize,
    /// Children of an inner node.
    pub(super) fan: usize,
    /// Bytes of keys in either beside their prefix; a single key may be longer.
    pub(super) bytes: usize,
}

impl Default for Limits {
    /// Measured: larger leaves make scans faster and every copy slower.
    fn default() -> Self {
        Self { leaf: 64, fan: 32, bytes: 32 * 1024 }
    }
}

/// A node of either kind; all leaves are at the same depth.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Leaf(Leaf),
    Inner(Inner),
}

/// Keys and what is known about each.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    pub(super) keys: Keys,
    pub(super) slots: Vec<Slot>,
}

/// A node below an inner node, with the live keys under it.
#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) node: Arc<Node>,
    pub(super) live: u64,
}

/// Children, and one separator between each two: not below it lies the right one.
#[derive(Clone, Debug, Default)]
pub(super) struct Inner {
    pub(super) separators: Keys,
    pub(super) children: Vec<Child>,
}

/// The right half of a node that grew too large.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) separator: Vec<u8>,
    pub(super) right: Child,
}

/// What a write found and left behind.
#[derive(Debug, Default)]
pub(super) struct Effect {
    pub(super) before: Option<KeyMeta>,
    pub(super) after: Option<KeyMeta>,
    /// The key had no records at all.
    pub(super) fresh: bool,
    pub(super) split: Option<Split>,
}

impl Node {
    pub(super) fn live(&self) -> u64 {
        match self {
            Self::Leaf(leaf) => leaf.slots.iter().filter(|slot| slot.is_live()).count() as u64,
            Self::Inner(inner) => inner.children.iter().map(|child| child.live).sum(),
        }
    }

    /// Keys of a leaf, children of an inner node.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.slots.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }

    /// Carries a change to the leaf of its key.
    pub(super) fn write(node: &mut Arc<Self>, key: &[u8], write: Write, limits: &Limits) -> Effect {
        match Arc::make_mut(node) {
            Self::Leaf(leaf) => leaf.write(key, write, limits),
            Self::Inner(inner) => inner.write(key, write, limits),
        }
    }
}

impl Child {
    pub(super) fn new(node: Node) -> Self {
        Self { live: node.live(), node: Arc::new(node) }
    }
}

impl Leaf {
    fn write(&mut self, key: &[u8], write: Write, limits: &Limits) -> Effect {
        match self.keys.search(key) {
            Ok(at) => {
                let slot = &mut self.slots[at];
                let before = slot.meta();
                slot.write(write);
                Effect { before, after: slot.meta(), ..Effect::default() }
            }
            Err(at) => {
                let slot = Slot::new(write);
                let after = slot.meta();
                let split = self.insert(at, key, slot, limits);
                Effect { after, fresh: true, split, ..Effect::default() }
            }
        }
    }

    fn insert(&mut self, at: usize, key: &[u8], slot: Slot, limits: &Limits) -> Option<Split> {
        let alone = !self.slots.is_empty()
            && !key.starts_with(self.keys.prefix())
            && self.keys.spread_with(key) > limits.bytes;
        if alone {
            return Some(self.insert_beside(at, key, slot));
        }
        self.keys.insert(at, key);
        reserve(&mut self.slots, SLACK, 1);
        self.slots.insert(at, slot);
        let wide = self.keys.spread() > limits.bytes && self.slots.len() > 1;
        if self.slots.len() <= limits.leaf && !wide {
            return None;
        }
        let middle = if at + 1 == self.slots.len() {
            // Keys that arrive in order leave full leaves behind.
            at
        } else if wide {
            self.keys.halfway()
        } else {
            self.slots.len() / 2
        };
        Some(self.split(middle))
    }

    /// Gives a key a leaf of its own. It does not share the prefix, so it lies at one end; sharing
    /// a leaf with it would write that prefix out for every other key.
    fn insert_beside(&mut self, at: usize, key: &[u8], slot: Slot) -> Split {
        let mut right = Self::default();
        right.keys.insert(0, key);
        right.slots.push(slot);
        if at == 0 {
            std::mem::swap(self, &mut right);
        }
        let separator = Keys::separator(&self.keys, &right.keys);
        Split { separator, right: Child::new(Node::Leaf(right)) }
    }

    fn split(&mut self, middle: usize) -> Split {
        let count = self.slots.len();
        let right = Self {
            keys: Keys::gather(&[(&self.keys, middle..count)]),
            slots: self.slots.split_off(middle),
        };
        self.keys = Keys::gather(&[(&self.keys, 0..middle)]);
        self.slots.shrink_to_fit();
        let separator = Keys::separator(&self.keys, &right.keys);
        Split { separator, right: Child::new(Node::Leaf(right)) }
    }
}

/// Slots made ready when a leaf runs out of them.
const SLACK: usize = 4;

impl Inner {
    /// The child whose keys `key` would be among.
    pub(super) fn child_of(&self, key: &[u8]) -> usize {
        self.separators.up_to(key)
    }

    fn write(&mut self, key: &[u8], write: Write, limits: &Limits) -> Effect {
        let at = self.child_of(key);
        let child = &mut self.children[at];
        let mut effect = Node::write(&mut child.node, key, write, limits);
        child.live += u64::from(effect.after.is_some());
        child.live -= u64::from(effect.before.is_some());
        if let Some(split) = effect.split.take() {
            child.live -= split.right.live;
            self.adopt(at + 1, split);
            effect.split = self.split_if_large(at + 1, limits);
        }
        effect
    }

    /// An inner node over two halves, the new root.
    pub(super) fn above(left: Child, split: Split) -> Self {
        let mut inner = Self::default();
        inner.children.push(left);
        inner.adopt(1, split);
        inner
    }

    fn adopt(&mut self, at: usize, split: Split) {
        self.separators.insert(at - 1, &split.separator);
        self.children.insert(at, split.right);
    }

    fn split_if_large(&mut self, grown: usize, limits: &Limits) -> Option<Split> {
        let count = self.children.len();
        let wide = self.separators.spread() > limits.bytes && count >= 4;
        if count <= limits.fan && !wide {
            return None;
        }
        let middle = if grown + 1 == count && !wide { count - 1 } else { count / 2 };
        let separator = self.separators.key(middle - 1);
        let right = Self {
            separators: Keys::gather(&[(&self.separators, middle..count - 1)]),
            children: self.children.split_off(middle),
        };
        self.separators = Keys::gather(&[(&self.separators, 0..middle - 1)]);
        Some(Split { separator, right: Child::new(Node::Inner(right)) })
    }
}
