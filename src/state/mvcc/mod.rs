//! Keys, their histories and their values.
//!
//! Records hold the history on disk, keyed by revision; the index in memory names the records of
//! every key. Apply alone writes, through `write::Writer`; readers work on an immutable root.

pub mod cache;
pub mod index;

pub(super) mod compaction;
mod neighbours;
pub(super) mod read;
pub mod recent;
pub(super) mod record;
pub(super) mod reopen;
pub(super) mod write;

pub use index::checkpoint;
