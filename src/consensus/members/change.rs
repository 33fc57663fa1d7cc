//! What may be changed, and what can be wrong with it; also as it travels to the leader.

use crate::proto::peer::{self, change_request};
use crate::types::ids::MemberId;

/// A change of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new member.
    Add {
        /// Where the others will reach it.
        peer_urls: Vec<String>,
        /// Whether it begins without a vote.
        is_learner: bool,
    },
    /// A member leaves for ever.
    Remove(MemberId),
    /// A member moves.
    Update {
        /// Who.
        id: MemberId,
        /// Where the others will reach it.
        peer_urls: Vec<String>,
    },
    /// A learner gets a vote.
    Promote(MemberId),
    /// A new member joins without a vote, and takes the place of another once it has caught up.
    Replace {
        /// Who leaves then.
        id: MemberId,
        /// Where the others will reach the new one.
        peer_urls: Vec<String>,
    },
}

/// Why a change is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such member, or it was removed.
    #[error("member not found")]
    NotFound,
    /// The new member's id is taken.
    #[error("member ID already exists")]
    IdExists,
    /// Another member is reached there.
    #[error("peer URLs already exist")]
    UrlExists,
    /// Too few voters of the new configuration have ever started.
    #[error("not enough started members")]
    NotEnoughStarted,
    /// Too few voters answer.
    #[error("unhealthy cluster")]
    Unhealthy,
    /// A voter cannot be promoted.
    #[error("the member is no learner")]
    NotLearner,
    /// The learner has too little of the log.
    #[error("the learner is not in sync with the leader")]
    LearnerNotReady,
    /// There may be no more learners.
    #[error("too many learners")]
    TooManyLearners,
    /// Only the place of a voter can be taken.
    #[error("the member has no vote")]
    NotVoter,
    /// Nothing was tried: another member leads, or nobody.
    #[error("this member does not lead")]
    NotLeader,
    /// Nobody decided in time; the change may still come about.
    #[error("the change was not decided in time")]
    Timeout,
    /// The member is stopping.
    #[error("the member is stopping")]
    Stopped,
}

/// The numbers of refusals between members; zero is none.
const NUMBERS: [ChangeError; 12] = [
    ChangeError::NotFound,
    ChangeError::IdExists,
    ChangeError::UrlExists,
    ChangeError::NotEnoughStarted,
    ChangeError::Unhealthy,
    ChangeError::NotLearner,
    ChangeError::LearnerNotReady,
    ChangeError::TooManyLearners,
    ChangeError::NotLeader,
    ChangeError::Timeout,
    ChangeError::Stopped,
    ChangeError::NotVoter,
];

/// A change that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The member it was about.
    pub id: MemberId,
    /// The entry that holds it, counted from one.
    pub index: u64,
}

impl Change {
    pub(super) fn message(&self) -> peer::ChangeRequest {
        use change_request::Change::{Add, Promote, Remove, Replace, Update};
        let change = match self.clone() {
            Self::Add { peer_urls, is_learner } => Add(peer::NewMember { peer_urls, is_learner }),
            Self::Remove(id) => Remove(id.0),
            Self::Update { id, peer_urls } => Update(peer::NewAddresses { id: id.0, peer_urls }),
            Self::Promote(id) => Promote(id.0),
            Self::Replace { id, peer_urls } => Replace(peer::NewAddresses { id: id.0, peer_urls }),
        };
        peer::ChangeRequest { change: Some(change) }
    }

    /// Reads what another member asks for.
    pub(crate) fn read(message: peer::ChangeRequest) -> Option<Self> {
        use change_request::Change::{Add, Promote, Remove, Replace, Update};
        Some(match message.change? {
            Add(new) => Self::Add { peer_urls: new.peer_urls, is_learner: new.is_learner },
            Remove(id) => Self::Remove(MemberId(id)),
            Update(new) => Self::Update { id: MemberId(new.id), peer_urls: new.peer_urls },
            Promote(id) => Self::Promote(MemberId(id)),
            Replace(new) => Self::Replace { id: MemberId(new.id), peer_urls: new.peer_urls },
        })
    }
}

/// What the member that asked is told.
pub(crate) fn answer(decided: Result<Changed, ChangeError>) -> peer::ChangeAnswer {
    match decided {
        Ok(changed) => peer::ChangeAnswer { refusal: 0, id: changed.id.0, index: changed.index },
        Err(error) => {
            let number = NUMBERS.iter().zip(1..).find(|(known, _)| **known == error);
            let refusal = number.map_or(u32::MAX, |(_, number)| number);
            peer::ChangeAnswer { refusal, ..Default::default() }
        }
    }
}

/// Reads [`answer`]. What a newer version refuses for a reason unknown here is not tried again.
pub(super) fn read_answer(answer: peer::ChangeAnswer) -> Result<Changed, ChangeError> {
    match answer.refusal {
        0 => Ok(Changed { id: MemberId(answer.id), index: answer.index }),
        number => {
            let known = NUMBERS.get(number as usize - 1).copied();
            Err(known.unwrap_or(ChangeError::Timeout))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_and_answers_travel_whole() {
        let peer_urls = vec!["http://a:1".to_owned()];
        for change in [
            Change::Add { peer_urls: peer_urls.clone(), is_learner: true },
            Change::Remove(MemberId(1)),
            Change::Update { id: MemberId(2), peer_urls: peer_urls.clone() },
            Change::Promote(MemberId(3)),
            Change::Replace { id: MemberId(4), peer_urls },
        ] {
            assert_eq!(Change::read(change.message()), Some(change));
        }
        assert_eq!(Change::read(peer::ChangeRequest::default()), None);
        let made = Ok(Changed { id: MemberId(7), index: 9 });
        assert_eq!(read_answer(answer(made)), made);
        for error in NUMBERS {
            assert_eq!(read_answer(answer(Err(error))), Err(error));
        }
    }
}
