//! The decoders of what other members say, for hostile bytes.

use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, TransferLeaderError, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use prost::Message;

use super::wire;
use crate::consensus::members::Change;
use crate::consensus::types::{LogEntry, LogId, Proposal, TypeConfig, Vote};
use crate::proto::etcdserverpb::PutRequest;
use crate::proto::internal::request::Op;
use crate::proto::internal::{ProposalBatch, Request};
use crate::proto::peer;
use crate::types::fuzz::Seed;

/// Entries and heartbeats: what reads is said in the same words by whoever passes it on.
pub(crate) fn append(bytes: &[u8]) {
    let Ok(message) = peer::AppendRequest::decode(bytes) else { return };
    if let Ok(request) = wire::to_append(message) {
        let said = wire::from_append(&request);
        let again = wire::to_append(said.clone()).map(|again| wire::from_append(&again));
        assert_eq!(again.ok(), Some(said));
    }
}

/// Everything else members say: what reads is written the same.
pub(crate) fn message(bytes: &[u8]) {
    appended(bytes);
    votes(bytes);
    transfers(bytes);
    requests(bytes);
}

fn appended(bytes: &[u8]) {
    let answer = peer::AppendAnswer::decode(bytes).ok();
    if let Some(result) = answer.and_then(|answer| wire::to_appended(answer).ok()) {
        assert_eq!(wire::to_appended(wire::from_appended(&result)).ok(), Some(result));
    }
}

fn votes(bytes: &[u8]) {
    let request = peer::VoteRequest::decode(bytes).ok();
    if let Some(request) = request.and_then(|request| wire::to_vote_request(&request).ok()) {
        let again = wire::to_vote_request(&wire::from_vote_request(&request));
        assert_eq!(again.ok(), Some(request));
    }
    let answer = peer::VoteAnswer::decode(bytes).ok();
    if let Some(answer) = answer.and_then(|answer| wire::to_vote_answer(&answer).ok()) {
        assert_eq!(wire::to_vote_answer(&wire::from_vote_answer(&answer)).ok(), Some(answer));
    }
}

fn transfers(bytes: &[u8]) {
    let request = peer::TransferRequest::decode(bytes).ok();
    if let Some(request) = request.and_then(|request| wire::to_transfer(&request).ok()) {
        let again = wire::to_transfer(&wire::from_transfer(&request));
        assert_eq!(again.ok(), Some(request));
    }
    let asked = TransferLeaderRequest::<TypeConfig>::new(Vote::new_committed(4, 2), 7, None);
    let answer = peer::TransferAnswer::decode(bytes).ok();
    if let Some(answer) = answer.and_then(|answer| wire::to_transferred(&answer, &asked).ok()) {
        let again = wire::to_transferred(&wire::from_transferred(answer.clone()), &asked);
        assert_eq!(again.ok(), Some(answer));
    }
}

/// What comes for the leader, and pieces of states.
fn requests(bytes: &[u8]) {
    if let Ok(request) = peer::ProposeRequest::decode(bytes) {
        let _ = Proposal::read(request.record);
    }
    if let Ok(request) = peer::ChangeRequest::decode(bytes) {
        let _ = Change::read(request);
    }
    if let Ok(piece) = peer::SnapshotPiece::decode(bytes)
        && let Some(peer::snapshot_piece::Part::Head(head)) = piece.part
    {
        let _ = wire::to_vote(head.vote);
    }
    let _ = peer::SnapshotAnswer::decode(bytes);
    let _ = peer::LeaseAnswer::decode(bytes);
    let _ = peer::AppliedHashAnswer::decode(bytes);
    let _ = peer::KvHashAnswer::decode(bytes);
}

pub(crate) fn seeds() -> Vec<Seed> {
    let id = |index| LogId::new_term_index(3, index);
    let put = PutRequest { key: "key".into(), value: "value".into(), ..Default::default() };
    let request = Request { op: Some(Op::Put(put)), ..Default::default() };
    let proposal = Proposal::new(ProposalBatch { origin: 1, id: 2, requests: vec![request] });
    let record = proposal.record().clone();
    let heartbeat = AppendEntriesRequest::<TypeConfig> {
        vote: Vote::new_committed(3, 9),
        prev_log_id: Some(id(4)),
        entries: Vec::new(),
        leader_commit: Some(id(4)),
    };
    let entries = vec![
        LogEntry { log_id: id(5), payload: EntryPayload::Blank },
        LogEntry { log_id: id(6), payload: EntryPayload::Normal(proposal) },
    ];
    let append = AppendEntriesRequest::<TypeConfig> { entries, ..heartbeat };
    let vote = VoteRequest::<TypeConfig>::new(Vote::new(4, 2), Some(id(6)));
    let voted = VoteResponse::<TypeConfig>::new(Vote::new(4, 2), Some(id(6)), true);
    let transfer = TransferLeaderRequest::<TypeConfig>::new(Vote::new_committed(4, 2), 7, None);
    let behind = TransferLeaderError::LogNotFlushed { expected: None, actual: Some(id(5)) };
    let conflict = wire::from_appended(&Err(StreamAppendError::Conflict(id(5))));
    let head = peer::SnapshotHead { vote: Some(wire::from_vote(&append.vote)), transfer: 5 };
    let head = peer::SnapshotPiece { part: Some(peer::snapshot_piece::Part::Head(head)) };
    let member = peer::NewMember { peer_urls: vec!["http://h:2380".into()], is_learner: true };
    let change = peer::ChangeRequest { change: Some(peer::change_request::Change::Add(member)) };
    let other = |name, bytes| Seed::new("peer_message", name, bytes);
    vec![
        Seed::new("peer_append", "entries", wire::from_append(&append).encode_to_vec()),
        Seed::new("peer_append", "heartbeat", wire::from_append(&heartbeat).encode_to_vec()),
        other("conflict", conflict.encode_to_vec()),
        other("matched", wire::from_appended(&Ok(Some(id(6)))).encode_to_vec()),
        other("vote", wire::from_vote_request(&vote).encode_to_vec()),
        other("voted", wire::from_vote_answer(&voted).encode_to_vec()),
        other("transfer", wire::from_transfer(&transfer).encode_to_vec()),
        other("transferred", wire::from_transferred(Err(behind)).encode_to_vec()),
        other("snapshot_head", head.encode_to_vec()),
        other("change", change.encode_to_vec()),
        other("propose", peer::ProposeRequest { record }.encode_to_vec()),
    ]
}
