//! What a sequence is made of, and how one is kept in a file.

use etcd::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, PutRequest, RangeRequest, TxnRequest, WatchCreateRequest,
};
use prost::Message;

use super::revisions;

/// Steps that follow from a seed, or were read from a file. The seed also decides the servers' flags.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sequence {
    pub(super) seed: u64,
    pub(super) steps: Vec<Step>,
}

/// One step. Revisions in it may be relative, see [`super::revisions`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct Step {
    #[prost(
        oneof = "Action",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21"
    )]
    pub(super) action: Option<Action>,
}

/// What a step does.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Action {
    #[prost(message, tag = "1")]
    Range(RangeRequest),
    #[prost(message, tag = "2")]
    Put(PutRequest),
    #[prost(message, tag = "3")]
    Delete(DeleteRangeRequest),
    #[prost(message, tag = "4")]
    Txn(TxnRequest),
    #[prost(message, tag = "5")]
    Compact(CompactionRequest),
    #[prost(message, tag = "6")]
    Hash(HashKvRequest),
    #[prost(message, tag = "7")]
    Grant(LeaseGrantRequest),
    /// A grant whose lease is revoked at once: the lifetime, or the id the server chose, would make
    /// what follows depend on time or chance.
    #[prost(message, tag = "8")]
    Brief(LeaseGrantRequest),
    #[prost(message, tag = "9")]
    Revoke(LeaseRevokeRequest),
    #[prost(message, tag = "10")]
    KeepAlive(Ids),
    #[prost(message, tag = "11")]
    TimeToLive(LeaseTimeToLiveRequest),
    #[prost(message, tag = "12")]
    Leases(()),
    #[prost(message, tag = "13")]
    Lapse(Lapse),
    #[prost(message, tag = "14")]
    Watch(Watch),
    #[prost(message, tag = "15")]
    Cancel(Watcher),
    /// Asks a stream without watchers for progress, which is never answered.
    #[prost(uint32, tag = "16")]
    IdleProgress(u32),
    #[prost(uint32, tag = "17")]
    Close(u32),
    /// Waits until every watcher has had all there is.
    #[prost(message, tag = "18")]
    Settle(()),
    #[prost(message, tag = "19")]
    Restart(Restart),
    #[prost(message, tag = "20")]
    Defragment(()),
    /// Takes nothing from a stream until something is asked of it, so that its watchers fall behind.
    #[prost(uint32, tag = "21")]
    Pause(u32),
}

/// Lease ids, renewed in this order on one stream.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Ids {
    #[prost(int64, repeated, tag = "1")]
    pub(super) ids: Vec<i64>,
}

/// A lease that is granted, gets keys, and runs out while nothing else is written.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Lapse {
    #[prost(message, optional, tag = "1")]
    pub(super) grant: Option<LeaseGrantRequest>,
    #[prost(message, repeated, tag = "2")]
    pub(super) puts: Vec<PutRequest>,
    #[prost(bool, tag = "3")]
    pub(super) renew: bool,
    /// The server is started again before the lease runs out.
    #[prost(message, optional, tag = "4")]
    pub(super) restart: Option<Restart>,
}

/// A watcher to create, on which of the client's streams.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Watch {
    #[prost(uint32, tag = "1")]
    pub(super) stream: u32,
    #[prost(message, optional, tag = "2")]
    pub(super) create: Option<WatchCreateRequest>,
}

/// A watcher to cancel.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Watcher {
    #[prost(uint32, tag = "1")]
    pub(super) stream: u32,
    #[prost(int64, tag = "2")]
    pub(super) id: i64,
}

/// How the server goes down before it starts again on its data.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Restart {
    /// By SIGKILL; otherwise by SIGTERM.
    #[prost(bool, tag = "1")]
    pub(super) kill: bool,
}

impl Step {
    pub(super) fn new(action: Action) -> Self {
        Self { action: Some(action) }
    }
}

/// Longest piece of a step shown to the reader of a file or a report.
const SHOWN: usize = 400;

/// A step for people to read.
pub(super) fn show(step: &Step) -> String {
    let text = step.action.as_ref().map_or_else(String::new, |action| format!("{action:?}"));
    text.split_inclusive(|c: char| !c.is_ascii_digit())
        .map(show_number)
        .collect::<String>()
        .chars()
        .take(SHOWN)
        .collect()
}

/// A number with what follows it, as words if it is a relative revision.
fn show_number(text: &str) -> String {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let words = digits.parse().ok().and_then(revisions::words);
    words.map_or_else(|| text.to_owned(), |words| words + &text[digits.len()..])
}

impl Sequence {
    /// The sequence as text: the seed, then a line for every step, in hexadecimal and for people.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("seed {}\n", self.seed);
        for step in &self.steps {
            let bytes = step.encode_to_vec();
            text.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
            text.push_str(&format!(" # {}\n", show(step).replace('\n', " ")));
        }
        text
    }

    /// Reads what [`Self::to_text`] wrote; the error names the line.
    pub(super) fn from_text(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let seed = lines.next().and_then(|line| line.strip_prefix("seed ")?.parse().ok());
        let seed = seed.ok_or("line 1: expected `seed NUMBER`")?;
        let steps = lines
            .enumerate()
            .map(|(place, line)| {
                let hex = line.split(" #").next().unwrap_or_default().trim();
                let step = unhex(hex).and_then(|bytes| Step::decode(bytes.as_slice()).ok());
                step.ok_or(format!("line {}: expected a step in hexadecimal", place + 2))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { seed, steps })
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}
