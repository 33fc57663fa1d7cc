//! One member of a cluster: starts the parts of this room, hands out their handles, stops them.
//!
//! The core and its tasks run on the runtime that serves clients. On a thread of their own, the way
//! of a request takes two more wake-ups of a thread; measured with one request in flight, that
//! raised the processor time of a put from 170 to 290 microseconds, and on busy processors its
//! latency many times over. What may block has threads of its own: the log,
//! and the state but for what takes microseconds.

use std::sync::Arc;
use std::time::Duration;

use openraft::Raft;
use openraft::async_runtime::WatchReceiver;
use tokio::sync::{mpsc, oneshot, watch};

use super::apply::Apply;
use super::apply_thread::ApplyThread;
use super::error::{ConsensusError, ReadError};
use super::home::{Home, core_config, core_error};
use super::machine::{Applier, Durable, Work, position};
use super::members::Changes;
use super::metrics::Metrics;
use super::opening::open_log;
use super::parts::{Member, Parts};
use super::peers::{Host, Links, Network, PeerChannel, PeerService, Removal};
use super::proposer::{ProposeLimits, Proposer, Shared};
use super::reader::LinearReader;
use super::status::{Leadership, Reach, Status};
use super::types::{Peer, StoredMembership, TypeConfig};
use crate::tasks::Stage;
use crate::types::ids::MemberId;

pub(crate) type Core = Raft<TypeConfig, Applier>;

/// A running member. Clones are handles of the same one.
#[derive(Clone)]
pub struct Node {
    pub(super) shared: Arc<Shared>,
    pub(super) core: Core,
    reader: LinearReader,
    changes: Changes,
    peers: PeerService,
    links: Links,
    removal: Removal,
    /// To the apply thread, which ends when nobody else can feed it any more.
    work: mpsc::WeakSender<Work>,
    pub(super) id: MemberId,
}

impl Node {
    /// Starts the member. Returns as soon as it runs; see [`Self::ready`].
    ///
    /// # Errors
    /// When log and state contradict each other, a thread cannot start, or the core refuses.
    pub async fn start(mut parts: Parts) -> Result<Self, ConsensusError> {
        let (log, state) = open_log(&mut parts).await?;
        let intake = parts.machine.intake();
        let id = parts.identity.member;
        let removal = Removal::new();
        if parts.reader.members().is_removed(id) {
            removal.heard();
        }
        let shared = shared(&parts, &state);

        let apply = Apply {
            machine: parts.machine,
            shared: Arc::clone(&shared),
            id,
            reader: parts.reader.clone(),
            removal: removal.clone(),
            slow: parts.settings.slow_apply,
            supervisor: parts.supervisor.clone(),
        };
        let desk = ApplyThread::start(apply).map_err(ConsensusError::Thread)?;

        let links = Links::new(parts.identity.clone(), shared.metrics.peers.clone());
        let network =
            Network::new(links.clone(), removal.clone(), desk.work(), Arc::clone(&shared));
        let supervisor = parts.supervisor.clone();
        let home = Home {
            id,
            config: Arc::new(core_config(&parts.settings)?),
            shared: Arc::clone(&shared),
            network,
            beginning: parts.beginning,
            supervisor: parts.supervisor,
        };
        let work = desk.work().downgrade();
        let core = home.start(log, desk, state).await?;
        let reader = LinearReader::new(Arc::clone(&shared), &core, links.clone());
        home.run_tasks(&core, &reader);
        let changes = Changes::new(
            core.clone(),
            Arc::clone(&shared),
            links.clone(),
            parts.reader.clone(),
            parts.settings.rules,
        );
        let stop = supervisor.stop_token(Stage::Consensus);
        supervisor.spawn("replacement", Stage::Consensus, changes.clone().carry_on(stop));
        let peers = PeerService::new(
            core.clone(),
            Arc::clone(&shared),
            changes.clone(),
            Host { identity: parts.identity, reader: parts.reader, intake },
            supervisor,
        );
        Ok(Self { shared, core, reader, changes, peers, links, removal, work, id })
    }

