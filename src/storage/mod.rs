//! Bytes on disk: the Raft log and the state database.
