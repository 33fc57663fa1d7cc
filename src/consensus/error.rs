//! Why consensus does not answer.

use std::io;

/// Why a proposal has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The encoded request is larger than the member accepts; nothing was proposed.
    #[error("request of {size} bytes is larger than the {limit} bytes this member accepts")]
    TooLarge {
        /// Bytes of the request as etcd counts them.
        size: usize,
        /// The configured limit.
        limit: usize,
    },
    /// Too much is waiting already; nothing was proposed.
    #[error("too many requests wait to be applied; try again later")]
    TooManyRequests,
    /// There was no leader to take the request until its time was up; nothing was proposed.
    #[error("no leader took the request in time")]
    Deadline,
    /// The request was proposed and not applied in time; it may still be applied.
    #[error("the request was proposed but not applied in time")]
    Timeout,
    /// As [`Self::Timeout`], of a request that began shortly before a new leader was elected.
    #[error("the request was proposed but not applied in time, possibly as a leader failed")]
    TimeoutLeaderFail,
    /// This member is stopping; the request may or may not be applied.
    #[error("the member is stopping")]
    Stopped,
}

/// Why a linearizable read may not go ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Leadership was not confirmed, or the state not caught up with it, in time.
    #[error("the read was not confirmed by a quorum in time")]
    Timeout,
    /// Leadership moved while the read waited.
    #[error("the leader changed while the read waited")]
    LeaderChanged,
    /// This member is stopping.
    #[error("the member is stopping")]
    Stopped,
}

/// Why leadership was not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// Only the leader can.
    #[error("this member does not lead")]
    NotLeader,
    /// No such voter.
    #[error("the target is no voter of this cluster")]
    BadTarget,
    /// The target did not take over in time.
    #[error("the target did not take over in time")]
    Timeout,
    /// This member is stopping.
    #[error("the member is stopping")]
    Stopped,
}

/// Why a member cannot take part in consensus. Fatal for the process.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// The log could not be read or written, or does not read as one.
    #[error("log: {0}")]
    Log(#[source] io::Error),
    /// The state holds more than the log: the end of the log was lost.
    #[error(
        "the state has applied entry {applied} but the log ends at {last}: \
         the newest log file is missing; restore the data directory from a snapshot"
    )]
    LogBehindState {
        /// The newest entry the state has applied.
        applied: u64,
        /// The newest entry of the log.
        last: u64,
    },
    /// The log does not reach back to the state: the state has lost what the log no longer holds.
    #[error(
        "the state has applied entries up to {applied} but the log holds none before {purged}: \
         the state database was damaged; restore the data directory from a snapshot, or replace \
         this member"
    )]
    StateBehindLog {
        /// The newest entry the state has applied.
        applied: u64,
        /// The newest entry the log has dropped.
        purged: u64,
    },
    /// The timers contradict each other.
    #[error("heartbeat and election timers: {0}")]
    Timers(String),
    /// A thread could not be started.
    #[error("cannot start thread: {0}")]
    Thread(#[source] io::Error),
    /// The consensus core refused to start or stopped at once.
    #[error("consensus core: {0}")]
    Core(String),
    /// No leader was elected in time.
    #[error("no leader was elected within {0:?}")]
    NoLeader(std::time::Duration),
}