    /// Waits until a leader is known and this member, if it leads, has caught up with its log.
    ///
    /// # Errors
    /// When that takes longer than `limit`, or the core stops.
    pub async fn ready(&self, limit: Duration) -> Result<(), ConsensusError> {
        let mut leadership = self.shared.leadership.subscribe();
        let led = leadership
            .wait_for(|now| now.is_leader || now.leader.is_some_and(|leader| leader != self.id));
        match tokio::time::timeout(limit, led).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ConsensusError::Core("stopped while it started".into())),
            Err(_) => Err(ConsensusError::NoLeader(limit)),
        }
    }

    /// The way to propose changes.
    pub fn proposer(&self) -> Proposer {
        Proposer::new(Arc::clone(&self.shared))
    }

    /// The way to make a read linearizable.
    pub fn linear(&self) -> LinearReader {
        self.reader.clone()
    }

    /// The way to change who belongs to the cluster.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What this member does for the others; to be served on the peer port at once, as without it
    /// there may be no leader.
    pub fn peers(&self) -> &PeerService {
        &self.peers
    }

    /// The way to another member for services of the rooms above, if its addresses are known.
    pub fn peer(&self, id: MemberId) -> Option<PeerChannel> {
        self.links.to(id.0)
    }

    /// Waits until this member is none any more.
    pub async fn removed(&self) {
        self.removal.removed().await;
    }

    /// This member's id.
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// A snapshot of what this member knows; costs a few loads.
    pub fn status(&self) -> Status {
        let leadership = *self.shared.leadership.borrow();
        Status {
            leader: leadership.leader,
            term: leadership.term,
            is_leader: leadership.is_leader,
            is_learner: leadership.is_learner,
            committed: self.shared.progress.committed(),
            applied: self.shared.progress.applied().0,
        }
    }

    /// Tells of every change of leader, term or role.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.shared.leadership.subscribe()
    }

    /// The members of the cluster as they were published last, ascending by id.
    pub fn members(&self) -> Vec<Member> {
        let server = self.core.server_metrics();
        let membership = Arc::clone(&server.borrow_watched().membership_config);
        listed(&membership)
    }

    /// As [`Self::members`], from the consensus loop itself. It publishes only once it has done all there
    /// was to do, and of that a change of members may be applied and answered before.
    ///
    /// # Errors
    /// When the member has stopped, or the loop does not answer within the time of a proposal.
    pub async fn members_now(&self) -> Result<Vec<Member>, ReadError> {
        let asked =
            self.core.with_raft_state(|state| Arc::clone(state.membership_state.effective()));
        match tokio::time::timeout(self.shared.limits.timeout(), asked).await {
            Ok(Ok(membership)) => Ok(listed(&membership)),
            Ok(Err(_)) => Err(ReadError::Stopped),
            Err(_) => Err(ReadError::Timeout),
        }
    }

    /// How many voters there are, and how many of them are connected to this member or are itself.
    pub fn reach(&self) -> Reach {
        let members = self.members();
        let voters = members.iter().filter(|member| !member.is_learner);
        let connected = self.links.connected();
        let is_reached = |member: &&Member| member.id == self.id || connected.contains(&member.id);
        let (reached, voters) = (voters.clone().filter(is_reached).count(), voters.count());
        Reach { reached, voters, needed: voters / 2 + 1 }
    }

    /// Waits until the consensus loop and then the apply thread have come to answer: as long as either is
    /// stuck, this takes.
    ///
    /// # Errors
    /// When the member has stopped.
    pub async fn comes_round(&self) -> Result<(), ConsensusError> {
        self.core.with_raft_state(|_| ()).await.map_err(core_error)?;
        let stopped = || ConsensusError::Core("the apply thread has stopped".into());
        let (reply, answer) = oneshot::channel();
        let work = self.work.upgrade().ok_or_else(stopped)?;
        work.send(Work::Answer(reply)).await.map_err(|_| stopped())?;
        drop(work);
        answer.await.map_err(|_| stopped())
    }

    /// What a leader knows of the others: the newest entry each has, counted from one, zero for none
    /// known; ascending by id. Empty on a member that does not lead.
    pub fn replicated(&self) -> Vec<(MemberId, u64)> {
        let metrics = self.core.metrics();
        let metrics = metrics.borrow_watched();
        let others = metrics.replication.iter().flatten().filter(|(id, _)| **id != self.id.0);
        others.map(|(id, matched)| (MemberId(*id), matched.map_or(0, position))).collect()
    }

    /// Waits until the entry at a position, counted from one, is applied here; for ever if it never is.
    pub async fn applied(&self, index: u64) {
        let mut applied = self.shared.progress.watch_applied();
        // Fails only when the member stops.
        if applied.wait_for(|(newest, _)| *newest >= index).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Makes everything applied durable and lets the log drop what is older than its catch-up
    /// entries. Returns once asked; the work goes on.
    ///
    /// # Errors
    /// When the core has stopped.
    pub async fn snapshot(&self) -> Result<(), ConsensusError> {
        self.core.trigger().snapshot().await.map_err(core_error)
    }

    /// Waits until the log has dropped entries up to `index`.
    #[cfg(test)]
    pub(super) async fn purged_at_least(&self, index: u64, limit: Duration) -> u64 {
        let wait = self.core.wait(Some(limit));
        let purged = |metrics: &openraft::RaftMetrics<TypeConfig>| {
            metrics.purged.is_some_and(|purged| purged.index >= index)
        };
        let metrics = wait.metrics(purged, "log purged").await.unwrap();
        metrics.purged.unwrap().index
    }
}

fn listed(membership: &StoredMembership) -> Vec<Member> {
    let voters: Vec<u64> = membership.voter_ids().collect();
    let member = |(id, peer): (&u64, &Peer)| Member {
        id: MemberId(*id),
        name: peer.name.clone(),
        peer_urls: peer.peer_urls.clone(),
        is_learner: !voters.contains(id),
    };
    membership.nodes().map(member).collect()
}

fn shared(parts: &Parts, state: &Durable) -> Arc<Shared> {
    let limits = ProposeLimits {
        request_bytes: parts.settings.max_request_bytes,
        base_timeout: parts.settings.request_timeout,
        election: parts.settings.election,
    };
    let applied = state.applied.map_or(0, position);
    Arc::new(Shared::new(applied, Metrics::new(&parts.registry), limits, parts.clock))
}
