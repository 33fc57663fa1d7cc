//! Members compare what they hold. Where a quorum agrees and a member does not, an alarm names that
//! member; nothing is written any more until somebody has looked, and the member itself stops answering
//! reads (`api::grpc`).
//!
//! Two things can be compared. The hash over everything applied (`state::rolling`) is kept anyway, covers
//! leases, alarms and members too, and finds a member that went another way; it knows nothing of what
//! happened to a record since. The hash over all keys (`HashKV`) is read from the records, which takes
//! as long as reading them all, and finds that too.

mod ask;
mod initial;
mod judge;
mod remote;

use std::time::Duration;

use self::ask::{Asker, Round};
use self::judge::Verdict;
use super::alarm;
use crate::config::Comparisons;
use crate::consensus::{Node, PeerService, Proposer};
use crate::proto::etcdserverpb::AlarmType;
use crate::proto::peer::checks_server::ChecksServer;
use crate::state::Reader;
use crate::tasks::{Stage, Supervisor};
use crate::types::ids::MemberId;

pub use initial::Differs;
pub use remote::CheckService;

/// Nobody in particular: the alarm for when there is no telling who is wrong, as in etcd.
const NOBODY: MemberId = MemberId(0);

/// What comparing needs.
pub struct ComparisonParts {
    /// The members, and who leads them.
    pub node: Node,
    /// What this member holds.
    pub reader: Reader,
    /// Takes the alarm.
    pub proposer: Proposer,
    /// When to compare.
    pub when: Comparisons,
    /// Starts the tasks.
    pub supervisor: Supervisor,
}

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// The hashes that are kept.
    Kept,
    /// These, and those over all keys.
    Everything,
}

/// Compares what members hold. Clones share nothing that changes.
#[derive(Clone)]
pub struct Comparing {
    asker: Asker,
    proposer: Proposer,
}

impl Comparing {
    /// Starts comparing now and then, as the configuration says; only the leader does.
    pub fn start(parts: ComparisonParts) -> Self {
        let ComparisonParts { node, reader, proposer, when, supervisor } = parts;
        let comparing = Self { asker: Asker { node, reader }, proposer };
        let start = |name, what, pause: Duration| {
            let stop = supervisor.stop_token(Stage::Upkeep);
            let own = comparing.clone();
            supervisor.spawn(name, Stage::Upkeep, async move {
                tokio::select! {
                    () = stop.stopped() => {}
                    () = own.repeat(what, pause) => {}
                }
            });
        };
        if !when.everything.is_zero() {
            start("compare-everything", What::Everything, when.everything);
        }
        if when.kept {
            start("compare-kept", What::Kept, when.kept_pause);
        }
        comparing
    }

    /// Answers the members that compare; `peers` tells who may ask.
    pub fn server(&self, peers: PeerService) -> ChecksServer<CheckService> {
        ChecksServer::new(CheckService::new(self.asker.reader.clone(), peers))
    }

    async fn repeat(self, what: What, pause: Duration) {
        let id = self.asker.node.id();
        tracing::info!(
            "local-member-id" = %id,
            interval = ?pause,
            compares = ?what,
            "enabled corruption checking"
        );
        loop {
            tokio::time::sleep(pause).await;
            if self.asker.node.status().is_leader {
                self.compare(what).await;
            }
        }
    }

    async fn compare(&self, what: What) {
        self.conclude(&self.asker.applied().await).await;
        if what == What::Everything {
            match self.asker.keys().await {
                Ok(round) => self.conclude(&round).await,
                Err(error) => tracing::warn!(error, "failed to check hash KV"),
            }
        }
    }

    /// Tells what a comparison found, and raises the alarms it calls for.
    async fn conclude(&self, round: &Round) {
        skipped(round);
        let what = round.what;
        let corrupt = match round.verdict() {
            Verdict::Same => {
                let (compared, members) = (round.held.len(), round.members());
                tracing::info!(%what, compared, members, "finished corruption check; no difference");
                return;
            }
            Verdict::Apart(members) => members,
            Verdict::Unclear => vec![NOBODY],
        };
        tracing::error!(%what, held = %round, ?corrupt, "members hold different data");
        for member in corrupt {
            if !self.asker.reader.alarms().is_raised(member.0, AlarmType::Corrupt) {
                alarm::raise(&self.proposer, member, AlarmType::Corrupt).await;
            }
        }
    }
}

/// Tells of members that a comparison had to go without.
fn skipped(round: &Round) {
    for (member, reason) in &round.skipped {
        tracing::warn!("remote-peer-id" = %member, reason, "Skipped peer's hash");
    }
}
