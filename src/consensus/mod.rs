//! Agreement: proposals in, applied outcomes out. The only room that says openraft.
//!
//! A [`Node`] is one member. Its [`Proposer`] queues requests, a task makes log entries of them,
//! the core replicates and commits them, and a thread of its own, as a rule, applies them and answers.
//! Its [`LinearReader`] tells when the local state is current. Nothing here knows what a request
//! means, except which of them make room.

mod alone;
mod apply;
mod apply_thread;
mod aside;
mod batcher;
mod error;
mod forward;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handover;
mod home;
mod leadership;
mod log_store;
mod machine;
mod members;
mod metrics;
mod node;
mod opening;
mod others;
mod parts;
mod peers;
mod proposer;
mod queue;
mod reader;
mod receive;
mod retention;
mod runtime;
#[cfg(test)]
mod simulation;
mod status;
mod ticket;
mod types;
mod waiters;

pub use error::{ConsensusError, MoveError, ProposeError, ReadError};
pub use members::{Change, ChangeError, Changes, Rules};
pub use node::Node;
pub use parts::{Beginning, Member, Parts, Settings};
pub use peers::{PeerChannel, PeerIdentity, PeerService, Removal};
pub use proposer::Proposer;
pub use reader::LinearReader;
pub use status::{Leadership, Reach, Status};

#[cfg(test)]
pub(crate) mod tests;
