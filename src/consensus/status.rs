//! What a member knows about itself and its leader, for everyone to read without asking the core.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::watch;

use crate::types::ids::MemberId;

/// A moment's view of consensus on this member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Who leads, as far as is known here.
    pub leader: Option<MemberId>,
    /// The current term.
    pub term: u64,
    /// Whether this member leads.
    pub is_leader: bool,
    /// Whether this member has no vote.
    pub is_learner: bool,
    /// Newest entry known to be committed, counted from one.
    pub committed: u64,
    /// Newest entry applied here, counted from one.
    pub applied: u64,
}

/// Which voters this member is connected with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Those that are, and itself.
    pub reached: usize,
    /// All of them.
    pub voters: usize,
    /// So many decide.
    pub needed: usize,
}

/// Who leads; changes are told through [`super::Node::leadership`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Who leads, as far as is known here.
    pub leader: Option<MemberId>,
    /// The current term.
    pub term: u64,
    /// Whether this member leads and has applied an entry of its own term, so that it knows
    /// everything that was committed before.
    pub is_leader: bool,
    /// Whether this member has no vote.
    pub is_learner: bool,
    /// When a leader was last elected, as seen here.
    pub since: Option<Instant>,
}

/// Counters moved by the committing and the applying side.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Newest committed entry, from one.
    committed: AtomicU64,
    /// Newest applied entry, from one, and its term.
    applied: watch::Sender<(u64, u64)>,
    /// Requests inside committed entries since start.
    committed_requests: AtomicU64,
    /// Requests inside applied entries since start.
    applied_requests: AtomicU64,
}

impl Progress {
    /// Counters of a member that has applied the entry at `applied`, counted from one.
    pub(crate) fn new(applied: u64) -> Self {
        Self {
            committed: AtomicU64::new(applied),
            applied: watch::Sender::new((applied, 0)),
            committed_requests: AtomicU64::new(0),
            applied_requests: AtomicU64::new(0),
        }
    }

    /// Notes entries up to `index` with `requests` in them as committed.
    pub(crate) fn commit(&self, index: u64, requests: u64) {
        self.committed_requests.fetch_add(requests, Ordering::Relaxed);
        self.committed.fetch_max(index, Ordering::Release);
    }

    /// Notes entries up to `index` with `requests` in them as applied and readable.
    pub(crate) fn apply(&self, index: u64, term: u64, requests: u64) {
        self.applied_requests.fetch_add(requests, Ordering::Relaxed);
        self.applied.send_replace((index, term));
    }

    /// Newest committed entry, from one.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Newest applied entry, from one, and its term; zero if none was applied since start.
    pub(crate) fn applied(&self) -> (u64, u64) {
        *self.applied.borrow()
    }

    /// Tells of every advance of [`Self::applied`].
    pub(crate) fn watch_applied(&self) -> watch::Receiver<(u64, u64)> {
        self.applied.subscribe()
    }

    /// Requests that are committed and not applied yet.
    pub(crate) fn backlog(&self) -> u64 {
        let applied = self.applied_requests.load(Ordering::Relaxed);
        self.committed_requests.load(Ordering::Relaxed).saturating_sub(applied)
    }
}
