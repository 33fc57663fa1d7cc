//! What a member is made of, and how it begins.

use std::time::Duration;

use super::members::Rules;
use super::peers::PeerIdentity;
use crate::state::{Machine, Reader};
use crate::storage::wal::{Recovered, Wal};
use crate::tasks::Supervisor;
use crate::telemetry::metrics::Registry;
use crate::types::clock::Clock;
use crate::types::ids::MemberId;

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
    /// The state machine.
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
