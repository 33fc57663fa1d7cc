//! The rules of the state machine, played against a real engine in a directory of its own.

mod adopt;
mod auth;
mod compaction;
mod gates;
mod hash;
mod history;
mod image;
mod incomplete;
mod kv;
mod late;
mod lease;
mod members;
mod model;
mod quick;
mod range;
mod reopen;
mod rolling;
mod support;
mod transfer;
mod txn;
