//! Tells watchers what changed.
//!
//! One [`Hub`] per node follows the committed revisions and hands each to the streams whose watchers
//! it concerns. Writers never wait for it: the hub pulls from a ring of recent revisions, and a
//! watcher whose stream is full, or that begins in the past, is *behind* until a catch-up round has
//! read the missing revisions from the ring or from history. No event is ever dropped; a watcher
//! can only lose its place to a compaction, and is told so.
//!
//! A watcher is a small record in a table. There is no task per watcher and none per stream: a
//! [`WatchStream`] is polled by the connection it belongs to.

mod catchup;
mod core;
mod group;
mod hub;
mod interest;
mod intervals;
pub mod limits;
mod metrics;
mod outbox;
mod response;
mod slots;
mod source;
mod stream;
mod watcher;

#[cfg(test)]
mod tests;

pub use hub::Hub;
pub use source::{History, HistoryError, HistoryLimits, Source};
pub use stream::{StreamOptions, WatchStream};
