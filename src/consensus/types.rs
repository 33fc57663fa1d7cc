//! What openraft is told about us: ids, peers, what an entry carries, and how all of it looks as
//! bytes in the log. Log ids have a fixed form, so that they sort and compare without decoding;
//! memberships are protobuf, so that they can grow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use openraft::type_config::alias::{EntryOf, LogIdOf, StoredMembershipOf, VoteOf};
use openraft::vote::leader_id_std;
use openraft::{EntryPayload, RaftTypeConfig};
use prost::Message;

use super::runtime::Runtime;
use super::ticket::Ticket;
use crate::proto::internal::ProposalBatch;

/// Standard Raft: one leader per term, so a term and an index name an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Proposal;
    type R = ();
    type NodeId = u64;
    type Node = Peer;
    type Term = u64;
    type LeaderId = leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<Proposal, u64, Peer>;
    type Entry = openraft::Entry<leader_id_std::CommittedLeaderId<u64>, Self::Payload>;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = Ticket<T>
    where
        T: Send + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub(crate) type LogId = LogIdOf<TypeConfig>;
pub(crate) type Vote = VoteOf<TypeConfig>;
pub(crate) type LogEntry = EntryOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, Peer>;
pub(crate) type StoredMembership = StoredMembershipOf<TypeConfig>;

/// A member as the log knows it.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Peer {
    /// The member's name; empty until it publishes one.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Where other members reach it.
    #[prost(string, repeated, tag = "2")]
    pub(crate) peer_urls: Vec<String>,
    /// The member whose place it takes once it has caught up; zero for none.
    #[prost(uint64, tag = "3")]
    pub(crate) replaces: u64,
}

/// A batch of client requests: its bytes as they go into the log, and the same decoded. Cloning
/// counts references.
#[derive(Clone)]
pub(crate) struct Proposal {
    /// The whole record, kind byte included, so that the log stores it as it is.
    record: Bytes,
    batch: Arc<ProposalBatch>,
}

impl Proposal {
    /// Encodes `batch`, once for log, replication and caches.
    pub(crate) fn new(batch: ProposalBatch) -> Self {
        let mut record = BytesMut::with_capacity(1 + batch.encoded_len());
        record.put_u8(Kind::Batch as u8);
        batch.encode_raw(&mut record);
        Self { record: record.freeze(), batch: Arc::new(batch) }
    }

    /// A batch from another member, as it goes into the log.
    ///
    /// # Errors
    /// `InvalidData` when the bytes are no such record.
    pub(crate) fn read(record: Bytes) -> io::Result<Self> {
        let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        match record.first() {
            Some(kind) if *kind == Kind::Batch as u8 => {
                let batch = ProposalBatch::decode(record.slice(1..))
                    .map_err(|error| damaged(error.to_string()))?;
                Ok(Self { record, batch: Arc::new(batch) })
            }
            other => Err(damaged(format!("expected a batch of requests, got kind {other:?}"))),
        }
    }

    /// The record as it goes into the log.
    pub(crate) fn record(&self) -> &Bytes {
        &self.record
    }

    /// The decoded batch.
    pub(crate) fn batch(&self) -> &Arc<ProposalBatch> {
        &self.batch
    }

