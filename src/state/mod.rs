//! The replicated state machine: keys and their history, leases, alarms, users, what members publish.
//!
//! Deterministic: the same log gives the same revisions, leases and hashes on every member, so
//! nothing here reads a clock, rolls dice, talks to the network or depends on the order of a hash
//! map. [`machine::Machine`] is the single writer, in one thread at a time; [`reader::Reader`]
//! is for everybody else and never makes it wait.

mod adopt;
pub mod alarm;
mod apply;
pub mod auth;
mod changes;
mod checkpoints;
pub mod command;
pub mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod image;
mod late;
pub mod lease;
mod load;
pub mod machine;
pub mod membership;
mod meta;
mod metrics;
pub mod mvcc;
mod options;
pub mod outcome;
mod piece;
mod quick;
pub mod quota;
pub mod reader;
pub mod receiver;
mod retired;
mod rolling;
mod shared;
mod trail;

pub use apply::authorize::Demand;
pub use command::{Entry, Payload};
pub use error::{ApplyError, ReadError, StateError};
pub use image::Image;
pub use late::Late;
pub use machine::{Machine, Upkeep};
pub use mvcc::compaction::Pace;
pub use options::Options;
pub use outcome::{Outcome, Response};
pub use piece::PieceFault;
pub use reader::Reader;
pub use receiver::{Intake, ReceiveError, Received, Receiver, Taken};
pub use rolling::AppliedHash;

#[cfg(test)]
mod tests;
