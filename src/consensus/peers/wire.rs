//! Openraft's messages as they travel between members, and back.

use std::io;

use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use crate::consensus::types::{LogEntry, LogId, TypeConfig, Vote, decode_entry, encode_payload};
use crate::proto::peer::{self, append_answer, transfer_answer};

/// A message that lacks what it must have, or holds a record that does not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    /// A field that every such message has.
    #[error("message from a member lacks its {0}")]
    Lacks(&'static str),
    /// A record of the log.
    #[error("message from a member: {0}")]
    Record(#[source] io::Error),
}

pub(crate) fn from_log_id(id: LogId) -> peer::LogId {
    peer::LogId { term: id.leader_id.term, index: id.index }
}

pub(crate) fn to_log_id(id: peer::LogId) -> LogId {
    LogId::new_term_index(id.term, id.index)
}

pub(crate) fn from_vote(vote: &Vote) -> peer::VoteRecord {
    peer::VoteRecord {
        term: vote.leader_id.term,
        candidate: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

pub(crate) fn to_vote(vote: Option<peer::VoteRecord>) -> Result<Vote, Malformed> {
    let vote = vote.ok_or(Malformed::Lacks("vote"))?;
    let make = if vote.committed { Vote::new_committed } else { Vote::new };
    Ok(make(vote.term, vote.candidate))
}

pub(crate) fn from_append(request: &AppendEntriesRequest<TypeConfig>) -> peer::AppendRequest {
    let entry = |entry: &LogEntry| peer::Entry {
        id: Some(from_log_id(entry.log_id)),
        record: encode_payload(entry),
    };
    peer::AppendRequest {
        vote: Some(from_vote(&request.vote)),
        previous: request.prev_log_id.map(from_log_id),
        entries: request.entries.iter().map(entry).collect(),
        committed: request.leader_commit.map(from_log_id),
    }
}

pub(crate) fn to_append(
    request: peer::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, Malformed> {
    let entry = |entry: peer::Entry| {
        let id = entry.id.ok_or(Malformed::Lacks("entry's id"))?;
        decode_entry(to_log_id(id), entry.record).map_err(Malformed::Record)
    };
    Ok(AppendEntriesRequest {
        vote: to_vote(request.vote)?,
        prev_log_id: request.previous.map(to_log_id),
        entries: request.entries.into_iter().map(entry).collect::<Result<_, _>>()?,
        leader_commit: request.committed.map(to_log_id),
    })
}

pub(crate) fn from_appended(result: &StreamAppendResult<TypeConfig>) -> peer::AppendAnswer {
    use append_answer::Result::{Conflict, HigherVote, Matched};
    let result = match result {
        Ok(last) => Matched(peer::Matched { last: last.map(from_log_id) }),
        Err(StreamAppendError::Conflict(at)) => Conflict(from_log_id(*at)),
        Err(StreamAppendError::HigherVote(vote)) => HigherVote(from_vote(vote)),
    };
    peer::AppendAnswer { result: Some(result) }
}

pub(crate) fn to_appended(
    answer: peer::AppendAnswer,
) -> Result<StreamAppendResult<TypeConfig>, Malformed> {
    use append_answer::Result::{Conflict, HigherVote, Matched};
    Ok(match answer.result.ok_or(Malformed::Lacks("result"))? {
        Matched(matched) => Ok(matched.last.map(to_log_id)),
        Conflict(at) => Err(StreamAppendError::Conflict(to_log_id(at))),
        HigherVote(vote) => Err(StreamAppendError::HigherVote(to_vote(Some(vote))?)),
    })
}

pub(crate) fn from_vote_request(request: &VoteRequest<TypeConfig>) -> peer::VoteRequest {
    peer::VoteRequest {
        vote: Some(from_vote(&request.vote)),
        last: request.last_log_id.map(from_log_id),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(crate) fn to_vote_request(
    request: &peer::VoteRequest,
) -> Result<VoteRequest<TypeConfig>, Malformed> {
    let mut vote = VoteRequest::new(to_vote(request.vote)?, request.last.map(to_log_id));
    vote.leadership_transfer = request.leadership_transfer;
    Ok(vote)
}

pub(crate) fn from_vote_answer(answer: &VoteResponse<TypeConfig>) -> peer::VoteAnswer {
    peer::VoteAnswer {
        vote: Some(from_vote(&answer.vote)),
        granted: answer.vote_granted,
        last: answer.last_log_id.map(from_log_id),
    }
}

pub(crate) fn to_vote_answer(
    answer: &peer::VoteAnswer,
) -> Result<VoteResponse<TypeConfig>, Malformed> {
    Ok(VoteResponse::new(to_vote(answer.vote)?, answer.last.map(to_log_id), answer.granted))
}

pub(crate) fn from_transfer(request: &TransferLeaderRequest<TypeConfig>) -> peer::TransferRequest {
    peer::TransferRequest {
        from_leader: Some(from_vote(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().copied().map(from_log_id),
    }
}

pub(crate) fn to_transfer(
    request: &peer::TransferRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, Malformed> {
    let last = request.last.map(to_log_id);
    Ok(TransferLeaderRequest::new(to_vote(request.from_leader)?, request.to, last))
}

pub(crate) fn from_transferred(answer: TransferLeaderResponse<TypeConfig>) -> peer::TransferAnswer {
    use transfer_answer::Refusal::{ChangedVote, NotFlushed};
    let refusal = answer.err().map(|error| match error {
        TransferLeaderError::VoteChanged { actual, .. } => ChangedVote(from_vote(&actual)),
        TransferLeaderError::LogNotFlushed { actual, .. } => {
            NotFlushed(peer::Matched { last: actual.map(from_log_id) })
        }
    });
    peer::TransferAnswer { refusal }
}

pub(crate) fn to_transferred(
    answer: &peer::TransferAnswer,
    request: &TransferLeaderRequest<TypeConfig>,
) -> Result<TransferLeaderResponse<TypeConfig>, Malformed> {
    use transfer_answer::Refusal::{ChangedVote, NotFlushed};
    Ok(match answer.refusal {
        None => Ok(()),
        Some(ChangedVote(actual)) => Err(TransferLeaderError::VoteChanged {
            expected: *request.from_leader(),
            actual: to_vote(Some(actual))?,
        }),
        Some(NotFlushed(actual)) => Err(TransferLeaderError::LogNotFlushed {
            expected: request.last_log_id().copied(),
            actual: actual.last.map(to_log_id),
        }),
    })
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;

    use super::*;
    use crate::consensus::types::Proposal;
    use crate::proto::internal::{ProposalBatch, Request};

    const ID: fn(u64) -> LogId = |index| LogId::new_term_index(3, index);

    #[test]
    fn appends_travel_whole() {
        let batch = ProposalBatch { origin: 1, id: 2, requests: vec![Request::default()] };
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(3, 9),
            prev_log_id: Some(ID(4)),
            entries: vec![
                LogEntry { log_id: ID(5), payload: EntryPayload::Blank },
                LogEntry { log_id: ID(6), payload: EntryPayload::Normal(Proposal::new(batch)) },
            ],
            leader_commit: None,
        };
        let back = to_append(from_append(&request)).unwrap();
        assert_eq!(back.to_string(), request.to_string());
        for result in [
            Ok(None),
            Ok(Some(ID(6))),
            Err(StreamAppendError::Conflict(ID(4))),
            Err(StreamAppendError::HigherVote(Vote::new(4, 1))),
        ] {
            assert_eq!(to_appended(from_appended(&result)).unwrap(), result);
        }
        assert!(to_append(peer::AppendRequest::default()).is_err());
        assert!(to_appended(peer::AppendAnswer::default()).is_err());
    }

    #[test]
    fn votes_and_transfers_travel_whole() {
        let mut request = VoteRequest::<TypeConfig>::new(Vote::new(4, 2), Some(ID(1)));
        request.leadership_transfer = true;
        assert_eq!(to_vote_request(&from_vote_request(&request)).unwrap(), request);
        let answer = VoteResponse::<TypeConfig>::new(Vote::new(4, 2), None, true);
        assert_eq!(to_vote_answer(&from_vote_answer(&answer)).unwrap(), answer);
        let vote = Vote::new_committed(4, 2);
        let transfer = TransferLeaderRequest::<TypeConfig>::new(vote, 7, Some(ID(1)));
        assert_eq!(to_transfer(&from_transfer(&transfer)).unwrap(), transfer);
        let changed =
            Err(TransferLeaderError::VoteChanged { expected: vote, actual: Vote::new(5, 1) });
        let behind =
            Err(TransferLeaderError::LogNotFlushed { expected: Some(ID(1)), actual: None });
        for answer in [Ok(()), changed, behind] {
            let back = to_transferred(&from_transferred(answer.clone()), &transfer).unwrap();
            assert_eq!(back, answer);
        }
    }
}
