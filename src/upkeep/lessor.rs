//! The lessor: keeps the deadlines of leases on the leader and has expired leases revoked.
//!
//! The replicated table of leases knows no time. Every member follows it here, so that a new leader
//! can start at once, but only the leader answers renewals and revokes. What time it is for a
//! lease, also after a pause of the process, is [`Deadlines`]' affair.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, watch};

mod remote;

pub use remote::LeaseService;

use super::deadlines::{CHECKPOINT_EVERY, Deadlines, Renewed};
use super::metrics::Metrics;
use crate::consensus::{
    Leadership, LinearReader, Node, PeerChannel, PeerService, Proposer, ReadError,
};
use crate::failpoint::hurried;
use crate::proto::etcdserverpb::{LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest};
use crate::proto::internal::request::Op;
use crate::proto::peer::lessor_server::LessorServer;
use crate::state::lease::LeaseEvent;
use crate::state::{ApplyError, Reader};
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::Registry;
use crate::types::clock::Clock;
use crate::types::ids::LeaseId;

/// How often ended leases are looked for.
const ROUND: Duration = Duration::from_millis(500);
/// Most leases revoked in one round: 1000 a second, as in etcd.
const REVOKES_PER_ROUND: usize = 500;
/// Revocations on the way at once.
const REVOKES_IN_FLIGHT: usize = 16;
/// Most checkpoints in one log entry.
const CHECKPOINTS_PER_ENTRY: usize = 1000;

/// What the lessor needs.
pub struct LessorParts {
    /// Tells of leases.
    pub reader: Reader,
    /// Takes revocations and checkpoints.
    pub proposer: Proposer,
    /// Confirms leadership before a renewal.
    pub linear: LinearReader,
    /// Tells who leads, and the way there.
    pub node: Node,
    /// The election timeout; what a new leader adds to every lease.
    pub election: Duration,
    /// Whether remaining times are replicated.
    pub checkpoint: bool,
    /// Starts the tasks.
    pub supervisor: Supervisor,
    /// Takes the metrics.
    pub registry: Registry,
    /// Tells the time.
    pub clock: Clock,
}

/// Why the lessor does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LessorError {
    /// Only the leader knows deadlines, and this member does not lead.
    #[error("this member does not lead and keeps no lease deadlines")]
    NotLeader,
    /// Leadership could not be confirmed.
    #[error("leadership was not confirmed: {0}")]
    Unconfirmed(#[from] ReadError),
}

/// How long a lease has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLeft {
    /// Whole seconds until it ends; zero when it has ended and its revocation is on the way.
    pub seconds: i64,
    /// Seconds it was granted.
    pub granted: i64,
}

/// Renews leases and tells what they have left. Clones share it.
#[derive(Clone)]
pub struct Lessor {
    inner: Arc<Inner>,
}

struct Inner {
    deadlines: Mutex<Deadlines>,
    /// Whether deadlines mean anything: set once they were started anew for this leader.
    leads: watch::Sender<bool>,
    /// Told after leases are revoked.
    revoked: Notify,
    reader: Reader,
    proposer: Proposer,
    linear: LinearReader,
    node: Node,
    election: Duration,
    metrics: Metrics,
    clock: Clock,
}

impl Lessor {
    /// Starts following leases, and ending them while this member leads.
    pub fn start(parts: LessorParts) -> Self {
        // Subscribed before the table is read, so that nothing falls between.
        let events = parts.reader.lease_events();
        let every = parts.checkpoint.then(|| hurried(CHECKPOINT_EVERY));
        let deadlines = Deadlines::new(parts.clock.now(), every);
        let inner = Inner {
            deadlines: Mutex::new(deadlines),
            leads: watch::Sender::new(false),
            revoked: Notify::new(),
            reader: parts.reader,
            proposer: parts.proposer,
            linear: parts.linear,
            node: parts.node,
            election: parts.election,
            metrics: Metrics::new(&parts.registry),
            clock: parts.clock,
        };
        let inner = Arc::new(inner);
        inner.catch_up();
        let mut leadership = inner.node.leadership();
        let leads = leadership.borrow_and_update().is_leader;
        inner.lead(leads);
        let stop = parts.supervisor.stop_token(Stage::Upkeep);
        let keeper = Arc::clone(&inner);
        parts.supervisor.spawn("lessor", Stage::Upkeep, async move {
            tokio::select! {
                () = stop.stopped() => {}
                () = keeper.run(events, leadership) => {}
            }
        });
        Self { inner }
    }

    /// Renews a lease and tells the seconds it lives on; zero if there is no such lease. For one
    /// that has just ended the answer comes once it is revoked. Asks the leader if another member is
    /// it.
    ///
    /// # Errors
    /// When nobody leads, or who does cannot confirm it.
    pub async fn renew(&self, id: LeaseId) -> Result<i64, LessorError> {
        match self.leader_elsewhere() {
            Some(leader) => remote::renew(leader, id).await,
            None => self.renew_here(id).await,
        }
    }