    /// Bytes of the record.
    pub(crate) fn len(&self) -> usize {
        self.record.len()
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for Proposal {
    /// Sizes only: keys and values stay out of logs.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.batch.requests.len();
        write!(out, "batch {:x}/{}: {requests} requests", self.batch.origin, self.batch.id)
    }
}

/// First byte of a record in the log.
#[derive(Clone, Copy)]
enum Kind {
    Blank = 0,
    Batch = 1,
    Membership = 2,
}

/// The bytes the log stores for `entry`, without copying a batch.
pub(crate) fn encode_payload(entry: &LogEntry) -> Bytes {
    match &entry.payload {
        EntryPayload::Blank => Bytes::from_static(&[Kind::Blank as u8]),
        EntryPayload::Normal(proposal) => proposal.record.clone(),
        EntryPayload::Membership(membership) => {
            let record = MembershipRecord::new(Some(entry.log_id), membership);
            let mut bytes = BytesMut::with_capacity(1 + record.encoded_len());
            bytes.put_u8(Kind::Membership as u8);
            record.encode_raw(&mut bytes);
            bytes.freeze()
        }
    }
}

/// The entry behind stored bytes. Keys and values of a batch stay slices of `record`.
///
/// # Errors
/// `InvalidData` naming the entry when the bytes are not such a record.
pub(crate) fn decode_entry(log_id: LogId, record: Bytes) -> io::Result<LogEntry> {
    let damaged = |what: String| {
        io::Error::new(io::ErrorKind::InvalidData, format!("log entry {log_id}: {what}"))
    };
    let body = record.get(1..).map_or_else(Bytes::new, |_| record.slice(1..));
    let payload = match record.first() {
        Some(0) => EntryPayload::Blank,
        Some(1) => EntryPayload::Normal(
            Proposal::read(record).map_err(|error| damaged(error.to_string()))?,
        ),
        Some(2) => {
            let record =
                MembershipRecord::decode(body).map_err(|error| damaged(error.to_string()))?;
            let (_, membership) = record.open().map_err(|error| damaged(error.to_string()))?;
            EntryPayload::Membership(membership)
        }
        other => return Err(damaged(format!("unknown kind of record {other:?}"))),
    };
    Ok(LogEntry { log_id, payload })
}

/// Length of the byte form of a log id.
pub(crate) const LOG_ID_BYTES: usize = 16;

/// Big-endian term, big-endian index.
pub(crate) fn encode_log_id(log_id: LogId) -> Bytes {
    let mut bytes = BytesMut::with_capacity(LOG_ID_BYTES);
    bytes.put_u64(log_id.leader_id.term);
    bytes.put_u64(log_id.index);
    bytes.freeze()
}

/// Reads [`encode_log_id`]'s form.
///
/// # Errors
/// `InvalidData` with the length that was found.
pub(crate) fn decode_log_id(bytes: &[u8]) -> io::Result<LogId> {
    let words: [u8; LOG_ID_BYTES] = bytes.try_into().map_err(|_| {
        let found = bytes.len();
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("stored log id: expected {LOG_ID_BYTES} bytes, got {found}"),
        )
    })?;
    let words = u128::from_be_bytes(words);
    let (term, index) = ((words >> 64) as u64, (words & u128::from(u64::MAX)) as u64);
    Ok(LogId::new_term_index(term, index))
}

/// Big-endian term, big-endian candidate, one byte that says whether a quorum granted it.
pub(crate) fn encode_vote(vote: &Vote) -> Bytes {
    let mut bytes = BytesMut::with_capacity(17);
    bytes.put_u64(vote.leader_id.term);
    bytes.put_u64(vote.leader_id.voted_for);
    bytes.put_u8(u8::from(vote.committed));
    bytes.freeze()
}

/// Reads [`encode_vote`]'s form.
///
/// # Errors
/// `InvalidData` with what was found.
pub(crate) fn decode_vote(bytes: &[u8]) -> io::Result<Vote> {
    let damaged =
        || io::Error::new(io::ErrorKind::InvalidData, format!("stored vote: got {bytes:?}"));
    let (words, committed) = match bytes {
        [words @ .., committed @ (0 | 1)] => (words, *committed == 1),
        _ => return Err(damaged()),
    };
    let id = decode_log_id(words).map_err(|_| damaged())?;
    let (term, candidate) = (id.leader_id.term, id.index);
    Ok(if committed { Vote::new_committed(term, candidate) } else { Vote::new(term, candidate) })
}

/// The bytes the state machine keeps for a membership.
pub(crate) fn encode_membership(membership: &StoredMembership) -> Bytes {
    let record = MembershipRecord::new(*membership.log_id(), membership.membership());
    record.encode_to_vec().into()
}

/// Reads [`encode_membership`]'s form.
///
/// # Errors
/// `InvalidData` when it is not.
pub(crate) fn decode_membership(bytes: Bytes) -> io::Result<StoredMembership> {
    let damaged = |what: String| {
        io::Error::new(io::ErrorKind::InvalidData, format!("stored membership: {what}"))
    };
    let record = MembershipRecord::decode(bytes).map_err(|error| damaged(error.to_string()))?;
    let (log_id, membership) = record.open().map_err(|error| damaged(error.to_string()))?;
    Ok(StoredMembership::new(log_id, membership))
}

