//! The apply thread: the one owner of the state machine.
//!
//! A thread of its own, because the storage engine may stall a write for tens of milliseconds, and
//! neither heartbeats nor clients' connections may wait for that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::EntryPayload;
use tokio::sync::mpsc;

use super::machine::{Durable, Work, position};
use super::peers::Removal;
use super::proposer::Shared;
use super::receive;
#[cfg(test)]
use super::simulation;
use super::types::{
    LogEntry, StoredMembership, decode_log_id, decode_membership, encode_log_id, encode_membership,
};
use crate::failpoint::{self, Point};
use crate::state::{Entry, Machine, Outcome, Payload, Reader, Received, StateError, Upkeep};
use crate::tasks::{Stage, Supervisor};
use crate::types::ids::MemberId;

/// Requests gathered into one write of the state. Above, the write itself dominates and clients
/// only wait longer.
const MAX_GATHERED_REQUESTS: usize = 2048;
/// Writes between two turns of upkeep, so that compaction goes on under load.
const WRITES_PER_UPKEEP: u32 = 16;

/// Owns the state machine and answers clients.
pub(crate) struct ApplyThread {
    pub(crate) machine: Machine,
    pub(crate) work: mpsc::Receiver<Work>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: MemberId,
    /// What the state has published.
    pub(crate) reader: Reader,
    /// Told when an entry removes this member.
    pub(crate) removal: Removal,
    /// Applying longer than this is worth a line in the log.
    pub(crate) slow: Duration,
    pub(crate) supervisor: Supervisor,
}

/// What the state machine says it has applied.
///
/// # Errors
/// `InvalidData` when it does not read back.
pub(crate) fn applied_state(machine: &Machine) -> std::io::Result<Durable> {
    let applied = machine.applied().as_deref().map(decode_log_id).transpose()?;
    let membership = machine.membership().map(decode_membership).transpose()?.unwrap_or_default();
    Ok(Durable { applied, membership })
}

