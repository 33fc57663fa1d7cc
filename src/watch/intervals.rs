//! Which ranges hold a key: an interval tree.
//!
//! A treap ordered by (start, end) in which every node knows the highest end below it, so that a
//! key finds its k ranges among n in about O(log n + k) instead of looking at each. Nodes live in
//! one vector and point to each other by number.

use std::cmp::Ordering;

use bytes::Bytes;

use super::group::Group;

/// The end of a range, not included; a range without end is above every key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Before(Bytes),
    Never,
}

impl End {
    fn is_above(&self, key: &[u8]) -> bool {
        match self {
            Self::Before(end) => key < end,
            Self::Never => true,
        }
    }
}

const NIL: u32 = u32::MAX;

#[derive(Debug)]
struct Node {
    start: Bytes,
    end: End,
    highest: End,
    left: u32,
    right: u32,
    priority: u64,
    members: Group,
}

/// Ranges and the watchers on each.
#[derive(Debug)]
pub(super) struct Intervals {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
    random: u64,
}

impl Default for Intervals {
    fn default() -> Self {
        // Any odd seed does: priorities only have to look unrelated to the keys.
        Self { nodes: Vec::new(), free: Vec::new(), root: NIL, random: 0x9e37_79b9_7f4a_7c15 }
    }
}

impl Intervals {
    /// Adds a watcher to a range; `end` must be above `start`.
    pub(super) fn insert(&mut self, start: &Bytes, end: &End, member: u32) {
        self.root = self.insert_below(self.root, (start, end), member);
    }

    /// Takes a watcher off a range; nothing happens if it was not there.
    pub(super) fn remove(&mut self, start: &Bytes, end: &End, member: u32) {
        self.root = self.remove_below(self.root, (start, end), member);
    }

    /// Calls `visit` with every watcher whose range holds `key`.
    pub(super) fn visit(&self, key: &[u8], visit: &mut impl FnMut(u32)) {
        self.visit_below(self.root, key, visit);
    }

    fn visit_below(&self, at: u32, key: &[u8], visit: &mut impl FnMut(u32)) {
        let Some(node) = self.nodes.get(at as usize) else { return };
        if !node.highest.is_above(key) {
            return;
        }
        self.visit_below(node.left, key, visit);
        if node.start.as_ref() <= key {
            if node.end.is_above(key) {
                node.members.visit(visit);
            }
            self.visit_below(node.right, key, visit);
        }
    }

    fn insert_below(&mut self, at: u32, range: (&Bytes, &End), member: u32) -> u32 {
        if at == NIL {
            return self.new_node(range, member);
        }
        let node = &mut self.nodes[at as usize];
        let (left, right) = (node.left, node.right);
        match range.cmp(&(&node.start, &node.end)) {
            Ordering::Equal => {
                node.members.insert(member);
                at
            }
            Ordering::Less => {
                let child = self.insert_below(left, range, member);
                self.nodes[at as usize].left = child;
                self.settle(at, child)
            }
            Ordering::Greater => {
                let child = self.insert_below(right, range, member);
                self.nodes[at as usize].right = child;
                self.settle(at, child)
            }
        }
    }

    /// Restores the heap order between a node and a child that changed; tells who is on top now.
    fn settle(&mut self, at: u32, child: u32) -> u32 {
        if self.nodes[child as usize].priority <= self.nodes[at as usize].priority {
            self.refresh(at);
            return at;
        }
        if self.nodes[at as usize].left == child {
            self.nodes[at as usize].left = self.nodes[child as usize].right;
            self.nodes[child as usize].right = at;
        } else {
            self.nodes[at as usize].right = self.nodes[child as usize].left;
            self.nodes[child as usize].left = at;
        }
        self.refresh(at);
        self.refresh(child);
        child
    }

    fn remove_below(&mut self, at: u32, range: (&Bytes, &End), member: u32) -> u32 {
        let Some(node) = self.nodes.get_mut(at as usize) else { return NIL };
        let (left, right) = (node.left, node.right);
        match range.cmp(&(&node.start, &node.end)) {
            Ordering::Equal => {
                if !node.members.remove(member) {
                    return at;
                }
                self.release(at);
                return self.merge(left, right);
            }
            Ordering::Less => {
                let child = self.remove_below(left, range, member);
                self.nodes[at as usize].left = child;
            }
            Ordering::Greater => {
                let child = self.remove_below(right, range, member);
                self.nodes[at as usize].right = child;
            }
        }
        self.refresh(at);
        at
    }

