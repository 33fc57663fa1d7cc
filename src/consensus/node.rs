//! One member of a cluster: starts the parts of this room, hands out their handles, stops them.
//!
//! The core and its tasks run on the runtime that serves clients. On a thread of their own, the way
//! of a request takes two more wake-ups of a thread; measured with one request in flight, that
//! raised the processor time of a put from 170 to 290 microseconds, and on busy processors its
//! latency many times over. What may block, the log and the state, has threads of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{InitializeError, RaftError};
use openraft::{Config, Raft, SnapshotPolicy};
use tokio::sync::{mpsc, watch};

use super::alone;
use super::apply::{ApplyThread, applied_state};
use super::batcher::Batcher;
use super::error::{ConsensusError, MoveError};
use super::leadership::follow;
use super::log_store::LogStore;
use super::machine::{Applier, Durable, Work, position};
use super::members::{Changes, Rules};
use super::metrics::Metrics;
use super::peers::{Host, Links, Network, PeerChannel, PeerIdentity, PeerService, Removal};
use super::proposer::{ProposeLimits, Proposer, Shared};
use super::reader::LinearReader;
use super::status::{Leadership, Status};
use super::types::{Peer, TypeConfig, decode_log_id};
use crate::state::{Machine, Reader};
use crate::storage::wal::{Recovered, Wal};
use crate::tasks::{Stage, Stop, Supervisor};
use crate::telemetry::metrics::Registry;
use crate::types::clock::Clock;
use crate::types::ids::MemberId;

pub(crate) type Core = Raft<TypeConfig, Applier>;

/// Commits that may wait for the apply thread. Proposals are refused long before it is full; it
/// bounds a member that follows.
const APPLY_QUEUE: usize = 1024;

/// A member of the cluster as consensus knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// The name it was founded under; what it publishes itself is in the state.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Whether it has no vote.
    pub is_learner: bool,
}

/// Timers and limits of consensus.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often a leader tells that it is alive.
    pub heartbeat: Duration,
    /// How long a member waits for a leader before it stands for election; at most twice that.
    pub election: Duration,
    /// Whether to ask the others before standing for election.
    pub pre_vote: bool,
    /// How long a request may take beside a change of leader, for which two election timeouts are
    /// added.
    pub request_timeout: Duration,
    /// Largest encoded request, in bytes.
    pub max_request_bytes: usize,
    /// Log entries between two snapshots.
    pub snapshot_count: u64,
    /// Log entries kept behind a snapshot for members that lag.
    pub snapshot_catchup_entries: u64,
    /// Applying longer than this is worth a line in the log.
    pub slow_apply: Duration,
    /// What changes of members are refused.
    pub rules: Rules,
}

impl Default for Settings {
    /// etcd's defaults.
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election: Duration::from_secs(1),
            pre_vote: true,
            request_timeout: Duration::from_secs(5),
            max_request_bytes: 1536 * 1024,
            snapshot_count: 100_000,
            snapshot_catchup_entries: 5000,
            slow_apply: Duration::from_millis(100),
            rules: Rules::default(),
        }
    }
}

/// How a member begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With the others it founds a cluster of these members; they all say the same.
    Found(Vec<Member>),
    /// The leader of a running cluster will send it everything.
    Join,
    /// It goes on where it stopped.
    Resume,
    /// It goes on where it stopped, alone: all others are forgotten.
    Alone,
}

/// What a member is made of.
pub struct Parts {
    /// Who it is, and how it reaches the others.
    pub identity: PeerIdentity,
    /// How it begins.
    pub beginning: Beginning,
    /// The log.
    pub wal: Wal,
    /// What the log held when it was opened.
    pub recovered: Recovered,
    /// The state machine; the apply thread will own it.
    pub machine: Machine,
    /// What the state machine has published.
    pub reader: Reader,
    /// Timers and limits.
    pub settings: Settings,
    /// Starts and stops the tasks.
    pub supervisor: Supervisor,
    /// Takes the metrics.
    pub registry: Registry,
    /// Tells the time.
    pub clock: Clock,
}