#[derive(Clone, PartialEq, Message)]
struct MembershipRecord {
    /// Absent in a membership that no entry made.
    #[prost(message, optional, tag = "1")]
    log_id: Option<LogIdRecord>,
    /// Two configurations while one replaces the other, else one.
    #[prost(message, repeated, tag = "2")]
    configs: Vec<VoterRecord>,
    #[prost(message, repeated, tag = "3")]
    nodes: Vec<NodeRecord>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct LogIdRecord {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    index: u64,
}

#[derive(Clone, PartialEq, Message)]
struct VoterRecord {
    #[prost(uint64, repeated, tag = "1")]
    voters: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeRecord {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, optional, tag = "2")]
    peer: Option<Peer>,
}

impl MembershipRecord {
    fn new(log_id: Option<LogId>, membership: &Membership) -> Self {
        let configs = membership.get_joint_config().iter();
        Self {
            log_id: log_id.map(|id| LogIdRecord { term: id.leader_id.term, index: id.index }),
            configs: configs
                .map(|set| VoterRecord { voters: set.iter().copied().collect() })
                .collect(),
            nodes: membership
                .nodes()
                .map(|(id, peer)| NodeRecord { id: *id, peer: Some(peer.clone()) })
                .collect(),
        }
    }

    fn open(self) -> Result<(Option<LogId>, Membership), openraft::errors::MembershipError<u64>> {
        let log_id = self.log_id.map(|id| LogId::new_term_index(id.term, id.index));
        let configs: Vec<BTreeSet<u64>> =
            self.configs.into_iter().map(|set| set.voters.into_iter().collect()).collect();
        let nodes: BTreeMap<u64, Peer> =
            self.nodes.into_iter().map(|node| (node.id, node.peer.unwrap_or_default())).collect();
        if configs.is_empty() && nodes.is_empty() {
            return Ok((log_id, Membership::default()));
        }
        Ok((log_id, Membership::new(configs, nodes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::internal::Request;

    #[test]
    fn every_kind_of_entry_reads_back() {
        let log_id = LogId::new_term_index(3, 9);
        let batch = ProposalBatch { origin: 7, id: 8, requests: vec![Request::default()] };
        let peer = Peer { name: "n".into(), peer_urls: vec!["http://a:1".into()], replaces: 7 };
        let membership =
            Membership::new(vec![BTreeSet::from([1])], BTreeMap::from([(1, peer)])).unwrap();
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(Proposal::new(batch.clone())),
            EntryPayload::Membership(membership.clone()),
        ];
        for payload in payloads {
            let entry = LogEntry { log_id, payload };
            let back = decode_entry(log_id, encode_payload(&entry)).unwrap();
            match (&entry.payload, &back.payload) {
                (EntryPayload::Blank, EntryPayload::Blank) => {}
                (EntryPayload::Normal(_), EntryPayload::Normal(got)) => {
                    assert_eq!(**got.batch(), batch);
                }
                (EntryPayload::Membership(_), EntryPayload::Membership(got)) => {
                    assert_eq!(*got, membership);
                }
                other => panic!("kind changed: {other:?}"),
            }
        }
        assert!(decode_entry(log_id, Bytes::new()).is_err());
        assert!(decode_entry(log_id, Bytes::from_static(&[9])).is_err());
    }

    #[test]
    fn log_ids_votes_and_memberships_read_back() {
        let log_id = LogId::new_term_index(u64::MAX, 5);
        assert_eq!(decode_log_id(&encode_log_id(log_id)).unwrap(), log_id);
        for vote in [Vote::new(4, 2), Vote::new_committed(4, u64::MAX)] {
            assert_eq!(decode_vote(&encode_vote(&vote)).unwrap(), vote);
        }
        assert!(decode_vote(&[0; 3]).is_err());
        let stored = StoredMembership::default();
        assert_eq!(decode_membership(encode_membership(&stored)).unwrap(), stored);
    }
}
