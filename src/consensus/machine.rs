//! The state machine as openraft sees it: the desk where entries are handed in to be applied.
//!
//! Entries count as applied for openraft once they are handed in, so that the thread can gather
//! several commits into one write; whoever needs the truth asks [`Progress`]. Nothing is lost by
//! that: the log is purged only up to what a snapshot covers, and a snapshot is made by the apply
//! thread itself.
//!
//! [`Progress`]: super::status::Progress

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::apply_thread::Desk;
use super::log_store::OnDisk;
use super::proposer::Shared;
use super::types::{LogEntry, LogId, StoredMembership, TypeConfig};
use crate::state::{Image, Received};

type Meta = SnapshotMetaOf<TypeConfig>;

/// What the apply thread is asked to do.
pub(crate) enum Work {
    /// Apply committed entries.
    Apply(Vec<LogEntry>),
    /// Make everything applied so far durable and tell up to where that is.
    Persist(oneshot::Sender<Durable>),
    /// Tell the whole state as it is now.
    Image(oneshot::Sender<Image>),
    /// Tell that the thread has come here.
    Answer(oneshot::Sender<()>),
    /// Go on from the state of another member, and tell when that is done.
    Adopt(Box<Received>, oneshot::Sender<()>),
}

/// What is on disk for good.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

/// A state as of one entry, which its metadata names.
pub(crate) enum SnapshotHandle {
    /// In the state machine of this member, where it stays until it is sent.
    Here,
    /// From another member, durable and ready to be taken over.
    Received(Box<Received>),
}

/// Hands in what is committed.
pub(crate) struct Applier {
    desk: Desk,
    shared: Arc<Shared>,
    accepted: Option<LogId>,
    membership: StoredMembership,
    snapshot: Arc<Mutex<Option<Meta>>>,
    log: OnDisk,
}

impl Applier {
    /// A state machine that has applied what `state` says, fed at `desk` with what `log` holds.
    pub(crate) fn new(desk: Desk, shared: Arc<Shared>, state: Durable, log: OnDisk) -> Self {
        let Durable { applied, membership } = state;
        // What is durable is a snapshot: a member whose log was cut before it stopped can be asked for
        // one right away.
        let meta = applied.map(|applied| Meta {
            last_log_id: Some(applied),
            last_membership: membership.clone(),
        });
        let snapshot = Arc::new(Mutex::new(meta));
        Self { desk, shared, accepted: applied, membership, snapshot, log }
    }
}

impl RaftStateMachine<TypeConfig> for Applier {
    type SnapshotData = SnapshotHandle;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.accepted, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut committed: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut entries = Vec::new();
        let mut responders = Vec::new();
        let (mut requests, mut bytes) = (0, 0);
        while let Some((entry, responder)) = committed.try_next().await? {
            match &entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(proposal) => {
                    requests += proposal.batch().requests.len() as u64;
                    bytes += proposal.len() as u64;
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                }
            }
            self.accepted = Some(entry.log_id);
            responders.extend(responder);
            entries.push(entry);
        }
        if let Some(last) = self.accepted {
            let position = position(last);
            self.shared.progress.commit(position, requests);
            self.shared.metrics.committed.set(position.cast_signed());
            self.shared.retention.committed(last, bytes);
        }
        // A quorum of others can commit what our own log does not hold yet. After a crash the state
        // would be ahead of the log, as if the end of the log had been lost.
        if let Some(last) = entries.last() {
            self.log.holds(last.log_id.index).await?;
        }
        self.desk.apply(entries).await.map_err(|_| ended())?;
        // Told after the entries are on their way: this only makes room for the next proposals.
        for responder in responders {
            responder.send(());
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { work: self.desk.work(), snapshot: Arc::clone(&self.snapshot) }
    }

    async fn install_snapshot(&mut self, meta: &Meta, snapshot: SnapshotHandle) -> io::Result<()> {
        // Our own is here already.
        let SnapshotHandle::Received(received) = snapshot else { return Ok(()) };
        let installing = self.shared.metrics.installing();
        let (done, adopted) = oneshot::channel();
        self.desk.work().send(Work::Adopt(received, done)).await.map_err(|_| ended())?;
        adopted.await.map_err(|_| ended())?;
        drop(installing);
        self.accepted = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        *self.snapshot.lock() = Some(meta.clone());
        if let Some(last) = meta.last_log_id {
            let position = position(last);
            self.shared.progress.commit(position, 0);
            self.shared.metrics.committed.set(position.cast_signed());
        }
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotHandle>>> {
        let meta = self.snapshot.lock().clone();
        Ok(meta.map(|meta| SnapshotOf::<TypeConfig, _> { meta, snapshot: SnapshotHandle::Here }))
    }
}

/// Makes snapshots by asking the apply thread.
pub(crate) struct Builder {
    work: mpsc::Sender<Work>,
    snapshot: Arc<Mutex<Option<Meta>>>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotHandle;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, SnapshotHandle>> {
        let (done, persisted) = oneshot::channel();
        self.work.send(Work::Persist(done)).await.map_err(|_| ended())?;
        let Durable { applied, membership } = persisted.await.map_err(|_| ended())?;
        let meta = Meta { last_log_id: applied, last_membership: membership };
        *self.snapshot.lock() = Some(meta.clone());
        tracing::info!(applied = applied.map(position), "saved snapshot");
        Ok(SnapshotOf::<TypeConfig, _> { meta, snapshot: SnapshotHandle::Here })
    }
}

/// A log id's place counted from one, as clients and the state machine see it; openraft counts
/// from zero.
pub(crate) fn position(log_id: LogId) -> u64 {
    log_id.index + 1
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the apply thread has ended")
}
