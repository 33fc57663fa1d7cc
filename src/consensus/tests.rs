//! One member in this process, over a real log and a real store.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::{
    Beginning, ConsensusError, Member, Node, Parts, PeerIdentity, ProposeError, Proposer,
    ReadError, Settings,
};
use crate::proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, PutRequest, RangeRequest,
};
use crate::proto::internal::request::Op;
use crate::state::{ApplyError, Machine, Options, Reader, Response};
use crate::storage::datadir::DataDir;
use crate::storage::engine::{self, Engine};
use crate::storage::wal::{Wal, WalOptions};
use crate::tasks::Supervisor;
use crate::telemetry::metrics::Registry;
use crate::types::clock::Clock;
use crate::types::ids::{ClusterId, MemberId};

const LONG: Duration = Duration::from_secs(20);

/// A running member and what it runs on.
pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) reader: Reader,
    pub(crate) supervisor: Supervisor,
    pub(crate) registry: Registry,
    pub(crate) wal: Wal,
    /// Holds the lock of the directory.
    data: DataDir,
}

impl Running {
    /// Starts the member whose data is in `dir`.
    pub(crate) async fn start(dir: &Path, settings: Settings) -> Self {
        let running = Self::start_unready(dir, settings).await;
        running.node.ready(LONG).await.unwrap();
        running
    }

    async fn start_unready(dir: &Path, settings: Settings) -> Self {
        let (parts, (reader, data)) = Self::parts(dir, settings);
        Self::run(parts, reader, data).await
    }

    async fn run(parts: Parts, reader: Reader, data: DataDir) -> Self {
        let (supervisor, registry) = (parts.supervisor.clone(), parts.registry.clone());
        let wal = parts.wal.clone();
        let node = Node::start(parts).await.unwrap();
        Self { node, reader, supervisor, registry, wal, data }
    }

    fn parts(dir: &Path, settings: Settings) -> (Parts, (Reader, DataDir)) {
        let supervisor = Supervisor::new();
        let registry = Registry::new();
        let options = WalOptions { segment_bytes: 1 << 20, ..WalOptions::default() };
        let mut data = DataDir::open(dir, None).unwrap();
        data.mark_started(b"test").unwrap();
        let (wal, recovered) = Wal::open(&data.wal(), options).unwrap();
        let engine = Engine::open(&data.state(), &engine::Options::default()).unwrap();
        let (machine, reader) = Machine::open(engine, &Options::default(), &registry).unwrap();
        let id = MemberId(0x8e9e_05c5_2164_694d);
        let me = Member {
            id,
            name: "default".into(),
            peer_urls: vec!["http://localhost:2380".into()],
            is_learner: false,
        };
        let identity = PeerIdentity::new(ClusterId(1), id, None, settings.election);
        let beginning = Beginning::Found(vec![me]);
        let parts = Parts {
            identity,
            beginning,
            wal,
            recovered,
            machine,
            reader: reader.clone(),
            settings,
            supervisor,
            registry,
            clock: Clock,
        };
        (parts, (reader, data))
    }

    pub(crate) async fn stop(self) {
        let overrun = self.supervisor.shutdown(LONG).await;
        assert!(overrun.is_empty(), "did not stop: {overrun:?}");
    }

    fn get(&self, key: &'static str) -> Option<Bytes> {
        let request = RangeRequest { key: key.into(), ..Default::default() };
        let response = self.reader.range(&request).unwrap();
        response.kvs.into_iter().next().map(|kv| kv.value)
    }
}

pub(crate) fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Op {
    Op::Put(PutRequest { key: key.into(), value: value.into(), ..Default::default() })
}

