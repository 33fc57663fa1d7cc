//! The tree against the plain map, over long random histories.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::bulk::Bulk;
use super::node::{Limits, Node};
use super::{Index, KeyMeta, Root, model};
use crate::types::range::KeyRange;
use crate::types::revision::Revision;

/// A small generator with a fixed seed: failures repeat.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    /// Short keys over few bytes, so that they collide, extend each other and end in zeros or 0xff;
    /// or realistic paths; or now and then a very long one.
    fn key(&mut self) -> Bytes {
        const ALPHABET: &[u8] = &[0, 0, b'a', b'b', 0xff, 0xff];
        match self.roll(40) {
            0 => vec![0xff; self.roll(9) as usize].into(),
            1 => [b"/wide/".repeat(self.roll(60) as usize), self.roll(9).to_be_bytes().into()]
                .concat()
                .into(),
            2..=15 => (0..self.roll(8)).map(|_| ALPHABET[self.roll(6) as usize]).collect(),
            _ => format!("/registry/pods/ns-{}/app-{:03}", self.roll(5), self.roll(300)).into(),
        }
    }

    fn range(&mut self) -> KeyRange {
        match self.roll(6) {
            0 => KeyRange::Single(self.key()),
            1 => KeyRange::From(self.key()),
            2 => KeyRange::From(Bytes::new()),
            3 => KeyRange::prefix(self.key().slice(..0)),
            4 => KeyRange::prefix(format!("/registry/pods/ns-{}", self.roll(6)).into()),
            _ => KeyRange::Between(self.key(), self.key()),
        }
    }
}

type Found<T> = Vec<(Vec<u8>, T)>;