    /// Joins two trees of which every range of the first sorts below those of the second.
    fn merge(&mut self, low: u32, high: u32) -> u32 {
        let (Some(first), Some(second)) =
            (self.nodes.get(low as usize), self.nodes.get(high as usize))
        else {
            return if low == NIL { high } else { low };
        };
        if first.priority > second.priority {
            let joined = self.merge(first.right, high);
            self.nodes[low as usize].right = joined;
            self.refresh(low);
            low
        } else {
            let joined = self.merge(low, second.left);
            self.nodes[high as usize].left = joined;
            self.refresh(high);
            high
        }
    }

    fn refresh(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let below = [node.left, node.right].into_iter().filter_map(|child| {
            let child = self.nodes.get(child as usize)?;
            Some(&child.highest)
        });
        let highest = below.fold(&node.end, |highest, end| highest.max(end)).clone();
        self.nodes[at as usize].highest = highest;
    }

    fn new_node(&mut self, (start, end): (&Bytes, &End), member: u32) -> u32 {
        // xorshift64: cheap, and nobody gains from predicting it but a slower own watch.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let node = Node {
            start: start.clone(),
            end: end.clone(),
            highest: end.clone(),
            left: NIL,
            right: NIL,
            priority: self.random,
            members: Group::One(member),
        };
        if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            return at;
        }
        self.nodes.push(node);
        // Watchers are bounded far below 2^32, and so are their ranges.
        u32::try_from(self.nodes.len() - 1).unwrap_or(NIL)
    }

    fn release(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        // The keys may be long: they go now, not when the place is used again.
        node.start = Bytes::new();
        node.end = End::Never;
        node.highest = End::Never;
        self.free.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Bytes {
        Bytes::from(format!("{:03}", number % 200))
    }

    fn found(tree: &Intervals, key: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        tree.visit(key, &mut |member| found.push(member));
        found.sort_unstable();
        found
    }

    #[test]
    fn finds_what_a_linear_search_finds_while_ranges_come_and_go() {
        let mut tree = Intervals::default();
        let mut plain: Vec<(Bytes, End, u32)> = Vec::new();
        let mut random = 1_u64;
        for step in 0..3_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (a, b) = (random >> 33, random >> 45);
            if step % 3 == 2 && !plain.is_empty() {
                let (start, end, member) = plain.swap_remove(a as usize % plain.len());
                tree.remove(&start, &end, member);
            } else {
                let start = key(a);
                let end = if b % 50 == 0 { End::Never } else { End::Before(key(b)) };
                if matches!(&end, End::Before(end) if *end <= start) {
                    continue;
                }
                tree.insert(&start, &end, step);
                plain.push((start, end, step));
            }
            let probe = key(random >> 50);
            let mut expected: Vec<u32> = plain
                .iter()
                .filter(|(start, end, _)| *start <= probe && end.is_above(&probe))
                .map(|(_, _, member)| *member)
                .collect();
            expected.sort_unstable();
            assert_eq!(found(&tree, &probe), expected, "at step {step}");
        }
        for (start, end, member) in plain {
            tree.remove(&start, &end, member);
        }
        assert_eq!((tree.root, tree.free.len()), (NIL, tree.nodes.len()));
    }

    #[test]
    fn sorted_ranges_do_not_make_a_deep_tree() {
        let mut tree = Intervals::default();
        for number in 0..20_000_u32 {
            let start = Bytes::from(format!("/registry/{number:06}/"));
            let end = Bytes::from(format!("/registry/{number:06}0"));
            tree.insert(&start, &End::Before(end), number);
        }
        assert_eq!(found(&tree, b"/registry/001234/x"), [1234]);
        assert!(depth(&tree, tree.root) < 60, "{}", depth(&tree, tree.root));
    }

    fn depth(tree: &Intervals, at: u32) -> usize {
        let Some(node) = tree.nodes.get(at as usize) else { return 0 };
        1 + depth(tree, node.left).max(depth(tree, node.right))
    }
}