impl ApplyThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses another one.
    pub(crate) fn start(self) -> std::io::Result<()> {
        let supervisor = self.supervisor.clone();
        #[cfg(test)]
        if simulation::runs() {
            supervisor.spawn("apply", Stage::Consensus, self.run());
            return Ok(());
        }
        supervisor.thread("apply", Stage::Consensus, move |_| receive::block_on(self.run()))
    }

    /// Works until nobody can send any more. A failure of the state stops the process: what it
    /// holds is then unknown, and the log rebuilds it.
    async fn run(mut self) {
        let served = self.serve().await;
        self.shared.stop();
        // Whoever still sends work must learn that nobody does it.
        drop(self.work);
        if served.is_ok()
            && let Err(error) = self.machine.close()
        {
            self.supervisor.fail("apply", error.to_string());
        }
    }

    async fn serve(&mut self) -> Result<(), StateError> {
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
                let maintained = self.machine.maintain();
                upkeep = self.reported(maintained)?;
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
        receive::until(&mut self.work, self.shared.clock, end)
    }

    fn handle(&mut self, work: Work) -> Result<(), StateError> {
        match work {
            Work::Apply(entries) => {
                let (entries, other) = self.gather(entries);
                let applied = self.apply(entries);
                self.reported(applied)?;
                other.map_or(Ok(()), |work| self.handle(work))
            }
            Work::Persist(done) => {
                let persisted = self.persist();
                let state = self.reported(persisted)?;
                // Nobody hears it when consensus stopped meanwhile.
                let _ = done.send(state);
                Ok(())
            }
            Work::Image(reply) => {
                let image = self.machine.image();
                let image = self.reported(image)?;
                // Whoever wanted to send it may not lead any more.
                let _ = reply.send(image);
                Ok(())
            }
            Work::Answer(reply) => {
                // Whoever asked may have given up.
                let _ = reply.send(());
                Ok(())
            }
            Work::Adopt(received, done) => {
                let adopted = self.adopt(*received);
                self.reported(adopted)?;
                let _ = done.send(());
                Ok(())
            }
        }
    }

    fn adopt(&mut self, received: Received) -> Result<(), StateError> {
        self.machine.adopt(received)?;
        let state = self.durable()?;
        if let Some(last) = state.applied {
            let index = position(last);
            self.shared.progress.apply(index, last.leader_id.term, 0);
            self.shared.metrics.applied.set(index.cast_signed());
        }
        if self.reader.members().is_removed(self.id) {
            self.removal.heard();
        }
        Ok(())
    }

    /// Names a failure before anybody who waits for the work learns that it is not done: consensus
    /// would say only that, and it is the first words that end the process.
    fn reported<T>(&self, result: Result<T, StateError>) -> Result<T, StateError> {
        result.inspect_err(|error| self.supervisor.fail("apply", error.to_string()))
    }

    fn persist(&mut self) -> Result<Durable, StateError> {
        self.machine.persist()?;
        self.durable()
    }

    fn durable(&self) -> Result<Durable, StateError> {
        #[cfg(test)]
        simulation::is_durable(self.id);
        applied_state(&self.machine).map_err(|error| StateError::Damaged {
            what: "applied entry".into(),
            why: error.to_string(),
        })
    }

    /// Adds what else was committed meanwhile, up to a limit, and whatever other work ended that.
    fn gather(&mut self, mut entries: Vec<LogEntry>) -> (Vec<LogEntry>, Option<Work>) {
        let mut requests: usize = entries.iter().map(request_count).sum();
        while requests < MAX_GATHERED_REQUESTS {
            match self.work.try_recv() {
                Ok(Work::Apply(more)) => {
                    requests += more.iter().map(request_count).sum::<usize>();
                    entries.extend(more);
                }
                Ok(other) => return (entries, Some(other)),
                Err(_) => break,
            }
        }
        (entries, None)
    }

    fn apply(&mut self, entries: Vec<LogEntry>) -> Result<(), StateError> {
        let Some(last) = entries.last().map(|entry| entry.log_id) else { return Ok(()) };
        let began = self.shared.clock.now();
        let batches: Vec<Option<u64>> = entries.iter().map(|entry| self.own_batch(entry)).collect();
        let requests = entries.iter().map(request_count).sum::<usize>();
        let changes = entries.iter().any(is_change_of_members);
        let outcomes = self.machine.apply(entries.into_iter().map(state_entry).collect())?;
        if changes && self.reader.members().is_removed(self.id) {
            self.removal.heard();
        }
        failpoint::hit(Point::ApplyUnanswered);
        let index = position(last);
        self.shared.progress.apply(index, last.leader_id.term, requests as u64);
        self.shared.metrics.applied.set(index.cast_signed());
        for (batch, outcomes) in batches.into_iter().zip(outcomes) {
            self.answer(batch, outcomes);
        }
        self.note_duration(began, requests);
        Ok(())
    }

    fn answer(&self, batch: Option<u64>, outcomes: Option<Vec<Outcome>>) {
        if let (Some(batch), Some(outcomes)) = (batch, outcomes) {
            self.shared.waiters.resolve(batch, outcomes);
        }
    }

    /// The number of the batch in `entry` if this member proposed it.
    fn own_batch(&self, entry: &LogEntry) -> Option<u64> {
        match &entry.payload {
            EntryPayload::Normal(proposal) if proposal.batch().origin == self.id.0 => {
                Some(proposal.batch().id)
            }
            _ => None,
        }
    }

    fn note_duration(&self, began: Instant, requests: usize) {
        let took = self.shared.clock.now().duration_since(began);
        if took > self.slow {
            self.shared.metrics.slow_applies.inc();
            tracing::warn!(
                took = ?took,
                "expected-duration" = ?self.slow,
                requests,
                "apply request took too long"
            );
        }
    }
}

fn request_count(entry: &LogEntry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(proposal) => proposal.batch().requests.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    }
}

fn is_change_of_members(entry: &LogEntry) -> bool {
    matches!(entry.payload, EntryPayload::Membership(_))
}

fn state_entry(entry: LogEntry) -> Entry {
    let log_id = entry.log_id;
    let payload = match entry.payload {
        EntryPayload::Blank => Payload::Blank,
        EntryPayload::Normal(proposal) => Payload::Batch(Arc::clone(proposal.batch())),
        EntryPayload::Membership(membership) => {
            let members = membership.nodes().map(|(id, _)| MemberId(*id)).collect();
            let record = encode_membership(&StoredMembership::new(Some(log_id), membership));
            Payload::Membership { record, members }
        }
    };
    Entry { log_id: encode_log_id(log_id), index: position(log_id), payload }
}
