//! A machine to play with, and short ways to say requests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use crate::proto::etcdserverpb::request_op::Request as Inner;
use crate::proto::etcdserverpb::response_op::Response as Answer;
use crate::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, DeleteRangeResponse, LeaseGrantRequest,
    LeaseRevokeRequest, PutRequest, PutResponse, RangeRequest, RequestOp, ResponseOp, TxnRequest,
    TxnResponse,
};
use crate::proto::internal::request::Op;
use crate::proto::internal::{ProposalBatch, Request};
use crate::proto::mvccpb::KeyValue;
use crate::state::{
    ApplyError, Entry, Intake, Machine, Options, Outcome, Payload, Reader, Response, StateError,
    Upkeep,
};
use crate::storage::datadir::DataDir;
use crate::storage::engine::{self, Engine};
use crate::telemetry::metrics::Registry;
use crate::types::ids::MemberId;

pub(super) struct Store {
    pub(super) machine: Machine,
    pub(super) reader: Reader,
    pub(super) options: Options,
    registry: Registry,
    pub(super) index: u64,
    /// The whole data directory, for a member that can receive.
    data: Option<DataDir>,
    dir: TempDir,
}

impl Store {
    pub(super) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(super) fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let (machine, reader) = open(&dir.path().join("state"), &options, &registry);
        Self { machine, reader, options, registry, index: 0, data: None, dir }
    }

    /// One in a data directory of its own, which can receive the state of another.
    pub(super) fn member() -> Self {
        Self::in_data_dir(tempfile::tempdir().unwrap(), 0)
    }

    fn in_data_dir(dir: TempDir, index: u64) -> Self {
        let mut data = DataDir::open(dir.path(), None).unwrap();
        data.mark_started(b"member").unwrap();
        let generations = data.generations();
        let options = Options {
            checkpoint: Some(generations.checkpoint()),
            intake: Some(Intake { generations, engine: engine::Options::default() }),
            ..Options::default()
        };
        let registry = Registry::new();
        let (machine, reader) = open(&data.state(), &options, &registry);
        Self { machine, reader, options, registry, index, data: Some(data), dir }
    }

    /// The folder of the valid state of a member.
    pub(super) fn folder(&self) -> PathBuf {
        self.data.as_ref().unwrap().state()
    }

    /// As after a crash of the process: nothing is said goodbye to.
    pub(super) fn reopen(self) -> Self {
        let Self { machine, reader, options, registry, index, data, dir } = self;
        drop((machine, reader));
        if data.is_some() {
            drop((options, data));
            return Self::in_data_dir(dir, index);
        }
        let (machine, reader) = open(&dir.path().join("state"), &options, &registry);
        Self { machine, reader, options, registry, index, data, dir }
    }

    /// As after a crash, and after something else happened to what is stored.
    pub(super) fn changed(self, change: impl FnOnce(&Engine)) -> Result<(), StateError> {
        let Self { machine, reader, options, dir, .. } = self;
        drop((machine, reader));
        let engine = Engine::open(&dir.path().join("state"), &engine::Options::default()).unwrap();
        change(&engine);
        Machine::open(engine, &options, &Registry::new()).map(drop)
    }

    /// As after an orderly stop.
    pub(super) fn restart(self) -> Self {
        let Self { machine, reader, options, registry, index, data, dir } = self;
        drop(reader);
        machine.close().unwrap();
        if data.is_some() {
            drop((options, data));
            return Self::in_data_dir(dir, index);
        }
        let (machine, reader) = open(&dir.path().join("state"), &options, &registry);
        Self { machine, reader, options, registry, index, data, dir }
    }

    pub(super) fn batch(&mut self, ops: Vec<Op>) -> Vec<Outcome> {
        self.index += 1;
        let entry = entry(self.index, ops);
        self.machine.apply(vec![entry]).unwrap().pop().unwrap().unwrap()
    }

    /// Applies an entry that is no batch.
    pub(super) fn entry(&mut self, payload: Payload) {
        self.index += 1;
        let entry = Entry { log_id: log_id(self.index), index: self.index, payload };
        self.machine.apply(vec![entry]).unwrap();
    }

    /// Applies a configuration of these members.
    pub(super) fn configure(&mut self, members: &[u64]) {
        let record = Bytes::from(format!("{members:?}"));
        let members = members.iter().map(|id| MemberId(*id)).collect();
        self.entry(Payload::Membership { record, members });
    }

    pub(super) fn run(&mut self, op: Op) -> Outcome {
        self.batch(vec![op]).pop().unwrap()
    }

    pub(super) fn try_put(&mut self, put: PutRequest) -> Result<(i64, PutResponse), ApplyError> {
        let outcome = self.run(Op::Put(put));
        match outcome.result? {
            Response::Put(answer) => Ok((outcome.revision, answer)),
            other => panic!("a put was answered with {other:?}"),
        }
    }

    /// Puts and gives the revision.
    pub(super) fn put(&mut self, key: &str, value: &str) -> i64 {
        self.try_put(put(key, value)).unwrap().0
    }

    pub(super) fn delete(&mut self, key: &str, end: &str) -> (i64, DeleteRangeResponse) {
        let outcome = self.run(Op::DeleteRange(delete(key, end)));
        match outcome.result.unwrap() {
            Response::DeleteRange(answer) => (outcome.revision, answer),
            other => panic!("a deletion was answered with {other:?}"),
        }
    }

    pub(super) fn try_txn(&mut self, txn: TxnRequest) -> Result<(i64, TxnResponse), ApplyError> {
        let outcome = self.run(Op::Txn(txn));
        match outcome.result? {
            Response::Txn(answer) => Ok((outcome.revision, answer)),
            other => panic!("a transaction was answered with {other:?}"),
        }
    }

    pub(super) fn txn(&mut self, txn: TxnRequest) -> (i64, TxnResponse) {
        self.try_txn(txn).unwrap()
    }

    pub(super) fn grant(&mut self, id: i64) {
        let grant = LeaseGrantRequest { id, ttl: 100 };
        self.run(Op::LeaseGrant(grant)).result.unwrap();
    }

    pub(super) fn revoke(&mut self, id: i64) -> (i64, Result<Response, ApplyError>) {
        let outcome = self.run(Op::LeaseRevoke(LeaseRevokeRequest { id }));
        (outcome.revision, outcome.result)
    }

    /// Accepts a compaction without carrying it out.
    pub(super) fn accept_compaction(&mut self, revision: i64) -> Result<Response, ApplyError> {
        self.run(Op::Compaction(CompactionRequest { revision, physical: false })).result
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Records that compactions have deleted so far.
    pub(super) fn deleted(&self) -> u64 {
        self.registry.counter("etcd_debugging_mvcc_db_compaction_keys_total", "").get()
    }

    /// Compacts to the end.
    pub(super) fn compact(&mut self, revision: i64) {
        self.accept_compaction(revision).unwrap();
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        while self.machine.maintain().unwrap() == Upkeep::More {}
    }

    pub(super) fn get(&self, key: &str) -> Option<KeyValue> {
        self.reader.range(&get(key)).unwrap().kvs.pop()
    }

    /// Everything that can be seen of the newest revision.
    pub(super) fn contents(&self) -> Vec<KeyValue> {
        self.reader.range(&all()).unwrap().kvs
    }
}