async fn put_ok(proposer: &Proposer, key: String) -> i64 {
    let outcome = proposer.propose(put(key, "v")).await.unwrap();
    assert!(matches!(outcome.result, Ok(Response::Put(_))), "{outcome:?}");
    outcome.revision
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_proposed_is_applied_and_read_back() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let outcome = running.node.proposer().propose(put("k", "v")).await.unwrap();
    assert_eq!(outcome.revision, 2);
    running.node.linear().read_index().await.unwrap();
    assert_eq!(running.get("k"), Some("v".into()));
    let status = running.node.status();
    assert_eq!(status.leader, Some(running.node.id()));
    assert!(status.is_leader && !status.is_learner);
    assert_eq!(status.committed, status.applied);
    assert_eq!(running.node.members().len(), 1);
    let text = running.registry.render();
    assert!(text.contains("etcd_server_has_leader 1"), "{text}");
    assert!(text.contains("etcd_server_proposals_pending 0"), "{text}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_an_outcome() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let compaction = CompactionRequest { revision: 99, physical: false };
    let outcome = running.node.proposer().propose(Op::Compaction(compaction)).await.unwrap();
    assert_eq!(outcome.result.unwrap_err(), ApplyError::FutureRevision);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_get_a_revision_each() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let proposer = running.node.proposer();
    let clients = (0..1000).map(|client| put_ok(&proposer, format!("k{client}")));
    let mut revisions = futures::future::join_all(clients).await;
    revisions.sort_unstable();
    assert_eq!(revisions, (2..1002).collect::<Vec<i64>>());
    let entries = running.node.status().applied;
    assert!(entries < 500, "requests were not batched: {entries} entries");
    assert_eq!(proposer.waiting(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_answered_survives_a_stop() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let term = running.node.status().term;
    put_ok(&running.node.proposer(), "stopped".into()).await;
    running.stop().await;

    // Who is alone does not wait for an election timeout, and finds its members in the log.
    let patient = Settings { election: 2 * LONG, ..Settings::default() };
    let (mut parts, (reader, data)) = Running::parts(dir.path(), patient);
    parts.beginning = Beginning::Resume;
    let running = Running::run(parts, reader, data).await;
    running.node.ready(LONG).await.unwrap();
    assert_eq!(running.get("stopped"), Some("v".into()));
    assert!(running.node.status().term > term, "a restart begins a new term");
    let revision = put_ok(&running.node.proposer(), "next".into()).await;
    assert_eq!(revision, 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_alone_brings_back_everything_answered() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let proposer = running.node.proposer();
    let clients = (0..300).map(|client| put_ok(&proposer, format!("k{client}")));
    futures::future::join_all(clients).await;
    // The log as a power cut would leave it: nobody was asked to finish anything, and the state,
    // which is never synced for an answer, is gone.
    let crashed = TempDir::new().unwrap();
    let mut data = DataDir::open(crashed.path(), None).unwrap();
    data.mark_started(b"test").unwrap();
    for file in std::fs::read_dir(running.data.wal()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), data.wal().join(file.file_name())).unwrap();
    }
    drop(data);
    running.stop().await;

    let running = Running::start(crashed.path(), Settings::default()).await;
    assert_eq!(running.reader.revision(), 301);
    assert_eq!(running.get("k0"), Some("v".into()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_ahead_of_its_log_is_refused() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    put_ok(&running.node.proposer(), "k".into()).await;
    let wal = running.data.wal();
    running.stop().await;
    for file in std::fs::read_dir(wal).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let (parts, _others) = Running::parts(dir.path(), Settings::default());
    let error = Node::start(parts).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, ConsensusError::LogBehindState { last: 0, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_go_away_leave_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let proposer = running.node.proposer();
    for round in 0..200 {
        let mut wait = Box::pin(proposer.propose(put(format!("k{round}"), "v")));
        // One poll admits and queues the request; then its client is gone.
        assert!(futures::poll!(&mut wait).is_pending());
    }
    // Requests are answered in order, so this one comes after all of them.
    put_ok(&proposer, "last".into()).await;
    assert_eq!(proposer.waiting(), 0);
    assert_eq!(proposer.batches(), 0);
    assert!(running.registry.render().contains("etcd_server_proposals_pending 0"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_above_the_limit_are_refused_at_etcds_byte() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let proposer = running.node.proposer();
    let value = |bytes: usize| Bytes::from(vec![b'v'; bytes]);
    proposer.propose(put("k", value(1_572_834))).await.unwrap();
    let error = proposer.propose(put("k", value(1_572_859))).await.unwrap_err();
    assert!(matches!(error, ProposeError::TooLarge { limit: 1_572_864, .. }), "{error}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_member_says_so() {
    let dir = TempDir::new().unwrap();
    let running = Running::start(dir.path(), Settings::default()).await;
    let (proposer, linear) = (running.node.proposer(), running.node.linear());
    running.stop().await;
    let error = proposer.propose(put("k", "v")).await.unwrap_err();
    assert_eq!(error, ProposeError::Stopped);
    let alarm = AlarmRequest { alarm: AlarmType::Nospace as i32, ..Default::default() };
    assert_eq!(proposer.propose(Op::Alarm(alarm)).await.unwrap_err(), ProposeError::Stopped);
    // The state is still what it was; whether a read may go ahead then is for the server to stop.
    drop(linear);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_leader_requests_end_in_time_and_ready_says_why() {
    let dir = TempDir::new().unwrap();
    let short = Duration::from_millis(50);
    let settings = Settings {
        heartbeat: short / 5,
        election: short,
        request_timeout: short,
        ..Settings::default()
    };
    let (mut parts, _others) = Running::parts(dir.path(), settings);
    // A founder that nobody can reach: there is no quorum, ever.
    let Beginning::Found(founders) = &mut parts.beginning else { panic!("no founders") };
    let mut absent = founders[0].clone();
    absent.id = MemberId(1);
    // Nobody listens on the port of echoes.
    absent.peer_urls = vec!["http://127.0.0.1:7".into()];
    founders.push(absent);
    let supervisor = parts.supervisor.clone();
    let node = Node::start(parts).await.unwrap();
    let (proposer, linear) = (node.proposer(), node.linear());
    let (put, read) = tokio::join!(proposer.propose(put("k", "v")), linear.read_index());
    assert_eq!(put.unwrap_err(), ProposeError::Deadline);
    assert_eq!(read.unwrap_err(), ReadError::Timeout);
    assert_eq!(proposer.waiting(), 0);
    let error = node.ready(short).await.unwrap_err();
    assert!(matches!(error, ConsensusError::NoLeader(_)), "{error}");
    let (waiting, overrun) =
        tokio::join!(proposer.propose(super::tests::put("k", "v")), supervisor.shutdown(LONG));
    assert!(overrun.is_empty(), "{overrun:?}");
    let error = waiting.unwrap_err();
    assert!(matches!(error, ProposeError::Stopped | ProposeError::Deadline), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_let_the_log_shrink_and_the_member_restart() {
    let dir = TempDir::new().unwrap();
    let settings =
        Settings { snapshot_count: 10, snapshot_catchup_entries: 5, ..Settings::default() };
    let running = Running::start(dir.path(), settings).await;
    let proposer = running.node.proposer();
    for round in 0..100 {
        put_ok(&proposer, format!("k{round}")).await;
    }
    let purged = running.node.purged_at_least(50, LONG).await;
    assert!(purged > 50);
    running.stop().await;

    let running = Running::start(dir.path(), settings).await;
    assert_eq!(running.get("k0"), Some("v".into()));
    assert_eq!(put_ok(&running.node.proposer(), "more".into()).await, 102);
    running.stop().await;
}
