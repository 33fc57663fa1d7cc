//! Bytes on disk: the data directory, the state database and the Raft log.
//!
//! This room knows no protobuf, no Raft and none of etcd's rules: keys, values, log ids and votes
//! are opaque bytes to it. Any error it returns from a write is fatal for the process, because
//! what reached the disk is then unknown; nothing here retries a failed write or fsync.

mod buffers;
mod calm;
pub mod datadir;
pub mod engine;
mod error;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod generations;
mod journal;
mod keyspace;
pub mod space;
mod stall;
mod verify;
pub mod wal;

pub use error::StorageError;
