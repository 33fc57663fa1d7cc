//! The key index: every key in memory with its newest state and the revisions of its history.
//!
//! One writer owns an [`Index`]; readers hold a [`Root`], which never changes once they have it.

mod bulk;
pub mod checkpoint;
mod codec;
mod keys;
#[cfg(test)]
mod model;
mod node;
mod past;
mod root;
mod slot;
mod sweep;
#[cfg(test)]
mod tests;
mod writer;

use bytes::Bytes;

use crate::types::revision::Revision;

pub use root::Root;
pub use writer::Index;

/// What the index knows about a live key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyMeta {
    /// Main revision of the first put since the key last came into being.
    pub create: i64,
    /// The newest put; names the record that holds the value.
    pub modified: Revision,
    /// Puts since the key last came into being, from one.
    pub version: i64,
    /// The lease the key hangs on, zero for none.
    pub lease: i64,
}

/// What one step of a compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Records nobody can read any more, with whether each is a tombstone; delete them from the
    /// store.
    pub dropped: Vec<(Revision, bool)>,
    /// Where the next step goes on; `None` when the sweep is done.
    pub next: Option<Bytes>,
}
