//! A new member takes the place of an old one.
//!
//! The new one joins as a learner whose record in the membership names the member it replaces, so that
//! whoever leads later knows. Once it has caught up, its promotion takes it in and the old one out in
//! one step, by joint consensus (Raft paper, section 6): there is never one voter more to agree with,
//! as between adding and removing, nor one less, as between removing and adding. Two configurations
//! that differ in two members have majorities that do not meet; therefore the step is two entries, of
//! which the first needs a majority of both. Whoever leads after the first writes the second. A leader
//! that is replaced has another one lead before, who carries it on.

use openraft::EntryPayload;
use openraft::raft::Precondition;

use super::decide::{Next, membership, outcome, peer};
use super::{ChangeError, Changed, Changes, Inner};
use crate::consensus::types::{Peer, StoredMembership};
use crate::failpoint::{self, Point};
use crate::tasks::Stop;
use crate::types::ids::MemberId;

/// Entries a new member may lack when it takes its place by itself: what is on its way under load.
const NEAR: u64 = 1_000;

impl Changes {
    /// Carries replacements on whenever this member leads, until told to stop.
    pub(crate) async fn carry_on(self, stop: Stop) {
        let pause = self.inner.shared.limits.election;
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if let Err(error) = self.carry().await {
                tracing::debug!(%error, "the replacement of a member waits");
            }
        }
    }

    async fn carry(&self) -> Result<(), ChangeError> {
        let _turn = self.inner.turn.lock().await;
        if !self.inner.shared.leadership.borrow().is_leader {
            return Ok(());
        }
        let observed = self.inner.settled().await?;
        match self.inner.due(&observed) {
            Some(id) => self.inner.promote(&observed, id).await.map(drop),
            None => Ok(()),
        }
    }
}

impl Inner {
    /// The members, after an exchange of two that another leader has begun is brought to its end.
    pub(super) async fn settled(&self) -> Result<StoredMembership, ChangeError> {
        let observed = self.observed();
        if observed.membership().get_joint_config().len() > 1 {
            self.finish(&observed, self.id).await?;
            return Ok(self.observed());
        }
        Ok(observed)
    }

    /// Adds the learner that will take the place of a voter.
    pub(super) async fn replace(
        &self,
        observed: &StoredMembership,
        old: MemberId,
        peer_urls: &[String],
    ) -> Result<Changed, ChangeError> {
        if observed.membership().get_node(&old.0).is_none() {
            return Err(ChangeError::NotFound);
        }
        if !observed.voter_ids().any(|id| id == old.0) {
            return Err(ChangeError::NotVoter);
        }
        if self.rules.strict {
            self.voters(observed).may_replace(old)?;
        }
        let new = Peer { replaces: old.0, ..peer(String::new(), peer_urls) };
        let (next, id) = self.with_new(observed, new, true)?;
        self.append(observed, next, id).await
    }

    /// A learner that can take its place now.
    fn due(&self, observed: &StoredMembership) -> Option<MemberId> {
        let learners = observed.membership().learner_ids().map(MemberId);
        let mut replacing = learners.filter(|id| replaced(observed, *id).is_some());
        let newest = self.matched(self.id.0);
        replacing.find(|id| self.answers(*id) && self.matched(id.0) + NEAR >= newest)
    }

    /// Exchanges two voters.
    pub(super) async fn exchange(
        &self,
        observed: &StoredMembership,
        new: MemberId,
        old: MemberId,
    ) -> Result<Changed, ChangeError> {
        if self.rules.strict {
            self.voters(observed).may_replace(old)?;
        }
        self.bow_out(old).await?;
        let Next { voters, nodes } = Next::from(observed);
        let mut after = voters.clone();
        after.remove(&old.0);
        after.insert(new.0);
        let joint = membership(vec![voters, after], nodes)?;
        let unchanged =
            Precondition::LastMembershipLogId { last_membership_log_id: *observed.log_id() };
        let written = self.core.append_membership(joint.clone(), EntryPayload::Blank, [unchanged]);
        let written = tokio::time::timeout(self.shared.limits.timeout(), written);
        let written = written.await.map_err(|_| ChangeError::Timeout)?;
        let log_id = outcome(written)?;
        failpoint::hit(Point::MembersJoint);
        self.finish(&StoredMembership::new(Some(log_id), joint), new).await
    }

    /// Leaves the older of two configurations behind, and whoever is only in that one.
    async fn finish(
        &self,
        joint: &StoredMembership,
        about: MemberId,
    ) -> Result<Changed, ChangeError> {
        let Some(voters) = joint.membership().get_joint_config().last().cloned() else {
            return Err(ChangeError::Unhealthy);
        };
        let mut next = Next::from(joint);
        let leaving = &next.voters - &voters;
        next.nodes.retain(|id, _| !leaving.contains(id));
        next.voters = voters;
        let changed = self.append(joint, next, about).await?;
        for id in leaving {
            tracing::info!(removed = %MemberId(id), "replaced a member");
        }
        Ok(changed)
    }
}

/// Whom a learner replaces, as long as that one has a vote.
pub(super) fn replaced(observed: &StoredMembership, new: MemberId) -> Option<MemberId> {
    let old = observed.membership().get_node(&new.0)?.replaces;
    observed.voter_ids().any(|id| id == old).then_some(MemberId(old))
}