/// A running member. Clones are handles of the same one.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
    core: Core,
    reader: LinearReader,
    changes: Changes,
    peers: PeerService,
    links: Links,
    removal: Removal,
    id: MemberId,
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

        let (work, queue) = mpsc::channel(APPLY_QUEUE);
        let apply = ApplyThread {
            machine: parts.machine,
            work: queue,
            shared: Arc::clone(&shared),
            id,
            reader: parts.reader.clone(),
            removal: removal.clone(),
            slow: parts.settings.slow_apply,
            supervisor: parts.supervisor.clone(),
        };
        parts
            .supervisor
            .thread("apply", Stage::Consensus, move |_| apply.run())
            .map_err(ConsensusError::Thread)?;

        let links = Links::new(parts.identity.clone());
        let network = Network::new(links.clone(), removal.clone(), work.clone(), parts.clock);
        let supervisor = parts.supervisor.clone();
        let home = Home {
            id,
            config: Arc::new(core_config(&parts.settings)?),
            shared: Arc::clone(&shared),
            network,
            beginning: parts.beginning,
            supervisor: parts.supervisor,
        };
        let core = home.start(log, work, state).await?;
        let reader = LinearReader::new(Arc::clone(&shared), &core, links.clone());
        home.run_tasks(&core, &reader);
        let changes = Changes::new(
            core.clone(),
            Arc::clone(&shared),
            links.clone(),
            parts.reader.clone(),
            parts.settings.rules,
        );
        let peers = PeerService::new(
            core.clone(),
            Arc::clone(&shared),
            changes.clone(),
            Host { identity: parts.identity, reader: parts.reader, intake },
            supervisor,
        );
        Ok(Self { shared, core, reader, changes, peers, links, removal, id })
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

    /// Hands leadership over to another voter and waits until it leads.
    ///
    /// # Errors
    /// When this member does not lead, the target has no vote, or it did not take over in time.
    pub async fn move_leader(&self, to: MemberId) -> Result<(), MoveError> {
        let mut leadership = self.shared.leadership.subscribe();
        if !leadership.borrow_and_update().is_leader {
            return Err(MoveError::NotLeader);
        }
        if !self.members().iter().any(|member| member.id == to && !member.is_learner) {
            return Err(MoveError::BadTarget);
        }
        if to == self.id {
            return Ok(());
        }
        let moved = async {
            loop {
                self.core.trigger().transfer_leader(to.0).await.map_err(|_| MoveError::Stopped)?;
                let led = leadership.wait_for(|now| now.leader == Some(to));
                // One that was lost on the way is sent again.
                match tokio::time::timeout(self.shared.limits.election, led).await {
                    Ok(Ok(_)) => return Ok(()),
                    Ok(Err(_)) => return Err(MoveError::Stopped),
                    Err(_) => {}
                }
            }
        };
        let limit = self.shared.limits.timeout();
        tokio::time::timeout(limit, moved).await.unwrap_or(Err(MoveError::Timeout))
    }

    /// Hands leadership to whichever voter has most of the log, if this member leads and there is one,
    /// so that a member that stops is not missed for an election timeout.
    pub async fn hand_over(&self) {
        let target = {
            let metrics = self.core.metrics();
            let metrics = metrics.borrow_watched();
            let voters = metrics.membership_config.voter_ids();
            let others = voters.filter(|id| *id != self.id.0);
            let matched = |id: u64| metrics.replication.as_ref()?.get(&id).copied().flatten();
            others.filter_map(|id| Some((matched(id)?, id))).max()
        };
        let Some((_, target)) = target else { return };
        let target = MemberId(target);
        let handed =
            tokio::time::timeout(2 * self.shared.limits.election, self.move_leader(target));
        match handed.await {
            Ok(Ok(())) => tracing::info!(transferee = %target, "leadership transferred"),
            Ok(Err(MoveError::NotLeader)) => {}
            Ok(Err(error)) => {
                tracing::warn!(transferee = %target, %error, "leadership was not taken")
            }
            Err(_) => tracing::warn!(transferee = %target, "leadership was not taken in time"),
        }
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

    /// The members of the cluster, ascending by id.
    pub fn members(&self) -> Vec<Member> {
        let server = self.core.server_metrics();
        let membership = Arc::clone(&server.borrow_watched().membership_config);
        let voters: Vec<u64> = membership.voter_ids().collect();
        let member = |(id, peer): (&u64, &Peer)| Member {
            id: MemberId(*id),
            name: peer.name.clone(),
            peer_urls: peer.peer_urls.clone(),
            is_learner: !voters.contains(id),
        };
        membership.nodes().map(member).collect()
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

/// The log and the state, found to fit together.
async fn open_log(parts: &mut Parts) -> Result<(LogStore, Durable), ConsensusError> {
    let wal = parts.wal.clone();
    let mut log = LogStore::new(wal, &parts.recovered).map_err(ConsensusError::Log)?;
    // What it starts with counts as a snapshot, and the log may be cut up to there.
    if parts.machine.applied().is_some() {
        parts.machine.persist().map_err(|error| ConsensusError::Core(error.to_string()))?;
    }
    let state = applied_state(&parts.machine).map_err(ConsensusError::Log)?;
    check_log_covers(&log, &state, parts.machine.received().as_deref())?;
    if parts.beginning == Beginning::Alone {
        let id = parts.identity.member;
        alone::forget_others(&mut log, &state, id).await.map_err(ConsensusError::Log)?;
    }
    Ok((log, state))
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

/// What is needed to start the core and its tasks.
struct Home {
    id: MemberId,
    config: Arc<Config>,
    shared: Arc<Shared>,
    network: Network,
    beginning: Beginning,
    supervisor: Supervisor,
}

impl Home {
    /// Starts the core; founds the cluster if nothing has been written yet.
    async fn start(
        &self,
        log: LogStore,
        work: mpsc::Sender<Work>,
        state: Durable,
    ) -> Result<Core, ConsensusError> {
        let applier = Applier::new(work, Arc::clone(&self.shared), state);
        let config = Arc::clone(&self.config);
        let network = self.network.clone();
        let core = Core::new(self.id.0, config, network, log, applier).await.map_err(core_error)?;
        if let Beginning::Found(founders) = &self.beginning {
            let founders: BTreeMap<u64, Peer> = founders.iter().map(founder).collect();
            match core.initialize(founders).await {
                // A log that has entries was founded before.
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(error) => return Err(core_error(error)),
            }
        }
        let id = self.id.0;
        let alone = core
            .with_raft_state(move |state| state.membership_state.effective().voter_ids().eq([id]))
            .await
            .map_err(core_error)?;
        if alone {
            // Nobody else could win: waiting for an election timeout would only delay the start.
            core.trigger().elect(false).await.map_err(core_error)?;
        }
        Ok(core)
    }

    fn run_tasks(&self, core: &Core, reader: &LinearReader) {
        let stop = || self.supervisor.stop_token(Stage::Consensus);
        let shared = || Arc::clone(&self.shared);
        let links = self.network.links.clone();
        let batcher = Batcher::new(shared(), core.clone(), links.clone(), self.supervisor.clone());
        self.spawn("batcher", batcher.run(stop()));
        self.spawn("reads", reader.clone().run(core.clone(), stop()));
        self.spawn(
            "leadership",
            follow(shared(), core.clone(), links, self.supervisor.clone(), stop()),
        );
        let (keeper, core_to_trim) = (shared(), core.clone());
        let stop_keeping = stop();
        self.spawn("log-retention", async move {
            keeper.retention.run(core_to_trim, stop_keeping).await;
        });
        self.spawn("consensus", shut_down(core.clone(), shared(), stop()));
    }

    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.supervisor.spawn(name, Stage::Consensus, task);
    }
}

/// Ends the core once asked to stop. The apply thread ends by itself when the core no longer feeds
/// it, with everything that was committed applied and durable.
async fn shut_down(core: Core, shared: Arc<Shared>, stop: Stop) {
    stop.stopped().await;
    if core.shutdown().await.is_err() {
        tracing::error!("consensus core panicked while it stopped");
    }
    shared.queue.close();
}

fn founder(member: &Member) -> (u64, Peer) {
    (member.id.0, Peer { name: member.name.clone(), peer_urls: member.peer_urls.clone() })
}

/// The state never holds more than the log: an entry is durable there before it is applied. If it
/// does, the end of the log was lost, and entries that clients were told of with it; unless the state
/// is just as it was received from another member, and the log was not cut yet.
fn check_log_covers(
    log: &LogStore,
    state: &Durable,
    received: Option<&[u8]>,
) -> Result<(), ConsensusError> {
    let last = log.last().map_err(ConsensusError::Log)?;
    let received = received.map(decode_log_id).transpose().map_err(ConsensusError::Log)?;
    match (state.applied, last) {
        (Some(applied), _) if Some(applied) == received => Ok(()),
        (Some(applied), last) if Some(applied) > last => Err(ConsensusError::LogBehindState {
            applied: position(applied),
            last: last.map_or(0, position),
        }),
        (applied, _) => check_state_reaches_log(log, applied.map_or(0, position)),
    }
}

/// Nor is the state older than the oldest entry of the log: it is made durable before the log is cut.
fn check_state_reaches_log(log: &LogStore, applied: u64) -> Result<(), ConsensusError> {
    let purged = log.purged().map_err(ConsensusError::Log)?.map_or(0, position);
    if applied < purged {
        return Err(ConsensusError::StateBehindLog { applied, purged });
    }
    Ok(())
}

fn core_config(settings: &Settings) -> Result<Config, ConsensusError> {
    let election = millis(settings.election);
    let config = Config {
        cluster_name: "etcd".into(),
        heartbeat_interval: millis(settings.heartbeat),
        election_timeout_min: election,
        election_timeout_max: 2 * election,
        enable_pre_vote: Some(settings.pre_vote),
        // A member that led before it stopped stands for election like any other: a term has one
        // leader, and clients see a new term after a restart, as with etcd.
        enable_leader_restore: Some(false),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(settings.snapshot_count.max(1)),
        max_in_snapshot_log_to_keep: settings.snapshot_catchup_entries,
        // A follower further behind than this is sent a snapshot, so the log must reach as far.
        replication_lag_threshold: settings
            .snapshot_count
            .saturating_add(settings.snapshot_catchup_entries),
        // Cutting the log entry by entry would send the core into the file system all the time.
        purge_batch_size: (settings.snapshot_count / 10).clamp(1, 256),
        install_snapshot_timeout: 10 * 60 * 1000,
        // The apply thread stalls when the disk does; the core must not stall with it.
        state_machine_channel_size: Some(64 * 1024),
        ..Config::default()
    };
    config.validate().map_err(|error| ConsensusError::Timers(error.to_string()))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn core_error(error: impl std::fmt::Display) -> ConsensusError {
    ConsensusError::Core(error.to_string())
}
