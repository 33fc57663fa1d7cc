//! What the log hands to the state machine.

use std::sync::Arc;

use bytes::Bytes;

use crate::proto::internal::ProposalBatch;
use crate::types::ids::MemberId;

/// One committed log entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The entry's id as its owner encodes it; kept and given back, never read.
    pub log_id: Bytes,
    /// The entry's position in the log, from one; entries arrive in this order.
    pub index: u64,
    /// What the entry asks for.
    pub payload: Payload,
}

/// The content of a log entry.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Nothing; a new leader's first entry.
    Blank,
    /// A configuration of the cluster.
    Membership {
        /// As its owner encodes it; kept and given back, never read.
        record: Bytes,
        /// The ids of all members it names, voters and learners.
        members: Vec<MemberId>,
    },
    /// Requests of clients.
    Batch(Arc<ProposalBatch>),
}