fn collect<T>(
    limit: usize,
    walk: impl FnOnce(&mut dyn FnMut(&[u8], T) -> ControlFlow<()>),
) -> Found<T> {
    let mut found = Vec::new();
    walk(&mut |key, what| {
        found.push((key.to_vec(), what));
        if found.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

macro_rules! same {
    ($tree:expr, $map:expr, |$root:ident| $read:expr, $($context:tt)*) => {{
        let $root = $tree;
        let tree = $read;
        let $root = $map;
        assert_eq!(tree, $read, $($context)*);
    }};
}

/// Compares every kind of read at random places.
fn compare(tree: &Root, map: &model::Root, dice: &mut Dice, top: i64, reads: usize) {
    assert_eq!((tree.len(), tree.revisions()), (map.len(), map.revisions()));
    for _ in 0..reads {
        let (key, range) = (dice.key(), dice.range());
        let rev = dice.roll(top as u64 + 2) as i64;
        let limit = if dice.roll(2) == 0 { usize::MAX } else { 1 + dice.roll(20) as usize };
        same!(tree, map, |root| root.get(&key), "get {key:?}");
        same!(tree, map, |root| root.get_at(&key, rev), "get {key:?} at {rev}");
        same!(tree, map, |root| root.count(&range), "count {range:?}");
        same!(tree, map, |root| root.count_at(&range, rev), "count {range:?} at {rev}");
        same!(
            tree,
            map,
            |root| collect::<KeyMeta>(limit, |f| root.for_each(&range, f)),
            "{range:?}"
        );
        same!(
            tree,
            map,
            |root| collect::<KeyMeta>(limit, |f| root.for_each_rev(&range, f)),
            "{range:?} down"
        );
        same!(
            tree,
            map,
            |root| collect::<Revision>(limit, |f| root.for_each_at(&range, rev, f)),
            "{range:?} at {rev}"
        );
    }
}

/// Checks what the walks rely on; returns the depth.
fn check(node: &Node, low: Option<&[u8]>, high: Option<&[u8]>, limits: &Limits) -> usize {
    let inside =
        |key: &[u8]| low.is_none_or(|low| low <= key) && high.is_none_or(|high| key < high);
    match node {
        Node::Leaf(leaf) => {
            assert_eq!(leaf.keys.len(), leaf.slots.len());
            assert!(leaf.slots.len() <= limits.leaf);
            let keys: Vec<_> = (0..leaf.keys.len()).map(|at| leaf.keys.key(at)).collect();
            assert!(
                keys.is_sorted_by(|left, right| left < right) && keys.iter().all(|key| inside(key))
            );
            1
        }
        Node::Inner(inner) => {
            assert_eq!(inner.separators.len() + 1, inner.children.len());
            assert!(inner.children.len() <= limits.fan);
            let bounds: Vec<_> =
                (0..inner.separators.len()).map(|at| inner.separators.key(at)).collect();
            assert!(bounds.iter().all(|key| inside(key)));
            let depths = inner.children.iter().enumerate().map(|(at, child)| {
                assert_eq!(child.live, child.node.live());
                let low = at.checked_sub(1).map_or(low, |before| Some(&bounds[before]));
                let high = bounds.get(at).map_or(high, |bound| Some(bound));
                check(&child.node, low, high, limits)
            });
            let depths: Vec<usize> = depths.collect();
            assert!(depths.iter().all(|depth| *depth == depths[0]), "leaves at one depth");
            depths[0] + 1
        }
    }
}

struct Pair {
    tree: Index,
    map: model::Index,
    rev: i64,
    limits: Limits,
}

impl Pair {
    fn new(limits: Limits) -> Self {
        Self { tree: Index::with_limits(limits), map: model::Index::new(), rev: 1, limits }
    }

    fn transaction(&mut self, dice: &mut Dice) {
        self.rev += 1;
        for sub in 0..1 + dice.roll(3) as i64 {
            let (key, at) = (dice.key(), Revision::new(self.rev, sub));
            if dice.roll(3) == 0 {
                assert_eq!(self.tree.tombstone(&key, at), self.map.tombstone(&key, at));
            } else {
                let lease = dice.roll(3) as i64 - 1;
                assert_eq!(self.tree.put(&key, at, lease), self.map.put(&key, at, lease));
            }
        }
    }

    fn compact(&mut self, at: i64, leaves: usize, dice: &mut Dice) {
        let (mut dropped, mut from) = (Vec::new(), None);
        loop {
            let step = self.tree.compact_step(at, from.clone(), leaves);
            dropped.extend(step.dropped);
            let Some(next) = step.next else { break };
            assert!(from.is_none_or(|from| from < next), "a sweep only goes forward");
            from = Some(next);
            if dice.roll(4) == 0 {
                // The index goes on changing between two steps.
                self.transaction(dice);
            }
        }
        let mut expected = self.map.compact(at);
        expected.sort_unstable();
        dropped.sort_unstable();
        assert_eq!(dropped, expected);
    }

    fn check(&self) -> usize {
        check(&self.tree.view().node, None, None, &self.limits)
    }
}

fn limits(leaf: usize, fan: usize, bytes: usize) -> Limits {
    Limits { leaf, fan, bytes }
}

#[test]
fn tree_and_map_agree_over_random_histories_and_so_do_snapshots_taken_on_the_way() {
    let sizes = [limits(2, 3, 4096), limits(4, 4, 64), limits(16, 8, 300), Limits::default()];
    for (seed, limits) in sizes.into_iter().enumerate() {
        let mut dice = Dice(0x9e37_79b9 + seed as u64);
        let mut pair = Pair::new(limits);
        let mut held = Vec::new();
        let mut compacted = 0;
        for round in 0..5000 {
            pair.transaction(&mut dice);
            if dice.roll(5) == 0 {
                // Publishing after every few writes, as the machine does after every batch.
                drop(pair.tree.root());
            }
            if round % 500 == 99 {
                held.push((pair.tree.root(), pair.map.root(), pair.rev));
                held.truncate(8);
            }
            if round % 700 == 350 {
                compacted += dice.roll((pair.rev - compacted) as u64) as i64;
                let leaves = 1 + dice.roll(10) as usize;
                pair.compact(compacted, leaves, &mut dice);
                pair.check();
            }
            if round % 250 == 0 {
                compare(pair.tree.view(), pair.map.view(), &mut dice, pair.rev, 20);
            }
        }
        pair.check();
        compare(pair.tree.view(), pair.map.view(), &mut dice, pair.rev, 200);
        for (tree, map, rev) in held {
            compare(&tree, &map, &mut dice, rev, 50);
        }
    }
}

#[test]
fn deleting_and_compacting_everything_leaves_an_empty_leaf() {
    let mut dice = Dice(7);
    let mut pair = Pair::new(limits(16, 16, 4096));
    (0..3000).for_each(|_| pair.transaction(&mut dice));
    let before = pair.check();
    let all = collect::<KeyMeta>(usize::MAX, |f| {
        pair.tree.view().for_each(&KeyRange::From(Bytes::new()), f)
    });
    for (at, (key, _)) in all.iter().enumerate() {
        if at % 64 != 0 {
            pair.rev += 1;
            pair.tree.tombstone(key, Revision::new(pair.rev, 0));
            pair.map.tombstone(key, Revision::new(pair.rev, 0));
        }
    }
    pair.rev += 1;
    pair.compact(pair.rev, 1, &mut Dice(1));
    let (keys, after) = (pair.tree.view().len(), pair.check());
    assert!(after < before, "{keys} keys left, depth {before} -> {after}");
    let all = collect::<KeyMeta>(usize::MAX, |f| {
        pair.tree.view().for_each(&KeyRange::From(Bytes::new()), f)
    });
    for (key, _) in all {
        pair.rev += 1;
        pair.tree.tombstone(&key, Revision::new(pair.rev, 0));
    }
    let mut from = None;
    loop {
        from = pair.tree.compact_step(pair.rev + 1, from, 3).next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!((pair.check(), pair.tree.view().node.width()), (1, 0));
    assert_eq!(pair.tree.view().totals, super::root::Totals::default());
}

#[test]
fn a_tombstone_at_the_compacted_revision_stays_until_the_next_compaction() {
    let mut index = Index::new();
    let key = Bytes::from_static(b"k");
    index.put(&key, Revision::new(2, 0), 0);
    index.tombstone(&key, Revision::new(3, 0));
    let step = index.compact_step(3, None, 1);
    assert_eq!(step.dropped, [(Revision::new(2, 0), false)]);
    assert_eq!((index.view().revisions(), index.view().get_at(&key, 3)), (1, None));
    let step = index.compact_step(4, None, 1);
    assert_eq!(step.dropped, [(Revision::new(3, 0), true)]);
    assert_eq!((index.view().revisions(), step.next), (0, None));
}

#[test]
fn a_lone_tombstone_read_back_is_remembered_until_it_is_compacted() {
    let mut index = Index::new();
    index.restore_tombstone(b"k", Revision::new(3, 0));
    assert_eq!((index.view().len(), index.view().revisions()), (0, 1));
    let (meta, before) = index.put(&Bytes::from_static(b"k"), Revision::new(4, 0), 7);
    assert_eq!((meta.create, meta.version, before), (4, 1, None));
    assert_eq!(index.compact_step(4, None, 1).dropped, [(Revision::new(3, 0), true)]);
}

#[test]
fn keys_of_a_megabyte_share_leaves_only_with_their_like() {
    let mut index = Index::new();
    let wide = |tail: u8| Bytes::from([vec![b'x'; 1_500_000], vec![tail]].concat());
    for tail in 0..80 {
        index.put(&wide(tail), Revision::new(2, i64::from(tail)), 0);
    }
    for (sub, key) in ["", "a", "x", "xx", "y", "z"].into_iter().enumerate() {
        index.put(&Bytes::from(key), Revision::new(3, sub as i64), 0);
    }
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    check(&index.view().node, None, None, &limits);
    assert_eq!(index.view().len(), 86);
    assert!((0..80).all(|tail| index.view().get(&wide(tail)).is_some()));
    assert_eq!(index.view().count(&KeyRange::prefix("xxx".into())), 80);
    fn bytes(node: &Node) -> usize {
        match node {
            Node::Leaf(leaf) => leaf.keys.prefix().len() + leaf.keys.spread(),
            Node::Inner(inner) => {
                inner.separators.prefix().len()
                    + inner.separators.spread()
                    + inner.children.iter().map(|child| bytes(&child.node)).sum::<usize>()
            }
        }
    }
    let held = bytes(&index.view().node);
    assert!(held < 20_000_000, "80 keys of 1.5 MB that differ in one byte take {held} bytes");
}

#[test]
fn building_from_sorted_keys_gives_the_same_tree_as_putting_them() {
    for limits in [limits(2, 3, 4096), limits(7, 5, 100), Limits::default()] {
        let mut dice = Dice(99);
        let mut pair = Pair::new(limits);
        (0..2000).for_each(|_| pair.transaction(&mut dice));
        let mut bulk = Bulk::with_limits(limits);
        pair.tree.view().for_each_slot(|key, slot| {
            assert!(bulk.push(key, slot.clone()));
            assert!(!bulk.push(key, slot.clone()), "a repeated key is refused");
            ControlFlow::Continue(())
        });
        let built = bulk.finish();
        assert_eq!(built.view().totals, pair.tree.view().totals);
        compare(built.view(), pair.map.view(), &mut dice, pair.rev, 100);
        pair.tree = built;
        pair.check();
        (0..500).for_each(|_| pair.transaction(&mut dice));
        pair.check();
        compare(pair.tree.view(), pair.map.view(), &mut dice, pair.rev, 100);
    }
}

#[test]
fn one_batch_copies_a_node_once_and_a_published_root_never_changes() {
    let mut index = Index::new();
    let key = Bytes::from_static(b"k");
    index.put(&key, Revision::new(2, 0), 0);
    let published = index.root();
    index.put(&key, Revision::new(3, 0), 0);
    let copied = std::sync::Arc::as_ptr(&index.view().node);
    index.put(&key, Revision::new(4, 0), 0);
    assert_eq!(std::sync::Arc::as_ptr(&index.view().node), copied);
    assert_eq!(published.get(&key).map(|meta| meta.version), Some(1));
    assert_eq!(index.view().get(&key).map(|meta| meta.version), Some(3));
}
