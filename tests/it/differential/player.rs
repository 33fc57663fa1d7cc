//! Plays the steps of a sequence on one server and writes down what it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use etcd::proto::etcdserverpb::{
    CompactionRequest, DefragmentRequest, HashKvRequest, PutRequest, RangeRequest, TxnRequest,
};
use etcd::types::clock::Clock;
use tonic::{Response, Status};

use super::answers::{self, Answer};
use super::excluded::{self, CachedHashes};
use super::revisions::Revisions;
use super::step::{Action, Restart, Sequence, Step};
use super::stream::Stream;
use crate::support::server::{Kind, Server};
use crate::support::session::Session;

/// How long anything may take before the server counts as stuck.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Why a player stopped before the end.
#[derive(Debug)]
pub(super) enum Halt {
    /// The machine was too slow for a step that depends on time: nothing can be said.
    Void(String),
    /// Something did not come, or the connection is gone.
    Stuck(String),
}

/// A line of the record, with the step it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) step: usize,
    pub(super) text: String,
}

/// What came of playing a sequence.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) lines: Vec<Line>,
    /// What no server may do.
    pub(super) faults: Vec<String>,
    /// Lines that are events of watchers.
    pub(super) events: usize,
    /// Comparisons left out on purpose.
    pub(super) left_out: usize,
    pub(super) halt: Option<Halt>,
}

/// A server and one client of it.
pub(super) struct Player {
    server: Server,
    pub(super) session: Session,
    pub(super) revisions: Revisions,
    pub(super) clock: Clock,
    pub(super) streams: BTreeMap<u32, Stream>,
    hashes: CachedHashes,
    /// Revisions of transactions that may have deleted a key and written it anew.
    recreating: BTreeSet<i64>,
    /// What was refused might be done when the log is played again.
    doubtful: bool,
    step: usize,
    pub(super) played: Played,
}

/// Flags that differ from seed to seed: how often state is persisted, whether the disk is waited for.
fn flags(seed: u64) -> Vec<&'static str> {
    let mut flags = vec![
        // Leases may then live for one second instead of two.
        "--heartbeat-interval=20",
        "--election-timeout=200",
        "--experimental-watch-progress-notify-interval=150ms",
    ];
    flags.push(
        ["--snapshot-count=100000", "--snapshot-count=20"][usize::from(seed.is_multiple_of(2))],
    );
    if !seed.is_multiple_of(4) {
        flags.push("--unsafe-no-fsync");
    }
    flags
}

/// Plays a sequence on a fresh server of this kind.
pub(super) async fn play(kind: &Kind, sequence: &Sequence) -> Played {
    let flags = flags(sequence.seed);
    let server = tokio::task::block_in_place(|| Server::start_with(kind, "http", &flags));
    let session = Session::connect(&server.url()).await;
    let mut player = Player {
        server,
        session,
        revisions: Revisions { newest: 1, compacted: -1 },
        clock: Clock,
        streams: BTreeMap::new(),
        hashes: CachedHashes::default(),
        recreating: BTreeSet::new(),
        doubtful: false,
        step: 0,
        played: Played::default(),
    };
    if let Err(halt) = player.play_all(&sequence.steps).await {
        if let Halt::Stuck(why) = &halt {
            player.note(format!("stuck: {why}"));
        }
        player.played.halt = Some(halt);
    }
    player.drop_streams();
    player.played
}

impl Player {
    async fn play_all(&mut self, steps: &[Step]) -> Result<(), Halt> {
        for (number, step) in steps.iter().enumerate() {
            self.step = number;
            if let Some(action) = step.action.clone() {
                self.act(action).await?;
            }
        }
        self.step = steps.len();
        self.finish().await
    }

    async fn act(&mut self, action: Action) -> Result<(), Halt> {
        match action {
            Action::Range(request) => self.range(request).await,
            Action::Put(request) => self.put(request).await,
            Action::Delete(request) => {
                let answer = self.session.kv.delete_range(request).await;
                self.keep(answer);
            }
            Action::Txn(request) => self.txn(request).await,
            Action::Compact(request) => self.compact(request).await?,
            Action::Hash(request) => self.hash(request).await,
            Action::Defragment(()) => self.defragment().await,
            Action::Restart(how) => self.restart(&how).await?,
            Action::Grant(_)
            | Action::Brief(_)
            | Action::Revoke(_)
            | Action::KeepAlive(_)
            | Action::TimeToLive(_)
            | Action::Leases(())
            | Action::Lapse(_) => self.act_on_lease(action).await?,
            Action::Watch(_)
            | Action::Cancel(_)
            | Action::IdleProgress(_)
            | Action::Close(_)
            | Action::Settle(())
            | Action::Pause(_) => self.act_on_watch(action).await?,
        }
        Ok(())
    }

