//! The log without threads, for a simulation that decides when something is written: everything else
//! is as always.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use super::disk::{Disk, DiskFile};
use super::shared::{Batch, Fault, Shared, Task};
use super::spare::Spares;
use super::writer::Writer;
use super::{Recovered, Wal, WalError, WalOptions};

/// Writes when it is told to. Whoever steps it sees to it that nobody else waits for the log in the
/// same thread.
pub(crate) struct Stepper {
    writer: Writer,
    shared: Arc<Shared>,
    spares: Arc<Spares>,
    fault: Option<Fault>,
    taken: Option<Batch>,
}

impl Wal {
    /// As [`Self::open`], on a disk that is given, and written by the stepper alone.
    pub(crate) fn open_stepped(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: WalOptions,
    ) -> Result<(Self, Recovered, Stepper), WalError> {
        let (wal, writer, recovered) = Self::assemble(disk, dir, options)?;
        let (shared, spares) = (Arc::clone(&wal.inner.shared), Arc::clone(&wal.inner.spares));
        Ok((wal, recovered, Stepper { writer, shared, spares, fault: None, taken: None }))
    }

    /// Waits until something may have been queued since the last wait.
    pub(crate) async fn queued(&self) {
        self.inner.shared.queued.notified().await;
    }
}

impl Stepper {
    /// Begins to write everything that is queued now; tells whether there is anything.
    pub(crate) fn begin(&mut self) -> bool {
        if self.taken.is_none()
            && let Task::Write(batch) = self.shared.next(Some(Duration::ZERO))
        {
            self.taken = Some(batch);
        }
        self.taken.is_some()
    }

    /// Whether something was begun.
    pub(crate) fn is_writing(&self) -> bool {
        self.taken.is_some()
    }

    /// Writes and syncs what was begun, and calls back.
    pub(crate) fn complete(&mut self) {
        if let Some(batch) = self.taken.take() {
            self.writer.turn(Task::Write(batch), &mut self.fault);
            self.spares.catch_up();
        }
    }

    /// Calls back before anything is written: a mistake, for a test that wants to see it found.
    pub(crate) fn answer_early(&mut self) {
        let done = self.taken.as_mut().map(|batch| std::mem::take(&mut batch.done));
        done.into_iter().flatten().for_each(|done| done(Ok(())));
    }

    /// Notes on the disk what is safely there, as it is done when nothing was queued for a while.
    pub(crate) fn confirm(&mut self) {
        if self.fault.is_none() {
            self.writer.turn(Task::Idle, &mut self.fault);
        }
    }
}
