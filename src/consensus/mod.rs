//! Agreement: proposals in, applied outcomes out. The only room that says openraft.
//!
//! A [`Node`] is one member. Its [`Proposer`] queues requests, a task makes log entries of them,
//! the core replicates and commits them, and a thread of its own applies them and answers. Its
//! [`LinearReader`] tells when the local state is current. Nothing here knows what a request
//! means, except which of them make room.

mod apply;
mod batcher;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod leadership;
mod log_store;
mod machine;
mod metrics;
mod network;
mod node;
mod proposer;
mod queue;
mod reader;
mod receive;
mod retention;
mod runtime;
mod status;
mod ticket;
mod types;
mod waiters;

pub use error::{ConsensusError, ProposeError, ReadError};
pub use node::{Member, Node, Parts, Settings};
pub use proposer::Proposer;
pub use reader::LinearReader;
pub use status::{Leadership, Status};

#[cfg(test)]
pub(crate) mod tests;
