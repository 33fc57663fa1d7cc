//! What is handed in at the desk, with a machine on a disk.

use std::time::Duration;

use openraft::EntryPayload;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::consensus::metrics::Metrics;
use crate::consensus::peers::Removal;
use crate::consensus::proposer::{ProposeLimits, Shared};
use crate::consensus::tests::put;
use crate::consensus::types::{LogId, Proposal};
use crate::proto::internal::request::Op;
use crate::proto::internal::{ProposalBatch, Request};
use crate::state::{Machine, Options, Reader};
use crate::storage::engine::{self, Engine};
use crate::telemetry::metrics::Registry;
use crate::types::clock::Clock;
use crate::types::ids::MemberId;

const SECOND: Duration = Duration::from_secs(1);

struct Office {
    desk: Desk,
    reader: Reader,
    supervisor: Supervisor,
    _dir: TempDir,
}

fn open() -> Office {
    let dir = TempDir::new().unwrap();
    let (registry, supervisor) = (Registry::new(), Supervisor::new());
    let engine = Engine::open(&dir.path().join("state"), &engine::Options::default()).unwrap();
    let (mut machine, reader) = Machine::open(engine, &Options::default(), &registry).unwrap();
    machine.maintain().unwrap();
    let limits = ProposeLimits { request_bytes: 1 << 20, base_timeout: SECOND, election: SECOND };
    let apply = Apply {
        machine,
        shared: Arc::new(Shared::new(0, Metrics::new(&registry), limits, Clock)),
        id: MemberId(1),
        reader: reader.clone(),
        removal: Removal::new(),
        slow: SECOND,
        supervisor: supervisor.clone(),
    };
    let desk = ApplyThread::start(apply).unwrap_or_else(|e| panic!("{e}"));
    Office { desk, reader, supervisor, _dir: dir }
}

/// An entry with so many puts: one is quick, many are not.
fn entry(index: u64, puts: usize) -> LogEntry {
    entry_of(index, vec![put("k", "v"); puts])
}

fn entry_of(index: u64, ops: Vec<Op>) -> LogEntry {
    let requests = ops.into_iter().map(|op| Request { op: Some(op), ..Request::default() });
    let requests = requests.collect();
    let batch = ProposalBatch { origin: 1, id: index, requests };
    let payload = EntryPayload::Normal(Proposal::new(batch));
    LogEntry { log_id: LogId::new_term_index(1, index), payload }
}

impl Office {
    async fn hand_in(&self, index: u64, puts: usize) -> Result<(), Ended> {
        self.desk.apply(vec![entry(index, puts)]).await
    }

    /// Whether the thread comes to answer.
    async fn answers(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.desk.work().send(Work::Answer(reply)).await.is_ok() && answer.await.is_ok()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_quick_is_applied_when_the_call_returns() {
    let office = open();
    let mut at_once = 0;
    for index in 0..20 {
        assert!(office.hand_in(index, 1).await.is_ok());
        at_once += u32::from(office.reader.revision() == 2 + index.cast_signed());
    }
    // Once a second the thread has something to measure.
    assert!(at_once > 0);
    assert!(office.answers().await);
    assert_eq!(office.reader.revision(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_entries_several_and_empty_ones_are_not_quick() {
    let office = open();
    let mut apply = office.desk.common.apply.lock();
    let apply = apply.as_mut().unwrap();
    let mut is_quick = |entries: &[LogEntry]| {
        apply.maintain().unwrap();
        apply.is_quick(entries)
    };
    assert!(is_quick(&[entry(0, 1)]));
    assert!(!is_quick(&[entry(0, 1), entry(1, 1)]));
    assert!(!is_quick(&[]));
    let log_id = LogId::new_term_index(1, 0);
    assert!(!is_quick(&[LogEntry { log_id, payload: EntryPayload::Blank }]));
    assert!(!is_quick(&[entry_of(0, vec![put("k", "v".repeat(17 << 10))])]));
    assert!(!is_quick(&[entry_of(0, vec![put("k".repeat(17 << 10), "v")])]));
}

#[tokio::test]
async fn with_one_worker_the_thread_applies() {
    let office = open();
    assert!(!office.desk.may_apply);
    assert!(office.hand_in(0, 1).await.is_ok());
    assert!(office.answers().await);
    assert_eq!(office.reader.revision(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_is_kept_between_desk_and_thread() {
    let office = open();
    let mut puts = 0;
    for index in 0..400 {
        let many = if index % 3 == 0 { 20 } else { 1 };
        assert!(office.hand_in(index, many).await.is_ok(), "entry {index}");
        puts += many;
    }
    assert!(office.answers().await);
    assert_eq!(usize::try_from(office.reader.revision()).unwrap(), 1 + puts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_at_the_desk_ends_applying() {
    let office = open();
    assert!(office.hand_in(0, 1).await.is_ok());
    assert!(office.hand_in(5, 1).await.is_err(), "entries are missing");
    assert!(office.supervisor.failed().await.starts_with("apply"));
    assert!(office.hand_in(1, 1).await.is_err(), "nobody knows what the state holds");
    assert!(!office.answers().await);
    assert_eq!(office.reader.revision(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_on_the_thread_ends_the_desk() {
    let office = open();
    assert!(office.hand_in(5, 20).await.is_ok(), "the first may have any number");
    assert!(office.hand_in(9, 20).await.is_ok(), "it is only handed in");
    assert!(office.supervisor.failed().await.starts_with("apply"));
    while office.hand_in(6, 1).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!office.answers().await);
}
