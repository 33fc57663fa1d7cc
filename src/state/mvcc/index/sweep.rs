//! Compaction: leaf by leaf, in the order of keys, so that it can stop anywhere and go on later.

use std::sync::Arc;

use super::keys::Keys;
use super::node::{Child, Inner, Leaf, Limits, Node};
use crate::types::revision::Revision;

/// One step of a compaction.
#[derive(Debug)]
pub(super) struct Sweep {
    at: i64,
    limits: Limits,
    /// Records given up, with whether each is a tombstone.
    pub(super) dropped: Vec<(Revision, bool)>,
    /// Keys without any record left, which are gone.
    pub(super) keys: u64,
    /// Their lengths.
    pub(super) key_bytes: u64,
}

impl Sweep {
    pub(super) fn new(at: i64, limits: Limits) -> Self {
        Self { at, limits, dropped: Vec::new(), keys: 0, key_bytes: 0 }
    }

    /// Sweeps the leaf that `key` would be in. Returns the key its right neighbour begins at.
    pub(super) fn leaf_of(&mut self, root: &mut Arc<Node>, key: &[u8]) -> Option<Vec<u8>> {
        let (stale, upper) = self.probe(root, key);
        if stale {
            self.node(root, key);
            flatten(root);
        }
        upper
    }

    /// Looks before it touches: a leaf with nothing to drop is not copied.
    fn probe(&self, mut node: &Arc<Node>, key: &[u8]) -> (bool, Option<Vec<u8>>) {
        let mut upper = None;
        loop {
            match &**node {
                Node::Leaf(leaf) => {
                    return (leaf.slots.iter().any(|slot| slot.is_stale(self.at)), upper);
                }
                Node::Inner(inner) => {
                    let at = inner.child_of(key);
                    if at < inner.separators.len() {
                        upper = Some(inner.separators.key(at));
                    }
                    let Some(child) = inner.children.get(at) else { return (false, upper) };
                    node = &child.node;
                }
            }
        }
    }

    fn node(&mut self, node: &mut Arc<Node>, key: &[u8]) {
        match Arc::make_mut(node) {
            Node::Leaf(leaf) => self.leaf(leaf),
            Node::Inner(inner) => {
                let at = inner.child_of(key);
                // Live keys stay live: the counts on the way need no change.
                if let Some(child) = inner.children.get_mut(at) {
                    self.node(&mut child.node, key);
                    tidy(inner, at, &self.limits);
                }
            }
        }
    }

    fn leaf(&mut self, leaf: &mut Leaf) {
        for at in (0..leaf.slots.len()).rev() {
            let slot = &mut leaf.slots[at];
            if slot.is_stale(self.at) && !slot.compact(self.at, &mut self.dropped) {
                self.keys += 1;
                self.key_bytes += leaf.keys.key_len(at) as u64;
                leaf.slots.remove(at);
                leaf.keys.remove(at);
            }
        }
    }
}

/// A root with a single child is one level too many.
fn flatten(root: &mut Arc<Node>) {
    while let Node::Inner(inner) = &**root {
        *root = match inner.children.as_slice() {
            [] => Arc::new(Node::Leaf(Leaf::default())),
            [only] => only.node.clone(),
            _ => return,
        };
    }
}

/// Removes a child that has become empty, or joins it with a neighbour when it is under a quarter
/// full.
fn tidy(inner: &mut Inner, at: usize, limits: &Limits) {
    let child = &inner.children[at];
    let limit = if matches!(*child.node, Node::Leaf(_)) { limits.leaf } else { limits.fan };
    let width = child.node.width();
    if width == 0 {
        inner.children.remove(at);
        if inner.separators.len() > 0 {
            inner.separators.remove(at.saturating_sub(1));
        }
    } else if width * 4 < limit && !join(inner, at, limits) && at > 0 {
        join(inner, at - 1, limits);
    }
}

/// Joins two neighbours, if the result leaves room to grow.
fn join(inner: &mut Inner, left: usize, limits: &Limits) -> bool {
    let [low, high] = match inner.children.get(left..left + 2) {
        Some([low, high]) => [low, high],
        _ => return false,
    };
    let live = low.live + high.live;
    let node = match (&*low.node, &*high.node) {
        (Node::Leaf(low), Node::Leaf(high)) => join_leaves(low, high, limits).map(Node::Leaf),
        (Node::Inner(low), Node::Inner(high)) => {
            join_inner(low, high, &inner.separators.key(left), limits).map(Node::Inner)
        }
        _ => None,
    };
    let Some(node) = node else { return false };
    inner.children[left] = Child { node: Arc::new(node), live };
    inner.children.remove(left + 1);
    inner.separators.remove(left);
    true
}

fn has_room(count: usize, limit: usize) -> bool {
    count <= limit - limit / 4
}

fn join_leaves(low: &Leaf, high: &Leaf, limits: &Limits) -> Option<Leaf> {
    let parts = [(&low.keys, 0..low.keys.len()), (&high.keys, 0..high.keys.len())];
    let fits = has_room(low.slots.len() + high.slots.len(), limits.leaf)
        && has_room(Keys::gathered(&parts), limits.bytes);
    fits.then(|| Leaf { keys: Keys::gather(&parts), slots: [&*low.slots, &high.slots].concat() })
}

fn join_inner(low: &Inner, high: &Inner, between: &[u8], limits: &Limits) -> Option<Inner> {
    let mut middle = Keys::default();
    middle.insert(0, between);
    let parts = [
        (&low.separators, 0..low.separators.len()),
        (&middle, 0..1),
        (&high.separators, 0..high.separators.len()),
    ];
    let fits = has_room(low.children.len() + high.children.len(), limits.fan)
        && has_room(Keys::gathered(&parts), limits.bytes);
    fits.then(|| Inner {
        separators: Keys::gather(&parts),
        children: [&*low.children, &high.children].concat(),
    })
}
