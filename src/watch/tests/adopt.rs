//! The hub over a real state machine that takes over the state of another member.

use bytes::Bytes;
use tempfile::TempDir;

use super::{event, events, next, on, revision};
use crate::proto::etcdserverpb::{CompactionRequest, PutRequest, WatchResponse};
use crate::proto::internal::request::Op;
use crate::proto::internal::{ProposalBatch, Request};
use crate::state::{Entry, Intake, Machine, Options, Payload, Reader, Receiver, Upkeep};
use crate::storage::datadir::DataDir;
use crate::storage::engine::{self, Engine};
use crate::tasks::Supervisor;
use crate::telemetry::metrics::Registry;
use crate::watch::{Hub, StreamOptions, WatchStream};

/// A member without a log: its entries are given to it.
struct Member {
    machine: Machine,
    reader: Reader,
    index: u64,
    hub: Hub,
    _data: DataDir,
    _dir: TempDir,
}

impl Member {
    fn start(recent_bytes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut data = DataDir::open(dir.path(), None).unwrap();
        data.mark_started(b"member").unwrap();
        let intake = Intake { generations: data.generations(), engine: engine::Options::default() };
        let options = Options { recent_bytes, intake: Some(intake), ..Options::default() };
        let engine = Engine::open(&data.state(), &engine::Options::default()).unwrap();
        let registry = Registry::new();
        let (machine, reader) = Machine::open(engine, &options, &registry).unwrap();
        let hub = Hub::start(reader.clone(), &Supervisor::new(), &registry);
        Self { machine, reader, index: 0, hub, _data: data, _dir: dir }
    }

    fn apply(&mut self, op: Op) {
        self.index += 1;
        let request = Request { op: Some(op), ..Request::default() };
        let batch = ProposalBatch { requests: vec![request], ..ProposalBatch::default() };
        let log_id = Bytes::from(self.index.to_string());
        let payload = Payload::Batch(std::sync::Arc::new(batch));
        self.machine.apply(vec![Entry { log_id, index: self.index, payload }]).unwrap();
    }

    /// Writes a key named after its revision, up to this revision.
    fn write_to(&mut self, revision: i64) {
        for revision in self.reader.revision() + 1..=revision {
            let key = Bytes::from(format!("k{revision}"));
            self.apply(Op::Put(PutRequest { key, ..PutRequest::default() }));
        }
    }

    fn compact(&mut self, revision: i64) {
        self.apply(Op::Compaction(CompactionRequest { revision, physical: false }));
        while self.machine.maintain().unwrap() == Upkeep::More {}
    }

    fn adopt(&mut self, other: &Self) {
        let mut receiver = Receiver::create(&self.machine.intake().unwrap()).unwrap();
        for piece in other.machine.image().unwrap().pieces(0) {
            receiver.take(piece.unwrap()).unwrap();
        }
        self.machine.adopt(receiver.finish().unwrap()).unwrap();
        self.index = other.index;
    }

    async fn watch(&self, start_revision: i64) -> WatchStream {
        let options = StreamOptions {
            fragment_bytes: 2 << 20,
            progress_interval: std::time::Duration::from_secs(600),
        };
        let mut stream = self.hub.stream(options);
        stream.create(&on("k", "l", start_revision));
        assert!(next(&mut stream).await.created);
        stream
    }
}

/// Reads until the event of this revision has come, and checks that each comes once and in order.
/// Returns the revision that must come next.
async fn follow(stream: &mut WatchStream, from: i64, to: i64) -> i64 {
    let mut expected = from;
    while expected <= to {
        let response = next(stream).await;
        assert!(!response.canceled, "{response:?}");
        for seen in events(&response) {
            assert_eq!(seen, event(&format!("k{expected}"), expected));
            expected += 1;
        }
    }
    expected
}

fn ended_at(response: &WatchResponse) -> i64 {
    assert!(response.canceled, "{response:?}");
    response.compact_revision
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_lose_nothing_and_hear_nothing_twice_when_the_state_is_taken_over() {
    // With memory for all events, and with none.
    for recent_bytes in [1 << 20, 0] {
        let (mut member, mut other) = (Member::start(recent_bytes), Member::start(1 << 20));
        member.write_to(10);
        other.write_to(100);
        let mut live = member.watch(0).await;
        let mut past = member.watch(2).await;
        let mut future = member.watch(60).await;
        let mut far = member.watch(150).await;
        follow(&mut past, 2, 10).await;
        member.write_to(15);
        member.adopt(&other);
        let mut late = member.watch(0).await;
        member.write_to(120);
        follow(&mut live, 11, 120).await;
        follow(&mut past, 11, 120).await;
        follow(&mut future, 60, 120).await;
        follow(&mut late, 101, 120).await;
        // Once more, further than any of them, with writes right before and after.
        other.write_to(300);
        member.adopt(&other);
        member.write_to(310);
        for stream in [&mut live, &mut past, &mut future, &mut late] {
            follow(stream, 121, 310).await;
        }
        follow(&mut far, 150, 310).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_whose_revisions_are_gone_are_told_so() {
    let (mut member, mut other) = (Member::start(1 << 20), Member::start(1 << 20));
    member.write_to(10);
    other.write_to(100);
    other.compact(50);
    let mut live = member.watch(0).await;
    let mut future = member.watch(50).await;
    member.adopt(&other);
    assert_eq!(ended_at(&next(&mut live).await), 50);
    follow(&mut future, 50, 100).await;
    let mut fresh = member.watch(0).await;
    member.write_to(101);
    let response = next(&mut fresh).await;
    assert_eq!((events(&response), revision(&response)), (vec![event("k101", 101)], 101));
}

/// Writes and states taken over while a slow reader is in the middle of catching up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catching_up_goes_on_across_states() {
    let (mut member, mut other) = (Member::start(0), Member::start(0));
    member.write_to(3_000);
    let mut streams = Vec::new();
    for start in [2, 500, 2_900] {
        streams.push((start, member.watch(start).await));
    }
    for round in 1..=5 {
        let to = 3_000 + round * 400;
        other.write_to(to);
        member.write_to(to - 200);
        member.adopt(&other);
        for (from, stream) in &mut streams {
            *from = follow(stream, *from, *from + 300).await;
        }
    }
    for (from, mut stream) in streams {
        follow(&mut stream, from, 5_000).await;
    }
}
