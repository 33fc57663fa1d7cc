//! The decoders of log entries and of members' messages for hostile bytes.

use bytes::Bytes;
use openraft::EntryPayload;

use super::peers;
use super::types::{
    LogEntry, LogId, Proposal, StoredMembership, Vote, decode_entry, decode_log_id,
    decode_membership, decode_vote, encode_log_id, encode_membership, encode_payload, encode_vote,
};
use crate::proto::etcdserverpb::PutRequest;
use crate::proto::internal::request::Op;
use crate::proto::internal::{ProposalBatch, Request};
use crate::types::fuzz::Seed;

pub(crate) use super::peers::fuzz::{append, message};

/// An entry, an id, a vote and a membership; what reads as one of the short forms is written the same.
pub(crate) fn entry(bytes: &[u8]) {
    let _ = decode_entry(LogId::new_term_index(1, 1), Bytes::copy_from_slice(bytes));
    if let Ok(id) = decode_log_id(bytes) {
        assert_eq!(encode_log_id(id), bytes);
    }
    if let Ok(vote) = decode_vote(bytes) {
        assert_eq!(encode_vote(&vote), bytes);
    }
    let _ = decode_membership(Bytes::copy_from_slice(bytes));
}

pub(crate) fn seeds() -> Vec<Seed> {
    let log_id = LogId::new_term_index(3, 9);
    let put = PutRequest { key: "key".into(), value: "value".into(), ..Default::default() };
    let request = Request { op: Some(Op::Put(put)), ..Default::default() };
    let batch = ProposalBatch { origin: 1, id: 2, requests: vec![request] };
    let payload = EntryPayload::Normal(Proposal::new(batch));
    let entry = encode_payload(&LogEntry { log_id, payload });
    let membership = encode_membership(&StoredMembership::default());
    let seed = |name, bytes: Bytes| Seed::new("log_entry", name, bytes.to_vec());
    let mut seeds = vec![
        seed("put", entry),
        seed("id", encode_log_id(log_id)),
        seed("vote", encode_vote(&Vote::new_committed(4, 1))),
        seed("membership", membership),
    ];
    seeds.extend(peers::fuzz::seeds());
    seeds
}
