//! Linearizable reads: a read sees everything that was acknowledged before it began.
//!
//! A member that is the whole cluster is its own quorum: it cannot be deposed, and it acknowledges
//! nothing it has not applied, so once it has applied an entry of its own term its state is always
//! current and a read costs two loads. Openraft publishes a membership before any vote it could
//! decide is granted, which makes the check safe while members are added.
//!
//! Otherwise leadership is confirmed by a quorum, one round at a time: reads that come while a
//! round runs share the next. A member that does not lead asks the one that does.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{Raft, ReadPolicy};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::error::ReadError;
use super::forward;
use super::machine::Applier;
use super::peers::Links;
use super::proposer::Shared;
use super::types::TypeConfig;
use crate::tasks::Stop;
use crate::types::ids::MemberId;

/// How long to wait before leadership is to be confirmed once more.
const ASK_AGAIN: Duration = Duration::from_millis(500);

type ServerMetrics = openraft::metrics::RaftServerMetrics<TypeConfig>;
type Reply = oneshot::Sender<Result<(), ReadError>>;

/// Confirms that the local state is current. Clones share rounds.
#[derive(Clone)]
pub struct LinearReader {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    links: Links,
    id: MemberId,
    server: WatchReceiverOf<TypeConfig, ServerMetrics>,
    /// Reads waiting for the next round; `None` once the member stops.
    next: Mutex<Option<Vec<Reply>>>,
    wanted: Notify,
}

impl LinearReader {
    pub(crate) fn new(shared: Arc<Shared>, raft: &Raft<TypeConfig, Applier>, links: Links) -> Self {
        let inner = Inner {
            shared,
            id: links.identity().member,
            links,
            server: raft.server_metrics(),
            next: Mutex::new(Some(Vec::new())),
            wanted: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Waits until the local state holds everything that was acknowledged anywhere before the call.
    ///
    /// # Errors
    /// When that could not be confirmed within the time of a proposal, or the member stops.
    pub async fn read_index(&self) -> Result<(), ReadError> {
        if self.inner.is_whole_cluster() {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        match &mut *self.inner.next.lock() {
            Some(waiting) => waiting.push(reply),
            None => return Err(ReadError::Stopped),
        }
        self.inner.wanted.notify_one();
        let timeout = self.inner.shared.limits.timeout();
        let metrics = &self.inner.shared.metrics;
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(result)) => {
                if result.is_err() {
                    metrics.failed_reads.inc();
                }
                result
            }
            Ok(Err(_)) => Err(ReadError::Stopped),
            Err(_) => {
                metrics.slow_reads.inc();
                Err(ReadError::Timeout)
            }
        }
    }

    /// Confirms rounds until `stop`.
    pub(crate) async fn run(self, raft: Raft<TypeConfig, Applier>, stop: Stop) {
        let stopped = stop.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                () = self.inner.wanted.notified() => {}
            }
            let waiting = self.inner.next.lock().as_mut().map(std::mem::take).unwrap_or_default();
            if waiting.is_empty() {
                continue;
            }
            tokio::select! {
                () = &mut stopped => break,
                result = self.inner.round(&raft) => answer(waiting, result),
            }
        }
        let waiting = self.inner.next.lock().take().unwrap_or_default();
        answer(waiting, Err(ReadError::Stopped));
    }
}

impl Inner {
    fn is_whole_cluster(&self) -> bool {
        let server = self.server.borrow_watched();
        let members = server.membership_config.membership();
        let only_vote = members.get_joint_config().iter().all(|voters| voters.contains(&self.id.0));
        let alone = members.nodes().count() == 1 && only_vote;
        let term = server.vote.leader_id.term;
        alone && server.state.is_leader() && self.shared.progress.applied().1 == term
    }

    /// Confirms, unless the leader that is known now is lost meanwhile.
    async fn round(&self, raft: &Raft<TypeConfig, Applier>) -> Result<(), ReadError> {
        let mut leadership = self.shared.leadership.subscribe();
        let leader = leadership.borrow_and_update().leader;
        let lost = leadership.wait_for(|now| leader.is_some() && now.leader != leader);
        tokio::select! {
            result = self.confirm(raft) => result,
            _ = lost => Err(ReadError::LeaderChanged),
        }
    }

    /// Learns how far a quorum has committed, asking until somebody knows, and waits until that is
    /// applied here. Who waits for it gives up by itself.
    async fn confirm(&self, raft: &Raft<TypeConfig, Applier>) -> Result<(), ReadError> {
        let committed = loop {
            if let Some(index) = self.committed(raft).await? {
                break index;
            }
            let mut leadership = self.shared.leadership.subscribe();
            // A new leader may answer at once; without news it is asked again as etcd does.
            let _ = tokio::time::timeout(ASK_AGAIN, leadership.changed()).await;
        };
        let mut applied = self.shared.progress.watch_applied();
        let reached = applied.wait_for(|(index, _)| *index >= committed).await;
        reached.map(|_| ()).map_err(|_| ReadError::Stopped)
    }

    /// The newest entry, counted from one, that was committed when the question was asked; `None` if
    /// nobody could tell.
    async fn committed(&self, raft: &Raft<TypeConfig, Applier>) -> Result<Option<u64>, ReadError> {
        match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            // Openraft counts entries from zero, the applying side from one.
            Ok(linearizer) => Ok(Some(linearizer.read_log_id().index() + 1)),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                let channel = to.leader_id.and_then(|leader| self.links.to(leader));
                Ok(forward::read_index(channel, self.shared.limits.election).await)
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Ok(None),
            Err(RaftError::Fatal(_)) => Err(ReadError::Stopped),
        }
    }
}

fn answer(waiting: Vec<Reply>, result: Result<(), ReadError>) {
    for reply in waiting {
        // Whoever went away needs no answer.
        let _ = reply.send(result);
    }
}
