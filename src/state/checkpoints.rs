//! When index checkpoints are written, and by whom.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::StateError;
use super::meta::Compactions;
use super::mvcc::checkpoint::{self, CheckpointError, Stamp};
use super::mvcc::index::Root;
use super::mvcc::write::Writer;
use super::options::Options;
use crate::failpoint::{self, Point};
use crate::storage::engine::Engine;
use crate::tasks::{Stage, Supervisor};

/// Revisions after which a new checkpoint is due: about a second of replay.
const EVERY: u64 = 500_000;

/// Keeps the checkpoint file not too far behind.
pub(super) struct Checkpoints {
    path: Option<PathBuf>,
    supervisor: Option<Supervisor>,
    /// The revision of the newest checkpoint that was begun.
    newest: i64,
    /// The compaction it had swept.
    compacted: i64,
    /// Set while one is written, and for ever once that has failed: the disk is not tried again.
    busy: Arc<AtomicBool>,
}

impl Checkpoints {
    pub(super) fn new(options: &Options, stamp: Option<Stamp>) -> Self {
        Self {
            path: options.checkpoint.clone(),
            supervisor: options.supervisor.clone(),
            newest: stamp.map_or(0, |stamp| stamp.revision),
            compacted: stamp.map_or(-1, |stamp| stamp.compacted),
            busy: Arc::default(),
        }
    }

    /// Begins anew with another file, if there was one, for a state that replaces the present one. A
    /// checkpoint that is being written goes to the old file.
    pub(super) fn move_to(&mut self, path: PathBuf) {
        self.path = self.path.is_some().then_some(path);
        (self.newest, self.compacted, self.busy) = (0, -1, Arc::default());
    }

    /// Begins a checkpoint if one is due. Call it only between sweeps: a half swept index would
    /// forget records that are still to be deleted.
    ///
    /// # Errors
    /// The disk failed.
    pub(super) fn consider(
        &mut self,
        engine: &Engine,
        writer: &Writer,
        marks: Compactions,
    ) -> Result<(), StateError> {
        if !self.is_due(writer, marks) || self.busy.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.begin(engine, writer, marks)
    }

    /// Whether none is written, and none is due.
    pub(super) fn is_at_rest(&self, writer: &Writer, marks: Compactions) -> bool {
        !self.is_due(writer, marks) && !self.busy.load(Ordering::Acquire)
    }

    fn is_due(&self, writer: &Writer, marks: Compactions) -> bool {
        // A checkpoint below the compacted revision is of no use to the next start.
        let useless = self.newest > 0 && self.newest < marks.scheduled;
        let behind = writer.visible().saturating_sub(self.newest).cast_unsigned();
        self.path.is_some() && (behind >= failpoint::scaled(EVERY) || useless)
    }

    fn begin(
        &mut self,
        engine: &Engine,
        writer: &Writer,
        marks: Compactions,
    ) -> Result<(), StateError> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let stamp = Stamp { revision: writer.visible(), compacted: marks.finished };
        (self.newest, self.compacted) = (stamp.revision, stamp.compacted);
        let (root, busy) = (writer.root(), Arc::clone(&self.busy));
        let engine = engine.clone();
        let job = move || {
            save(&engine, &root, stamp, &path)?;
            busy.store(false, Ordering::Release);
            Ok(())
        };
        let Some(supervisor) = self.supervisor.clone() else { return job() };
        let owner = supervisor.clone();
        let started = supervisor.thread("index-checkpoint", Stage::Storage, move |_| {
            if let Err(error) = job() {
                owner.fail("index-checkpoint", error.to_string());
            }
        });
        if let Err(error) = started {
            tracing::warn!(%error, "cannot start the thread that writes checkpoints");
            self.busy.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Writes a checkpoint of the present state unless the newest one reflects it.
    ///
    /// # Errors
    /// The store failed.
    pub(super) fn write_now(
        &mut self,
        engine: &Engine,
        writer: &Writer,
        marks: Compactions,
    ) -> Result<(), StateError> {
        let stamp = Stamp { revision: writer.visible(), compacted: marks.finished };
        let fresh = (self.newest, self.compacted) == (stamp.revision, stamp.compacted);
        let Some(path) = self.path.as_deref().filter(|_| !fresh) else { return Ok(()) };
        if self.busy.load(Ordering::Acquire) {
            return Ok(());
        }
        save(engine, &writer.root(), stamp, path)
    }
}

/// Writes a checkpoint. Without space for it the next start is slower, no more; any other failure
/// is one of the disk, and whatever else was written to it meanwhile is in doubt.
fn save(engine: &Engine, root: &Root, stamp: Stamp, path: &Path) -> Result<(), StateError> {
    failpoint::hit(Point::CheckpointBegun);
    // The records first: a checkpoint ahead of them would be refused after a power cut.
    engine.persist()?;
    failpoint::hit(Point::CheckpointPersisted);
    match checkpoint::write(root, stamp, path) {
        Ok(()) => {
            tracing::debug!(revision = stamp.revision, "index checkpoint written");
            Ok(())
        }
        Err(CheckpointError::Io { source, path, .. })
            if source.kind() == io::ErrorKind::StorageFull =>
        {
            tracing::warn!(path = %path.display(), "no space for the index checkpoint");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
