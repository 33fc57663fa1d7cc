//! Everything a handler may ask.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tonic::Status;

use super::status;
use crate::consensus::{self, LinearReader, Node, Proposer};
use crate::proto::etcdserverpb::{AlarmType, Member};
use crate::state::Reader;
use crate::state::reader::Hash;
use crate::telemetry::metrics::Registry;
use crate::tokens::{Passwords, Provider};
use crate::types::ids::{ClusterId, MemberId, RequestIds};
use crate::upkeep::{Comparing, DiskWatch, Lessor, Passing};
use crate::watch::Hub;

/// What of the configuration bounds requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one proposal.
    pub max_request_bytes: usize,
    /// Operations in one transaction.
    pub max_txn_ops: usize,
    /// Time between progress notifications of an idle watcher.
    pub watch_progress_interval: Duration,
    /// The election timeout, from which the shortest lease and other times follow.
    pub election_timeout: Duration,
    /// Bytes of all large range responses being made and sent at one time.
    pub range_bytes_in_flight: usize,
    /// Answering a unary request later than this is worth a line in the log.
    pub slow_request: Duration,
    /// Whether the duration of every method is measured.
    pub extensive_metrics: bool,
}

impl Limits {
    /// Half a MiB above a proposal, so that one that is a little too large is told so by name.
    const OVERHEAD: usize = 512 << 10;

    /// Default of [`Self::range_bytes_in_flight`]: enough for some hundred thousand keys at once,
    /// and small beside the memory of any machine that serves them.
    pub const RANGE_BYTES_IN_FLIGHT: usize = 512 << 20;

    /// Bytes of one received message, also the size at which watch responses are cut.
    pub const fn max_message_bytes(&self) -> usize {
        self.max_request_bytes.saturating_add(Self::OVERHEAD)
    }

    /// The longest a request may take on the server.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.election_timeout
    }
}

/// Whether the member wants to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It serves.
    Serving,
    /// It starts or stops.
    NotServing,
}

/// What the handlers of both faces share.
pub struct Backend {
    /// This cluster.
    pub cluster: ClusterId,
    /// This member.
    pub member: MemberId,
    /// Consensus: who leads, who belongs.
    pub node: Node,
    /// The way of writes.
    pub proposer: Proposer,
    /// The way of linearizable reads.
    pub linear: LinearReader,
    /// The state as applied here.
    pub reader: Reader,
    /// Watchers.
    pub hub: Hub,
    /// The disks.
    pub disk: DiskWatch,
    /// Lease deadlines.
    pub lessor: Lessor,
    /// Comparisons with other members.
    pub comparing: Comparing,
    /// Revocation lists on their way.
    pub passing: Passing,
    /// Which tokens are given out and taken.
    pub provider: Provider,
    /// Passwords.
    pub passwords: Arc<Passwords>,
    /// Whether the common name of a client's certificate is the name of a user: where certificates are
    /// demanded.
    pub certificates_name_users: bool,
    /// Ids for leases.
    pub ids: RequestIds,
    /// Bounds.
    pub limits: Limits,
    /// Told to health checks.
    pub health: watch::Receiver<Health>,
    /// Where counters are registered.
    pub registry: Registry,
    /// Turns for computing hashes, on whatever port they are asked for.
    pub hashes: Semaphore,
}

impl Backend {
    /// Hashes computed at one time: each reads everything, on a thread others need too.
    pub const HASHES: usize = 2;

    /// The members by id: addresses from consensus, names and client addresses as they published them.
    pub fn members(&self) -> Vec<Member> {
        self.described(self.node.members())
    }

    /// As [`Self::members`], with every change that has been answered.
    ///
    /// # Errors
    /// What clients are told.
    pub async fn members_now(&self) -> Result<Vec<Member>, Status> {
        Ok(self.described(self.node.members_now().await.map_err(status::of_linear)?))
    }

    fn described(&self, members: Vec<consensus::Member>) -> Vec<Member> {
        let published = self.reader.members();
        let described = |member: consensus::Member| {
            let own = published.get(member.id);
            Member {
                id: member.id.0,
                // A founder has its name from the first list, also before it has ever served.
                name: own.map_or(member.name, |own| own.name.clone()),
                peer_ur_ls: member.peer_urls,
                client_ur_ls: own.map(|own| own.client_urls.clone()).unwrap_or_default(),
                is_learner: member.is_learner,
            }
        };
        members.into_iter().map(described).collect()
    }

    /// Whether an alarm says that this very member holds other data than the cluster.
    pub fn is_corrupt(&self) -> bool {
        self.reader.alarms().is_raised(self.member.0, AlarmType::Corrupt)
    }

    /// [`Reader::hash_kv`] in its turn, on a thread that may block.
    ///
    /// # Errors
    /// What clients are told.
    pub async fn hash_kv(&self, revision: i64) -> Result<Hash, Status> {
        let _turn = self.hashes.acquire().await.map_err(|_| status::stopped())?;
        let reader = self.reader.clone();
        let hashed = spawn_blocking(move || reader.hash_kv(revision)).await;
        let hashed = hashed.map_err(|error| status::internal(&error))?;
        hashed.map_err(|error| status::of_read(&error))
    }
}
