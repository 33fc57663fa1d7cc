//! What a member tells the cluster once it runs: its name and client addresses, and, if nobody has
//! yet, the version the cluster works at.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::consensus::{Leadership, ProposeError, Proposer};
use crate::proto::internal::request::Op;
use crate::proto::internal::{ClusterVersion, MemberAttributes};
use crate::state::Reader;
use crate::state::membership::LEVEL;
use crate::tasks::{Stage, Supervisor};
use crate::types::ids::MemberId;
use crate::types::version;

/// Pause before another try; proposals themselves wait for seconds.
const RETRY: Duration = Duration::from_millis(100);
/// How often to look whether another member has decided on the version.
const LOOK: Duration = Duration::from_secs(1);

/// Publishes a member's name and client addresses, again and again until the cluster has them.
///
/// # Errors
/// When the member stops.
pub async fn attributes(
    proposer: &Proposer,
    member: MemberId,
    name: &str,
    client_urls: &[String],
) -> Result<(), ProposeError> {
    let attributes = MemberAttributes {
        member_id: member.0,
        name: name.to_owned(),
        client_urls: client_urls.to_vec(),
        level: LEVEL,
    };
    insist(proposer, Op::MemberAttributes(attributes), "member attributes").await?;
    tracing::info!(
        "local-member-id" = %member,
        "local-member-name" = name,
        "client-urls" = ?client_urls,
        "published local member to cluster through raft"
    );
    Ok(())
}

/// Has the leader decide on the cluster version if the cluster has none: at once if this member leads,
/// else every member looks until there is one.
///
/// # Errors
/// When the member stops.
pub async fn cluster_version(
    proposer: Proposer,
    reader: Reader,
    mut leadership: watch::Receiver<Leadership>,
    supervisor: &Supervisor,
) -> Result<(), ProposeError> {
    if reader.members().cluster_version().is_some() {
        return Ok(());
    }
    if leadership.borrow_and_update().is_leader {
        return decide_version(&proposer).await;
    }
    let stop = supervisor.stop_token(Stage::Upkeep);
    supervisor.spawn("cluster-version", Stage::Upkeep, async move {
        let decided = async {
            while reader.members().cluster_version().is_none() {
                if leadership.borrow_and_update().is_leader {
                    return decide_version(&proposer).await;
                }
                // Another leader decides, and that is no change of leadership: look again.
                let _ = timeout(LOOK, leadership.changed()).await;
            }
            Ok(())
        };
        tokio::select! {
            () = stop.stopped() => {}
            // The only error is the end of the member.
            _ = decided => {}
        }
    });
    Ok(())
}

async fn decide_version(proposer: &Proposer) -> Result<(), ProposeError> {
    tracing::info!("cluster-version" = version::CLUSTER, "setting up initial cluster version");
    let decided = ClusterVersion { version: version::CLUSTER.to_owned() };
    insist(proposer, Op::ClusterVersion(decided), "cluster version").await?;
    tracing::info!("cluster-version" = version::CLUSTER, "set initial cluster version");
    Ok(())
}

async fn insist(proposer: &Proposer, op: Op, what: &str) -> Result<(), ProposeError> {
    loop {
        match proposer.propose(op.clone()).await {
            Ok(outcome) => {
                if let Err(error) = outcome.result {
                    // Not a matter of time: what is published is fixed.
                    tracing::error!(%error, "the cluster refused to take {what}");
                }
                return Ok(());
            }
            Err(ProposeError::Stopped) => return Err(ProposeError::Stopped),
            Err(error) => tracing::warn!(%error, "failed to publish {what}; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}