    /// How long a lease has left; `None` if there is no such lease. Asks the leader if another member
    /// is it.
    ///
    /// # Errors
    /// When nobody leads, or who does cannot confirm it.
    pub async fn remaining(&self, id: LeaseId) -> Result<Option<TimeLeft>, LessorError> {
        match self.leader_elsewhere() {
            Some(leader) => remote::remaining(leader, id).await,
            None => self.remaining_here(id).await,
        }
    }

    /// Answers the members that do not lead; `peers` tells who may ask.
    pub fn server(&self, peers: PeerService) -> LessorServer<LeaseService> {
        LessorServer::new(LeaseService { lessor: self.clone(), peers })
    }

    fn leader_elsewhere(&self) -> Option<PeerChannel> {
        let now = self.inner.node.status();
        let leader = now.leader.filter(|_| !now.is_leader)?;
        self.inner.node.peer(leader)
    }

    async fn renew_here(&self, id: LeaseId) -> Result<i64, LessorError> {
        self.confirm().await?;
        loop {
            let revoked = self.inner.revoked.notified();
            tokio::pin!(revoked);
            // Listens from here on, so that a revocation during the look is not missed.
            revoked.as_mut().enable();
            if !self.inner.knows(id) {
                return Ok(0);
            }
            let renewed = self.inner.with_deadlines(|deadlines| deadlines.renew(id));
            match renewed {
                Renewed::Alive(ttl, checkpointed) => {
                    if checkpointed {
                        self.inner.take_back_checkpoint(id).await;
                    }
                    self.inner.metrics.renewed.inc();
                    return Ok(ttl);
                }
                Renewed::Unknown => return Ok(0),
                Renewed::Ending => {}
            }
            let mut leads = self.inner.leads.subscribe();
            tokio::select! {
                () = revoked => {}
                _ = leads.wait_for(|leads| !leads) => return Err(LessorError::NotLeader),
            }
        }
    }

    async fn remaining_here(&self, id: LeaseId) -> Result<Option<TimeLeft>, LessorError> {
        self.confirm().await?;
        if !self.inner.knows(id) {
            return Ok(None);
        }
        let left = self.inner.with_deadlines(|deadlines| deadlines.remaining(id));
        Ok(left.map(|(seconds, granted)| TimeLeft { seconds, granted }))
    }

    /// All leases applied here, on the leader those that end first in front.
    pub fn list(&self) -> Vec<LeaseId> {
        let leases = self.inner.reader.leases();
        let mut ids: Vec<LeaseId> = leases.into_iter().map(|lease| lease.id).collect();
        let deadlines = self.inner.deadlines.lock();
        // Leases that were granted this very moment have no deadline yet and end last.
        ids.sort_by_cached_key(|id| deadlines.deadline(*id).unwrap_or(Duration::MAX));
        ids
    }

    /// A deposed leader must not renew: its successor decides when leases end. The confirmation
    /// also waits until a lease granted before the call is known here.
    async fn confirm(&self) -> Result<(), LessorError> {
        match self.inner.linear.read_index().await {
            Err(ReadError::Timeout | ReadError::LeaderChanged)
                if self.inner.node.status().leader.is_none() =>
            {
                return Err(LessorError::NotLeader);
            }
            confirmed => confirmed?,
        }
        if *self.inner.leads.borrow() { Ok(()) } else { Err(LessorError::NotLeader) }
    }
}

impl Inner {
    /// Looks at the clock, then at the deadlines.
    fn with_deadlines<T>(&self, look: impl FnOnce(&mut Deadlines) -> T) -> T {
        let mut deadlines = self.deadlines.lock();
        let lost = deadlines.look(self.clock.now());
        let result = look(&mut deadlines);
        drop(deadlines);
        if !lost.is_zero() {
            tracing::warn!(
                paused = ?lost,
                "this member did not run for a while; leases live longer by as much"
            );
        }
        result
    }

    /// Whether the lease exists, by the replicated table: events about it may still be on their
    /// way here, so a lease that was granted this moment gets its deadline now.
    fn knows(&self, id: LeaseId) -> bool {
        let Some(lease) = self.reader.lease(id) else { return false };
        self.with_deadlines(|deadlines| {
            if !deadlines.contains(id) {
                deadlines.grant(id, lease.ttl, lease.remaining);
            }
        });
        true
    }

