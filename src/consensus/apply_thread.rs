//! The apply thread, and how work comes to it.
//!
//! A thread of its own, because the storage engine may stall a write for tens of milliseconds, and
//! neither heartbeats nor clients' connections may wait for that. To change threads twice costs a lone
//! request more than to apply it, though. So what is [quick](Apply::is_quick) is applied where it was
//! committed, if nothing waits here that came before, and if another worker is there to go on should it
//! take longer after all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::apply::{Apply, request_count};
use super::machine::Work;
use super::receive;
#[cfg(test)]
use super::simulation;
use super::types::LogEntry;
use crate::state::{StateError, Upkeep};
use crate::tasks::{Stage, Supervisor};

/// Commits that may wait for the thread. Proposals are refused long before it is full; it bounds a member
/// that follows.
const QUEUE: usize = 1024;
/// Requests gathered into one write of the state. Above, the write itself dominates and clients
/// only wait longer.
const MAX_GATHERED_REQUESTS: usize = 2048;
/// Writes between two turns of upkeep, so that compaction goes on under load.
const WRITES_PER_UPKEEP: u32 = 16;

/// Applying has ended.
pub(crate) struct Ended;

/// What desk and thread share.
struct Common {
    /// Nothing once applying has ended.
    apply: Mutex<Option<Box<Apply>>>,
    /// Messages with entries that are on their way to the thread, or being applied there.
    under_way: AtomicUsize,
}

/// Where entries are handed in.
pub(crate) struct Desk {
    common: Arc<Common>,
    work: mpsc::Sender<Work>,
    /// Whether anything may be applied here.
    may_apply: bool,
}

/// Does what was handed in.
pub(crate) struct ApplyThread {
    common: Arc<Common>,
    work: mpsc::Receiver<Work>,
}

/// Does something to the state, and ends applying if that fails, or panics: what the state holds is
/// unknown then, and nobody may go on with it.
fn act<T>(
    apply: &mut Option<Box<Apply>>,
    action: impl FnOnce(&mut Apply) -> Result<T, StateError>,
) -> Result<T, Ended> {
    let mut taken = apply.take().ok_or(Ended)?;
    let Ok(done) = action(&mut taken) else {
        taken.shared.stop();
        return Err(Ended);
    };
    *apply = Some(taken);
    Ok(done)
}

impl Desk {
    /// Has committed entries applied, in the order of the calls. There is one caller at a time.
    ///
    /// # Errors
    /// When nobody applies any more.
    pub(crate) async fn apply(&self, entries: Vec<LogEntry>) -> Result<(), Ended> {
        let Some(entries) = self.apply_here(entries)? else { return Ok(()) };
        self.common.under_way.fetch_add(1, Ordering::AcqRel);
        self.work.send(Work::Apply(entries)).await.map_err(|_| Ended)
    }

    /// For work that is not applying.
    pub(crate) fn work(&self) -> mpsc::Sender<Work> {
        self.work.clone()
    }

    /// Gives back what is not to be applied here.
    fn apply_here(&self, entries: Vec<LogEntry>) -> Result<Option<Vec<LogEntry>>, Ended> {
        if !self.may_apply || self.common.under_way.load(Ordering::Acquire) > 0 {
            return Ok(Some(entries));
        }
        #[cfg(test)]
        if entries.last().is_some_and(|last| simulation::sends_to_thread(last.log_id.index)) {
            return Ok(Some(entries));
        }
        let Some(mut apply) = self.common.apply.try_lock() else { return Ok(Some(entries)) };
        act(&mut apply, |apply| {
            if !apply.is_quick(&entries) {
                return Ok(Some(entries));
            }
            apply.entries(entries).map(|()| None)
        })
    }
}

