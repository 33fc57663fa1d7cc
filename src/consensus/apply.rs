//! Applying what was committed: to the state machine, and to the clients that wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::EntryPayload;

use super::machine::{Durable, position};
use super::peers::Removal;
use super::proposer::Shared;
#[cfg(test)]
use super::simulation;
use super::types::{
    LogEntry, StoredMembership, decode_log_id, decode_membership, encode_log_id, encode_membership,
};
use crate::failpoint::{self, Point};
use crate::state::{Entry, Image, Machine, Outcome, Payload, Reader, Received, StateError, Upkeep};
use crate::tasks::Supervisor;
use crate::types::ids::MemberId;

/// Bytes of an entry that may be quick: what is written is copied, and hashed.
const QUICK_BYTES: usize = 16 << 10;

/// Owns the state machine and answers clients.
pub(crate) struct Apply {
    pub(crate) machine: Machine,
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

/// A failure of the state in any of these stops the process: what it holds is then unknown, and the log
/// rebuilds it.
impl Apply {
    pub(crate) fn entries(&mut self, entries: Vec<LogEntry>) -> Result<(), StateError> {
        let applied = self.apply(entries);
        self.reported(applied)
    }

    /// Makes everything applied so far durable and tells up to where that is.
    pub(crate) fn persist(&mut self) -> Result<Durable, StateError> {
        let persisted = self.machine.persist().and_then(|_| self.durable());
        self.reported(persisted)
    }

    pub(crate) fn image(&mut self) -> Result<Image, StateError> {
        let image = self.machine.image();
        self.reported(image)
    }

    /// Goes on from the state of another member.
    pub(crate) fn adopt(&mut self, received: Received) -> Result<(), StateError> {
        let adopted = self.machine.adopt(received).and_then(|()| self.adopted());
        self.reported(adopted)
    }

    /// As [`Machine::maintain`].
    pub(crate) fn maintain(&mut self) -> Result<Upkeep, StateError> {
        let maintained = self.machine.maintain();
        self.reported(maintained)
    }

    /// Whether it is one entry that is applied within microseconds: [`Machine::is_quick`].
    pub(crate) fn is_quick(&self, entries: &[LogEntry]) -> bool {
        let [LogEntry { payload: EntryPayload::Normal(proposal), .. }] = entries else {
            return false;
        };
        proposal.len() <= QUICK_BYTES && self.machine.is_quick(proposal.batch())
    }

    /// For an orderly stop, with everything applied.
    pub(crate) fn close(self) {
        if let Err(error) = self.machine.close() {
            self.supervisor.fail("apply", error.to_string());
        }
    }

    fn adopted(&self) -> Result<(), StateError> {
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

    fn durable(&self) -> Result<Durable, StateError> {
        #[cfg(test)]
        simulation::is_durable(self.id);
        applied_state(&self.machine).map_err(|error| StateError::Damaged {
            what: "applied entry".into(),
            why: error.to_string(),
        })
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

pub(crate) fn request_count(entry: &LogEntry) -> usize {
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
