//! The replicated state machine; deterministic.

pub mod mvcc;