impl ApplyThread {
    /// Starts the thread; entries are handed in at the desk, other work is sent.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub(crate) fn start(apply: Apply) -> std::io::Result<Desk> {
        let (work, queue) = mpsc::channel(QUEUE);
        let supervisor = apply.supervisor.clone();
        let apply = Mutex::new(Some(Box::new(apply)));
        let common = Arc::new(Common { apply, under_way: AtomicUsize::new(0) });
        let thread = Self { common: Arc::clone(&common), work: queue };
        thread.spawn(&supervisor)?;
        let may_apply = Handle::current().metrics().num_workers() > 1;
        #[cfg(test)]
        let may_apply = may_apply || simulation::runs();
        Ok(Desk { common, work, may_apply })
    }

    fn spawn(self, supervisor: &Supervisor) -> std::io::Result<()> {
        #[cfg(test)]
        if simulation::runs() {
            supervisor.spawn("apply", Stage::Consensus, self.run());
            return Ok(());
        }
        supervisor.thread("apply", Stage::Consensus, move |_| receive::block_on(self.run()))
    }

    /// Works until nobody can send any more.
    async fn run(mut self) {
        let _ = self.serve().await;
        let apply = self.common.apply.lock().take();
        // Whoever still sends work must learn that nobody does it.
        drop(self.work);
        if let Some(apply) = apply {
            apply.shared.stop();
            apply.close();
        }
    }

    /// Ends early when the state has failed, here or at the desk.
    async fn serve(&mut self) -> Result<(), Ended> {
        let mut upkeep = Upkeep::Done;
        let mut writes = 0;
        loop {
            let received = match upkeep {
                Upkeep::Done => self.work.recv().await.map(Some),
                Upkeep::More => receive::at_once(&mut self.work),
                Upkeep::Rest(until) => self.received_until(until).await,
            };
            let Some(work) = received else { return Ok(()) };
            let idle = work.is_none();
            if let Some(work) = work {
                self.handle(work)?;
                writes += 1;
            }
            if idle || writes >= WRITES_PER_UPKEEP || self.work.is_empty() {
                writes = 0;
                upkeep = self.with_apply(Apply::maintain)?;
            }
        }
    }

    /// As [`receive::until`], which holds up the thread.
    #[cfg_attr(not(test), expect(clippy::unused_async, reason = "the simulation does not block"))]
    async fn received_until(&mut self, end: Instant) -> Option<Option<Work>> {
        #[cfg(test)]
        if simulation::runs() {
            let received = tokio::time::timeout_at(end.into(), self.work.recv()).await;
            return received.map_or(Some(None), |work| work.map(Some));
        }
        let clock = self.common.apply.lock().as_ref().map(|apply| apply.shared.clock)?;
        receive::until(&mut self.work, clock, end)
    }

    fn with_apply<T>(
        &self,
        action: impl FnOnce(&mut Apply) -> Result<T, StateError>,
    ) -> Result<T, Ended> {
        act(&mut self.common.apply.lock(), action)
    }

    fn handle(&mut self, work: Work) -> Result<(), Ended> {
        // Nobody hears an answer that had to wait too long.
        match work {
            Work::Apply(entries) => {
                let (entries, gathered, other) = self.gather(entries);
                self.with_apply(|apply| apply.entries(entries))?;
                self.common.under_way.fetch_sub(gathered, Ordering::AcqRel);
                other.map_or(Ok(()), |work| self.handle(work))
            }
            Work::Persist(done) => {
                let _ = done.send(self.with_apply(Apply::persist)?);
                Ok(())
            }
            Work::Image(reply) => {
                let _ = reply.send(self.with_apply(Apply::image)?);
                Ok(())
            }
            Work::Answer(reply) => {
                let _ = reply.send(self.with_apply(|_| Ok(()))?);
                Ok(())
            }
            Work::Adopt(received, done) => {
                let _ = done.send(self.with_apply(|apply| apply.adopt(*received))?);
                Ok(())
            }
        }
    }

    /// Adds what else was committed meanwhile, up to a limit, and whatever other work ended that; tells
    /// of how many messages it is made.
    fn gather(&mut self, mut entries: Vec<LogEntry>) -> (Vec<LogEntry>, usize, Option<Work>) {
        let mut requests: usize = entries.iter().map(request_count).sum();
        let mut gathered = 1;
        while requests < MAX_GATHERED_REQUESTS {
            match self.work.try_recv() {
                Ok(Work::Apply(more)) => {
                    requests += more.iter().map(request_count).sum::<usize>();
                    entries.extend(more);
                    gathered += 1;
                }
                Ok(other) => return (entries, gathered, Some(other)),
                Err(_) => break,
            }
        }
        (entries, gathered, None)
    }
}

#[cfg(test)]
mod tests;
