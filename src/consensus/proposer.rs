//! The door to the log: checks that a request may enter, queues it, waits for its outcome.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use tokio::sync::watch;

use super::error::ProposeError;
use super::metrics::Metrics;
use super::queue::{Queue, Queued};
use super::retention::Retention;
use super::status::{Leadership, Progress};
use super::waiters::{Budget, Waiter, Waiters};
use crate::proto::etcdserverpb::request_op::Request as Inner;
use crate::proto::etcdserverpb::{RequestOp, TxnRequest};
use crate::proto::internal::Request;
use crate::proto::internal::request::Op;
use crate::state::Outcome;
use crate::state::auth::Caller;
use crate::types::clock::Clock;

/// What etcd's own envelope adds to a request: a header field with a 64-bit id. Counted so that
/// the size limit falls on the same byte.
const ETCD_ENVELOPE_BYTES: usize = 14;
/// Requests committed and not applied above which new ones are refused, as in etcd.
const MAX_BACKLOG: u64 = 5000;
/// Limits and timers of proposals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProposeLimits {
    /// Largest encoded request, in bytes.
    pub(crate) request_bytes: usize,
    /// What a request may take beside a change of leader.
    pub(crate) base_timeout: Duration,
    /// The election timeout.
    pub(crate) election: Duration,
}

impl ProposeLimits {
    /// How long a request may take, so that a change of leader fits in.
    pub(crate) fn timeout(&self) -> Duration {
        self.base_timeout + 2 * self.election
    }
}

/// Proposes requests to the cluster. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Proposer {
    shared: Arc<Shared>,
}

/// What the proposer, the batcher and the applying side share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) waiters: Waiters,
    pub(crate) progress: Progress,
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) metrics: Metrics,
    pub(crate) retention: Retention,
    pub(crate) limits: ProposeLimits,
    pub(crate) clock: Clock,
    budget: Arc<Budget>,
}

impl Shared {
    /// Nothing queued, nothing committed beyond `applied`, no leader.
    pub(crate) fn new(applied: u64, metrics: Metrics, limits: ProposeLimits, clock: Clock) -> Self {
        Self {
            queue: Queue::default(),
            waiters: Waiters::default(),
            progress: Progress::new(applied),
            leadership: watch::Sender::new(Leadership::default()),
            metrics,
            retention: Retention::new(clock),
            limits,
            clock,
            budget: Arc::default(),
        }
    }

    /// Refuses new requests and tells every waiting client that the member stops.
    pub(crate) fn stop(&self) {
        self.queue.close();
        self.waiters.stop();
    }

    /// Tells clients whose time is up.
    pub(crate) fn expire(&self) {
        let now = self.clock.now();
        let Some(limit) = now.checked_sub(self.limits.timeout()) else { return };
        let elected = self.leadership.borrow().since;
        let failed = self.queue.expire(limit)
            + self.waiters.expire(limit, |since| self.timeout_error(since, elected));
        self.metrics.failed.inc_by(failed as u64);
    }

    /// etcd blames a failed leader when the request began at most two election timeouts before
    /// the present leader was elected.
    fn timeout_error(&self, since: Instant, elected: Option<Instant>) -> ProposeError {
        let blamed = elected.is_some_and(|elected| {
            since <= elected && elected.duration_since(since) <= 2 * self.limits.election
        });
        if blamed { ProposeError::TimeoutLeaderFail } else { ProposeError::Timeout }
    }
}

impl Proposer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Proposes `op` on the member's own account and waits until it is applied on this member.
    ///
    /// Dropping the future abandons the wait, not the request: it may still be applied.
    ///
    /// # Errors
    /// When the request was not admitted, not applied in time, or
    /// the member stops. A refusal by the state machine is an outcome, not an error.
    pub async fn propose(&self, op: Op) -> Result<Outcome, ProposeError> {
        self.propose_for(&Caller::Member, op).await
    }

    /// As [`Self::propose`], for somebody, whose permission is looked at when it is applied.
    ///
    /// # Errors
    /// As [`Self::propose`].
    pub async fn propose_for(&self, caller: &Caller, op: Op) -> Result<Outcome, ProposeError> {
        let shared = &*self.shared;
        let privileged = makes_room(&op);
        let mut request = Request { op: Some(op), ..Request::default() };
        caller.sign(&mut request);
        let size = request.encoded_len() + ETCD_ENVELOPE_BYTES;
        if size > shared.limits.request_bytes {
            return Err(ProposeError::TooLarge { size, limit: shared.limits.request_bytes });
        }
        let limit = if privileged { 2 * MAX_BACKLOG } else { MAX_BACKLOG };
        if shared.progress.backlog() > limit {
            return Err(ProposeError::TooManyRequests);
        }
        let place = shared
            .budget
            .admit(size + entries_bytes(&request), privileged)
            .ok_or(ProposeError::TooManyRequests)?;
        let (waiter, answer) = Waiter::new(shared.clock.now(), place);
        let _pending = shared.metrics.pending();
        shared.queue.push(Queued { request, size, waiter });
        // A waiter that is dropped without an answer was lost to a failing core.
        answer.await.unwrap_or(Err(ProposeError::Stopped))
    }

    /// Batches without an outcome.
    #[cfg(test)]
    pub(super) fn batches(&self) -> usize {
        self.shared.waiters.len()
    }

    /// Requests that wait for an outcome.
    pub fn waiting(&self) -> usize {
        self.shared.budget.requests()
    }
}

/// What the lists of a transaction take decoded, which may be far more than their encoding.
fn entries_bytes(request: &Request) -> usize {
    fn entries(txn: &TxnRequest) -> usize {
        let ops = txn.success.iter().chain(&txn.failure);
        let inner = ops.map(|op| match &op.request {
            Some(Inner::RequestTxn(inner)) => 1 + entries(inner),
            _ => 1,
        });
        txn.compare.len() + inner.sum::<usize>()
    }
    match &request.op {
        Some(Op::Txn(txn)) => entries(txn) * size_of::<RequestOp>(),
        _ => 0,
    }
}

/// Requests that free memory or space, or tell of its lack, go ahead when others are refused.
fn makes_room(op: &Op) -> bool {
    matches!(
        op,
        Op::LeaseRevoke(_)
            | Op::LeaseCheckpoint(_)
            | Op::Compaction(_)
            | Op::Alarm(_)
            | Op::MemberAttributes(_)
            | Op::ClusterVersion(_)
    )
}
