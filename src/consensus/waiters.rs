//! Clients that wait for an outcome: how many there may be, and who is told what.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::error::ProposeError;
use crate::state::Outcome;

/// What a client is answered.
pub(crate) type Answer = Result<Outcome, ProposeError>;

/// Most requests that may wait at once. Far above what clients keep in flight; a request costs a
/// few hundred bytes beside its own.
const MAX_REQUESTS: usize = 64 * 1024;
/// Most bytes the waiting requests may hold together.
const MAX_BYTES: usize = 256 * 1024 * 1024;
/// The share kept free for what makes room: lease revocations, compactions, alarms.
const RESERVE_REQUESTS: usize = MAX_REQUESTS / 8;
const RESERVE_BYTES: usize = MAX_BYTES / 8;

/// What waits, in requests and bytes, from admission until the answer.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

impl Budget {
    /// A place for a request of `size` bytes, or `None` when there is none left; `privileged`
    /// requests may use the reserve.
    pub(crate) fn admit(self: &Arc<Self>, size: usize, privileged: bool) -> Option<Place> {
        let (requests, bytes) = if privileged { (0, 0) } else { (RESERVE_REQUESTS, RESERVE_BYTES) };
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(size, Ordering::Relaxed);
        // Made first, so that a refusal gives back through its drop.
        let place = Place { budget: Arc::clone(self), size };
        // A request larger than everything is let in when nothing else waits.
        let fits = held == 0 || held + size <= MAX_BYTES - bytes;
        (before < MAX_REQUESTS - requests && fits).then_some(place)
    }

    /// Requests waiting now.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// An admitted request's share of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    budget: Arc<Budget>,
    size: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.budget.requests.fetch_sub(1, Ordering::Relaxed);
        self.budget.bytes.fetch_sub(self.size, Ordering::Relaxed);
    }
}

/// One client that waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    reply: oneshot::Sender<Answer>,
    since: Instant,
    place: Place,
}

impl Waiter {
    /// A client that began to wait at `since`, and where it hears its answer.
    pub(crate) fn new(since: Instant, place: Place) -> (Self, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (Self { reply, since, place }, answer)
    }

    /// Tells the client; nothing happens if it went away.
    pub(crate) fn answer(self, answer: Answer) {
        // Given back first: a client that has its answer no longer waits.
        drop(self.place);
        let _ = self.reply.send(answer);
    }

    /// Whether the client went away.
    pub(crate) fn is_gone(&self) -> bool {
        self.reply.is_closed()
    }

    /// When the client began to wait.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }
}

/// The clients of proposed batches, by the number of the batch. Places of clients that were told
/// early, as their time was up, are empty.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    batches: Mutex<HashMap<u64, Vec<Option<Waiter>>>>,
}

impl Waiters {
    /// Remembers the clients of a batch, in the order of its requests.
    pub(crate) fn insert(&self, batch: u64, waiters: Vec<Waiter>) {
        self.batches.lock().insert(batch, waiters.into_iter().map(Some).collect());
    }

    /// Forgets a batch and hands out its clients.
    pub(crate) fn remove(&self, batch: u64) -> Vec<Option<Waiter>> {
        self.batches.lock().remove(&batch).unwrap_or_default()
    }

    /// Tells the clients of a batch what their requests came to.
    pub(crate) fn resolve(&self, batch: u64, outcomes: Vec<Outcome>) {
        for (waiter, outcome) in self.remove(batch).into_iter().zip(outcomes) {
            if let Some(waiter) = waiter {
                waiter.answer(Ok(outcome));
            }
        }
    }

    /// Tells every client that began before `limit` the error `why` gives for its start.
    pub(crate) fn expire(&self, limit: Instant, why: impl Fn(Instant) -> ProposeError) -> usize {
        let mut late = Vec::new();
        for waiter in self.batches.lock().values_mut().flatten() {
            if waiter.as_ref().is_some_and(|one| one.since < limit) {
                late.extend(waiter.take());
            }
        }
        let count = late.len();
        for waiter in late {
            let error = why(waiter.since);
            waiter.answer(Err(error));
        }
        count
    }

    /// Tells every client that the member stops.
    pub(crate) fn stop(&self) {
        let batches = std::mem::take(&mut *self.batches.lock());
        for waiter in batches.into_values().flatten().flatten() {
            waiter.answer(Err(ProposeError::Stopped));
        }
    }

    /// Batches without an answer yet.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.batches.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_run_out_and_come_back() {
        let budget = Arc::new(Budget::default());
        let first = budget.admit(MAX_BYTES - RESERVE_BYTES, false).unwrap();
        assert!(budget.admit(1, false).is_none());
        let reserved = budget.admit(1, true).unwrap();
        assert_eq!(budget.requests(), 2);
        drop((first, reserved));
        assert_eq!(budget.requests(), 0);
        let huge = budget.admit(MAX_BYTES * 2, false);
        assert!(huge.is_some(), "a request is never refused for its own size alone");
        let many: Vec<_> = std::iter::from_fn(|| budget.admit(0, true)).collect();
        assert!(many.is_empty(), "nothing fits beside it");
    }
}
