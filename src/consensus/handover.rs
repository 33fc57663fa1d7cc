//! Leadership on its way to another member: because somebody asks for it, or because this one stops,
//! leaves or is too slow.

use openraft::async_runtime::WatchReceiver;

use super::error::MoveError;
use super::node::{Core, Node};
use super::others;
use super::proposer::Shared;
use crate::types::ids::MemberId;

impl Node {
    /// Hands leadership over to another voter and waits until it leads.
    ///
    /// # Errors
    /// When this member does not lead, the target has no vote, or it did not take over in time.
    pub async fn move_leader(&self, to: MemberId) -> Result<(), MoveError> {
        if !self.shared.leadership.borrow().is_leader {
            return Err(MoveError::NotLeader);
        }
        if !self.members().iter().any(|member| member.id == to && !member.is_learner) {
            return Err(MoveError::BadTarget);
        }
        if to == self.id {
            return Ok(());
        }
        transfer(&self.core, &self.shared, to).await
    }

    /// Hands leadership to whichever voter has most of the log among those that answer, if this member
    /// leads and there is one, so that a member that stops is not missed for an election timeout.
    pub async fn hand_over(&self) {
        if self.shared.leadership.borrow().is_leader {
            hand_over(&self.core, &self.shared, self.id).await;
        }
    }
}

/// As [`Node::hand_over`], of a member that leads; tells whether another one does now.
pub(super) async fn hand_over(core: &Core, shared: &Shared, own: MemberId) -> bool {
    let limit = shared.limits.election;
    let target = {
        let metrics = core.metrics();
        let metrics = metrics.borrow_watched();
        let voters = metrics.membership_config.voter_ids().filter(|id| *id != own.0);
        let alive = voters.filter(|id| others::answers(&metrics, *id, limit));
        alive.filter_map(|id| Some((others::matched(&metrics, id)?, id))).max()
    };
    let Some((_, target)) = target else { return false };
    let target = MemberId(target);
    match tokio::time::timeout(2 * limit, transfer(core, shared, target)).await {
        Ok(Ok(())) => {
            tracing::info!(transferee = %target, "leadership transferred");
            return true;
        }
        Ok(Err(error)) => {
            tracing::warn!(transferee = %target, %error, "leadership was not taken");
        }
        Err(_) => tracing::warn!(transferee = %target, "leadership was not taken in time"),
    }
    false
}

/// Has another voter take over, and waits until it leads.
async fn transfer(core: &Core, shared: &Shared, to: MemberId) -> Result<(), MoveError> {
    let mut leadership = shared.leadership.subscribe();
    let moved = async {
        loop {
            core.trigger().transfer_leader(to.0).await.map_err(|_| MoveError::Stopped)?;
            let led = leadership.wait_for(|now| now.leader == Some(to));
            // One that was lost on the way is sent again.
            match tokio::time::timeout(shared.limits.election, led).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(_)) => return Err(MoveError::Stopped),
                Err(_) => {}
            }
        }
    };
    let limit = shared.limits.timeout();
    tokio::time::timeout(limit, moved).await.unwrap_or(Err(MoveError::Timeout))
}