    async fn run(
        &self,
        mut events: broadcast::Receiver<LeaseEvent>,
        mut leadership: watch::Receiver<Leadership>,
    ) {
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut revokes = FuturesUnordered::new();
        // One at most: a slow one must not hold up revocations.
        let mut checkpoints = FuturesUnordered::new();
        let mut waiting: Vec<LeaseId> = Vec::new();
        loop {
            tokio::select! {
                changed = leadership.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let leads = leadership.borrow_and_update().is_leader;
                    self.lead(leads);
                    // Whoever leads now decides which leases have ended.
                    waiting.clear();
                }
                event = events.recv() => match event {
                    Ok(event) => self.follow(event),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.catch_up(),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                _ = round.tick() => {
                    if waiting.is_empty() {
                        waiting = self.due();
                    }
                    if checkpoints.is_empty() {
                        checkpoints.push(self.checkpoint());
                    }
                }
                Some(()) = revokes.next() => {}
                Some(()) = checkpoints.next() => {}
            }
            while revokes.len() < REVOKES_IN_FLIGHT {
                let Some(id) = waiting.pop() else { break };
                revokes.push(self.revoke(id));
            }
        }
    }

    /// Starts or stops to answer for deadlines.
    fn lead(&self, leads: bool) {
        self.leads.send_if_modified(|leading| {
            let changed = *leading != leads;
            if changed && leads {
                self.with_deadlines(|deadlines| deadlines.promote(self.election));
            }
            *leading = leads;
            changed
        });
    }

    fn follow(&self, event: LeaseEvent) {
        match event {
            LeaseEvent::Granted { id, ttl } => {
                self.with_deadlines(|deadlines| deadlines.grant(id, ttl, 0));
            }
            LeaseEvent::Revoked { id } => {
                self.with_deadlines(|deadlines| deadlines.revoke(id));
                self.revoked.notify_waiters();
            }
            LeaseEvent::Checkpointed { id, remaining } => {
                self.with_deadlines(|deadlines| deadlines.checkpointed(id, remaining));
            }
            LeaseEvent::Replaced => self.catch_up(),
        }
    }

    /// Takes over what the table of leases says: at the start, and after events were missed.
    fn catch_up(&self) {
        let leases = self.reader.leases();
        self.with_deadlines(|deadlines| {
            let mut gone: std::collections::HashSet<LeaseId> = deadlines.ids().collect();
            for lease in leases {
                gone.remove(&lease.id);
                // One with another time to live was ended and granted again meanwhile.
                let granted = deadlines.remaining(lease.id).map(|(_, granted)| granted);
                if granted == Some(lease.ttl) {
                    deadlines.checkpointed(lease.id, lease.remaining);
                } else {
                    deadlines.grant(lease.id, lease.ttl, lease.remaining);
                }
            }
            for id in gone {
                deadlines.revoke(id);
            }
        });
        self.revoked.notify_waiters();
    }

    /// Leases to revoke in this round, the most urgent last.
    fn due(&self) -> Vec<LeaseId> {
        if !*self.leads.borrow() {
            // Time passes for those that do not lead, too.
            self.with_deadlines(|_| ());
            return Vec::new();
        }
        let mut due = self.with_deadlines(|deadlines| deadlines.due(REVOKES_PER_ROUND));
        due.reverse();
        due
    }

    async fn revoke(&self, id: LeaseId) {
        self.metrics.expired.inc();
        let request = LeaseRevokeRequest { id: id.0 };
        match self.proposer.propose(Op::LeaseRevoke(request)).await {
            Ok(outcome) => match outcome.result {
                Ok(_) => {}
                Err(ApplyError::LeaseNotFound) => {
                    // Revoked by its client meanwhile.
                    self.with_deadlines(|deadlines| deadlines.revoke(id));
                    self.revoked.notify_waiters();
                }
                Err(error) => tracing::warn!(lease = %id, %error, "failed to revoke lease"),
            },
            Err(error) => tracing::warn!(lease = %id, %error, "failed to revoke lease"),
        }
    }

    /// Replicates what long leases have left, so that a new leader does not start them anew.
    async fn checkpoint(&self) {
        if !*self.leads.borrow() {
            return;
        }
        let due = self.with_deadlines(|deadlines| deadlines.due_checkpoints(CHECKPOINTS_PER_ENTRY));
        if !due.is_empty() {
            self.propose_checkpoints(due).await;
        }
    }

    async fn take_back_checkpoint(&self, id: LeaseId) {
        self.propose_checkpoints(vec![(id, 0)]).await;
    }

    async fn propose_checkpoints(&self, due: Vec<(LeaseId, i64)>) {
        let checkpoints = due
            .into_iter()
            .map(|(id, remaining)| LeaseCheckpoint { id: id.0, remaining_ttl: remaining })
            .collect();
        let request = LeaseCheckpointRequest { checkpoints };
        if let Err(error) = self.proposer.propose(Op::LeaseCheckpoint(request)).await {
            tracing::warn!(%error, "failed to checkpoint leases");
        }
    }
}

/// The shortest time to live a lease is granted, in seconds: one and a half election timeouts, as
/// a shorter one would not survive a change of leader.
pub fn min_lease_ttl(election: Duration) -> i64 {
    let timeouts = 3 * election / 2;
    timeouts.as_secs().cast_signed() + i64::from(timeouts.subsec_nanos() > 0)
}
