//! Leadership on its way to another member: because somebody asks for it, or because this one stops or
//! is too slow.

use openraft::async_runtime::WatchReceiver;

use super::error::MoveError;
use super::node::Node;
use super::others;
use crate::types::ids::MemberId;

impl Node {
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

    /// Hands leadership to whichever voter has most of the log among those that answer, if this member
    /// leads and there is one, so that a member that stops is not missed for an election timeout.
    pub async fn hand_over(&self) {
        let target = {
            let metrics = self.core.metrics();
            let metrics = metrics.borrow_watched();
            let limit = self.shared.limits.election;
            let voters = metrics.membership_config.voter_ids().filter(|id| *id != self.id.0);
            let alive = voters.filter(|id| others::answers(&metrics, *id, limit));
            alive.filter_map(|id| Some((others::matched(&metrics, id)?, id))).max()
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
}
