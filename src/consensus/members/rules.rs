//! When a change is refused, by what is known of the members.

use std::collections::BTreeSet;

use super::ChangeError;
use crate::types::ids::MemberId;

/// Rules of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Learners at one time.
    pub max_learners: usize,
    /// Whether changes are refused that could cost the quorum.
    pub strict: bool,
}

impl Default for Rules {
    /// etcd's defaults.
    fn default() -> Self {
        Self { max_learners: 1, strict: true }
    }
}

/// What the leader knows of the voters.
#[derive(Clone, Debug, Default)]
pub(super) struct Voters {
    pub(super) all: BTreeSet<MemberId>,
    /// Those that have published their names.
    pub(super) started: BTreeSet<MemberId>,
    /// Those that answer the leader, itself included.
    pub(super) active: BTreeSet<MemberId>,
}

impl Voters {
    /// Whether a voter may join.
    pub(super) fn may_add(&self, is_learner: bool) -> Result<(), ChangeError> {
        let (started, after) = (self.started.len(), self.all.len() + 1);
        // A single member that gets its second loses the quorum either way until that one starts.
        let second = started == 1 && after == 2;
        if !is_learner && !second && started < quorum(after) {
            return Err(ChangeError::NotEnoughStarted);
        }
        if self.active.len() < self.all.len() {
            return Err(ChangeError::Unhealthy);
        }
        Ok(())
    }

    /// Whether a voter may leave.
    pub(super) fn may_remove(&self, id: MemberId) -> Result<(), ChangeError> {
        if !self.all.contains(&id) {
            return Ok(());
        }
        let after = self.all.len() - 1;
        let started = self.started.iter().filter(|started| **started != id).count();
        if started < quorum(after) {
            return Err(ChangeError::NotEnoughStarted);
        }
        // One that does not answer takes nothing with it.
        if self.active.contains(&id) && self.active.len() - 1 < quorum(after) {
            return Err(ChangeError::Unhealthy);
        }
        Ok(())
    }

    /// Whether a voter may be replaced: all others answer, and with the new one enough have started. That
    /// is what joining asks for, but of the one that leaves, which may be dead.
    pub(super) fn may_replace(&self, old: MemberId) -> Result<(), ChangeError> {
        let others = |ids: &BTreeSet<MemberId>| ids.iter().filter(|id| **id != old).count();
        if others(&self.started) + 1 < quorum(self.all.len()) {
            return Err(ChangeError::NotEnoughStarted);
        }
        if others(&self.active) < others(&self.all) {
            return Err(ChangeError::Unhealthy);
        }
        Ok(())
    }

    /// Whether a learner may become a voter.
    pub(super) fn may_promote(&self) -> Result<(), ChangeError> {
        if self.started.len() + 1 < quorum(self.all.len() + 1) {
            return Err(ChangeError::NotEnoughStarted);
        }
        Ok(())
    }
}

fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// Whether a learner has nine tenths of what the leader has, as etcd asks.
pub(super) fn is_ready(learner: u64, leader: u64) -> bool {
    u128::from(learner) * 10 >= u128::from(leader) * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(all: u64, started: u64, active: u64) -> Voters {
        let ids = |count| (1..=count).map(MemberId).collect();
        Voters { all: ids(all), started: ids(started), active: ids(active) }
    }

    #[test]
    fn a_voter_joins_when_all_answer_and_enough_have_started() {
        assert_eq!(voters(1, 1, 1).may_add(false), Ok(()));
        assert_eq!(voters(2, 1, 2).may_add(false), Err(ChangeError::NotEnoughStarted));
        assert_eq!(voters(3, 3, 3).may_add(false), Ok(()));
        assert_eq!(voters(3, 3, 2).may_add(false), Err(ChangeError::Unhealthy));
        assert_eq!(voters(3, 3, 2).may_add(true), Err(ChangeError::Unhealthy));
        assert_eq!(voters(2, 1, 2).may_add(true), Ok(()));
    }

    #[test]
    fn a_voter_leaves_when_the_others_are_a_quorum() {
        assert_eq!(voters(1, 1, 1).may_remove(MemberId(1)), Err(ChangeError::NotEnoughStarted));
        assert_eq!(voters(2, 2, 2).may_remove(MemberId(2)), Ok(()));
        assert_eq!(voters(3, 3, 2).may_remove(MemberId(3)), Ok(()));
        assert_eq!(voters(3, 3, 2).may_remove(MemberId(2)), Err(ChangeError::Unhealthy));
        assert_eq!(voters(3, 3, 3).may_remove(MemberId(9)), Ok(()));
    }

    #[test]
    fn a_voter_is_replaced_when_all_others_answer() {
        assert_eq!(voters(3, 3, 3).may_replace(MemberId(1)), Ok(()));
        assert_eq!(voters(3, 3, 2).may_replace(MemberId(3)), Ok(()));
        assert_eq!(voters(3, 3, 2).may_replace(MemberId(2)), Err(ChangeError::Unhealthy));
        assert_eq!(voters(3, 1, 3).may_replace(MemberId(1)), Err(ChangeError::NotEnoughStarted));
        assert_eq!(voters(1, 1, 1).may_replace(MemberId(1)), Ok(()));
    }

    #[test]
    fn a_learner_is_promoted_when_it_has_nearly_everything() {
        assert_eq!(voters(1, 1, 1).may_promote(), Ok(()));
        assert_eq!(voters(3, 1, 3).may_promote(), Err(ChangeError::NotEnoughStarted));
        assert!(is_ready(90, 100) && !is_ready(89, 100) && is_ready(0, 0));
    }
}
