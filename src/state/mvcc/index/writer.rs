//! The one who changes the index.

use bytes::Bytes;

use super::node::{Child, Inner, Limits, Node};
use super::root::{Root, Totals};
use super::slot::Write;
use super::{KeyMeta, Step, sweep};
use crate::types::revision::Revision;

/// The index and its single writer. Changes show in [`Self::view`] at once, and elsewhere when the
/// writer hands out the next [`Self::root`].
#[derive(Debug, Default)]
pub struct Index {
    root: Root,
    limits: Limits,
}

impl Index {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty index with nodes of another size.
    #[cfg(test)]
    pub(super) fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(super) fn from_root(root: Root, limits: Limits) -> Self {
        Self { root, limits }
    }

    /// The index as it is now, for readers elsewhere. Costs nothing by itself; the next write to
    /// each node copies that node.
    pub fn root(&self) -> Root {
        self.root.clone()
    }

    /// The index as it is now, for the writer itself.
    pub fn view(&self) -> &Root {
        &self.root
    }

    /// Records a put. Returns the key's new state and its previous one if it was live.
    pub fn put(&mut self, key: &Bytes, at: Revision, lease: i64) -> (KeyMeta, Option<KeyMeta>) {
        let (after, before) = self.write(key, Write::Put { at, lease });
        (after.unwrap_or_default(), before)
    }

    /// Records a put whose outcome is known, as when reading records back. Records of a key arrive
    /// in ascending order.
    pub fn restore(&mut self, key: &[u8], meta: KeyMeta) {
        self.write(key, Write::Restore(meta));
    }

    /// Records a deletion. Returns the previous state; `None` when the key was not live, in which
    /// case nothing is recorded.
    pub fn tombstone(&mut self, key: &[u8], at: Revision) -> Option<KeyMeta> {
        self.root.get(key)?;
        self.write(key, Write::Delete(at)).1
    }

    /// Records a deletion found among the records, whatever the key was before: a compaction leaves
    /// a tombstone behind that lies exactly at its revision.
    pub fn restore_tombstone(&mut self, key: &[u8], at: Revision) {
        self.write(key, Write::Delete(at));
    }

    fn write(&mut self, key: &[u8], write: Write) -> (Option<KeyMeta>, Option<KeyMeta>) {
        let Root { node, totals } = &mut self.root;
        let effect = Node::write(node, key, write, &self.limits);
        totals.records += 1;
        totals.live += u64::from(effect.after.is_some());
        totals.live -= u64::from(effect.before.is_some());
        if effect.fresh {
            totals.keys += 1;
            totals.key_bytes += key.len() as u64;
        }
        if let Some(split) = effect.split {
            let left = Child { live: totals.live - split.right.live, node: node.clone() };
            *node = Node::Inner(Inner::above(left, split)).into();
        }
        (effect.after, effect.before)
    }

    /// Sweeps some leaves of a compaction at main revision `at`, beginning at `from`. Of each key
    /// stays what is newer than `at` and the newest record that is not, unless that is a tombstone
    /// older than `at`.
    pub fn compact_step(&mut self, at: i64, from: Option<Bytes>, max_leaves: usize) -> Step {
        let mut sweep = sweep::Sweep::new(at, self.limits);
        let mut next = from.unwrap_or_default();
        for _ in 0..max_leaves.max(1) {
            match sweep.leaf_of(&mut self.root.node, &next) {
                Some(upper) => next = upper.into(),
                None => return self.swept(sweep, None),
            }
        }
        self.swept(sweep, Some(next))
    }

    fn swept(&mut self, sweep: sweep::Sweep, next: Option<Bytes>) -> Step {
        let Totals { keys, key_bytes, records, .. } = &mut self.root.totals;
        *records -= sweep.dropped.len() as u64;
        *keys -= sweep.keys;
        *key_bytes -= sweep.key_bytes;
        Step { dropped: sweep.dropped, next }
    }
}