    /// Writes a line.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.played.lines.push(Line { step: self.step, text: text.into() });
    }

    /// Writes an answer down and learns the newest revision from it.
    pub(super) fn keep<T: Answer>(&mut self, answer: Result<Response<T>, Status>) -> Option<T> {
        match answer {
            Ok(answer) => {
                let mut answer = answer.into_inner();
                let revision = answer.header().map_or(0, |header| header.revision);
                self.revisions.newest = self.revisions.newest.max(revision);
                let text = answers::text(&mut answer);
                self.note(text);
                Some(answer)
            }
            Err(status) => {
                self.note(answers::refusal(&status));
                None
            }
        }
    }

    /// Notes that something is left out of the comparison.
    pub(super) fn leave_out(&mut self, what: &str) {
        self.played.left_out += 1;
        self.note(format!("left out: {what}"));
    }

    async fn range(&mut self, mut request: RangeRequest) {
        self.revisions.range(&mut request);
        let mut answer = self.session.kv.range(request.clone()).await;
        if let Ok(answer) = &mut answer {
            excluded::order_ties(&request, answer.get_mut());
        }
        self.keep(answer);
    }

    async fn txn(&mut self, mut request: TxnRequest) {
        self.revisions.txn(&mut request);
        let mut answer = self.session.kv.txn(request.clone()).await;
        match &mut answer {
            Ok(answer) => {
                let answer = answer.get_mut();
                excluded::order_ties_within(&request, answer);
                if excluded::may_recreate(&mut request) {
                    self.recreating.extend(answer.header.as_ref().map(|header| header.revision));
                }
            }
            Err(status) => self.doubtful |= excluded::may_succeed_after_a_crash(status),
        }
        self.keep(answer);
    }

    /// Everything there is.
    pub(super) async fn everything(&mut self) {
        let everything = b"\0".as_slice();
        self.range(RangeRequest {
            key: everything.into(),
            range_end: everything.into(),
            ..RangeRequest::default()
        })
        .await;
    }

    pub(super) async fn put(&mut self, request: PutRequest) {
        let answer = self.session.kv.put(request).await;
        self.keep(answer);
    }

    /// Compacts when all watchers are up to date: whether one that is behind survives, and whether a
    /// previous value is still found, would depend on who is faster.
    async fn compact(&mut self, mut request: CompactionRequest) -> Result<(), Halt> {
        request.revision = self.revisions.resolve(request.revision);
        if excluded::spoils_hashes(&request, self.revisions.compacted) {
            self.leave_out("a first compaction at zero");
            return Ok(());
        }
        if self.recreating.contains(&request.revision) {
            self.leave_out("a compaction at a revision that may have deleted a key and written it");
            return Ok(());
        }
        self.settle().await?;
        let answer = self.session.kv.compact(request).await;
        if self.keep(answer).is_some() {
            self.revisions.compacted = request.revision;
            self.hashes.compacted(request.revision);
        }
        Ok(())
    }

    async fn hash(&mut self, mut request: HashKvRequest) {
        request.revision = self.revisions.resolve(request.revision);
        if self.hashes.holds(request.revision) {
            return self.leave_out("a hash etcd remembers from a compaction");
        }
        let mut answer = self.session.maintenance.hash_kv(request).await;
        if let Ok(answer) = &mut answer {
            // Newer than 3.5: only ours fills it.
            answer.get_mut().hash_revision = 0;
        }
        self.keep(answer);
    }

    /// Sees to it that the log is not played again from before here: a write takes along how far the log
    /// was applied, and defragmenting stores it. Needed only after what
    /// [`excluded::may_succeed_after_a_crash`] tells of.
    pub(super) async fn make_sure(&mut self) {
        if std::mem::take(&mut self.doubtful) {
            self.put(PutRequest { key: "onward".into(), ..PutRequest::default() }).await;
            self.defragment().await;
        }
    }

    async fn defragment(&mut self) {
        let answer = self.session.maintenance.defragment(DefragmentRequest {}).await;
        self.keep(answer);
    }

    /// Starts the server again on its data; watchers are up to date before and gone afterwards.
    pub(super) async fn restart(&mut self, how: &Restart) -> Result<(), Halt> {
        self.make_sure().await;
        self.settle().await?;
        self.drop_streams();
        let server = &mut self.server;
        tokio::task::block_in_place(|| {
            if !how.kill {
                server.process.signal("TERM");
                server.process.wait_end();
            }
            server.restart();
        });
        self.session = Session::connect(&self.server.url()).await;
        Ok(())
    }

    /// The end of every sequence: all events, all that is stored now, and the hash over its history.
    async fn finish(&mut self) -> Result<(), Halt> {
        self.settle().await?;
        self.cancel_distant().await?;
        self.everything().await;
        self.hash(HashKvRequest::default()).await;
        Ok(())
    }
}
