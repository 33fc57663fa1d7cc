//! The rules of the state machine, played against a real engine in a directory of its own.

mod compaction;
mod gates;
mod hash;
mod history;
mod incomplete;
mod kv;
mod late;
mod lease;
mod model;
mod range;
mod reopen;
mod support;
mod txn;
