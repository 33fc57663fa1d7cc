//! The replicated state machine: keys and their history, leases, alarms, what members publish.
//!
//! Deterministic: the same log gives the same revisions, leases and hashes on every member, so
//! nothing here reads a clock, rolls dice, talks to the network or depends on the order of a hash
//! map. [`machine::Machine`] is the single writer and lives on the apply thread; [`reader::Reader`]
//! is for everybody else and never makes it wait.

pub mod alarm;
mod apply;
mod checkpoints;
pub mod command;
pub mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod late;
pub mod lease;
mod load;
pub mod machine;
pub mod membership;
mod meta;
mod metrics;
pub mod mvcc;
pub mod outcome;
pub mod quota;
pub mod reader;
mod shared;

pub use command::{Entry, Payload};
pub use error::{ApplyError, ReadError, StateError};
pub use late::Late;
pub use machine::{Machine, Options, Upkeep};
pub use mvcc::compaction::Pace;
pub use outcome::{Outcome, Response};
pub use reader::Reader;

#[cfg(test)]
mod tests;