fn open(dir: &Path, options: &Options, registry: &Registry) -> (Machine, Reader) {
    let engine = Engine::open(dir, &engine::Options::default()).unwrap();
    Machine::open(engine, options, registry).unwrap()
}

pub(super) fn entry(index: u64, ops: Vec<Op>) -> Entry {
    let requests = ops.into_iter().map(|op| Request { op: Some(op), ..Default::default() });
    let batch = ProposalBatch { origin: 1, id: index, requests: requests.collect() };
    Entry { log_id: log_id(index), index, payload: Payload::Batch(Arc::new(batch)) }
}

pub(super) fn log_id(index: u64) -> Bytes {
    Bytes::from(format!("id of {index}"))
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(super) fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: bytes(key), value: bytes(value), ..Default::default() }
}

pub(super) fn delete(key: &str, end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { key: bytes(key), range_end: bytes(end), ..Default::default() }
}

pub(super) fn get(key: &str) -> RangeRequest {
    RangeRequest { key: bytes(key), ..Default::default() }
}

pub(super) fn range(key: &str, end: &str) -> RangeRequest {
    RangeRequest { key: bytes(key), range_end: bytes(end), ..Default::default() }
}

pub(super) fn all() -> RangeRequest {
    range("\0", "\0")
}

pub(super) fn op_put(put: PutRequest) -> RequestOp {
    RequestOp { request: Some(Inner::RequestPut(put)) }
}

pub(super) fn op_delete(delete: DeleteRangeRequest) -> RequestOp {
    RequestOp { request: Some(Inner::RequestDeleteRange(delete)) }
}

pub(super) fn op_range(range: RangeRequest) -> RequestOp {
    RequestOp { request: Some(Inner::RequestRange(range)) }
}

pub(super) fn op_txn(txn: TxnRequest) -> RequestOp {
    RequestOp { request: Some(Inner::RequestTxn(txn)) }
}

pub(super) fn then(ops: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { success: ops, ..Default::default() }
}

/// The revision in the header of an inner answer, `None` without a header.
pub(super) fn inner_revision(op: &ResponseOp) -> Option<i64> {
    let header = match op.response.as_ref().unwrap() {
        Answer::ResponseRange(answer) => answer.header,
        Answer::ResponsePut(answer) => answer.header,
        Answer::ResponseDeleteRange(answer) => answer.header,
        Answer::ResponseTxn(answer) => answer.header,
    };
    header.map(|header| header.revision)
}

/// Keys and values as text.
pub(super) fn pairs(kvs: &[KeyValue]) -> Vec<(String, String)> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    kvs.iter().map(|kv| (text(&kv.key), text(&kv.value))).collect()
}

/// Keys as one text.
pub(super) fn keys(kvs: &[KeyValue]) -> String {
    pairs(kvs).into_iter().map(|(key, _)| key).collect::<Vec<_>>().join(" ")
}
