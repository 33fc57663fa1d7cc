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
    let (machine, reader) = Machine::open(engine, &Options::default(), &registry).unwrap();
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
    let desk = ApplyThread::start(apply, mpsc::channel(16)).unwrap_or_else(|e| panic!("{e}"));
    Office { desk, reader, supervisor, _dir: dir }
}

/// An entry with so many puts: one is quick, many are not.
fn entry(index: u64, puts: usize) -> LogEntry {
    let request = |_| Request { op: Some(put("k", "v")), ..Request::default() };
    let requests = (0..puts).map(request).collect();
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

#[tokio::test]
async fn what_is_quick_is_applied_when_the_call_returns() {
    let office = open();
    for index in 0..10 {
        assert!(office.hand_in(index, 1).await.is_ok());
        assert_eq!(office.reader.revision(), 2 + index.cast_signed());
    }
}

#[tokio::test]
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

#[tokio::test]
async fn a_failure_at_the_desk_ends_applying() {
    let office = open();
    assert!(office.hand_in(0, 1).await.is_ok());
    assert!(office.hand_in(5, 1).await.is_err(), "entries are missing");
    assert!(office.supervisor.failed().await.starts_with("apply"));
    assert!(office.hand_in(1, 1).await.is_err(), "nobody knows what the state holds");
    assert!(!office.answers().await);
    assert_eq!(office.reader.revision(), 2);
}

#[tokio::test]
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
