//! Requests between their client and a log entry.

use std::collections::VecDeque;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::error::ProposeError;
use super::waiters::Waiter;
use crate::proto::internal::Request;

/// Most requests in one log entry.
pub(crate) const MAX_BATCH_REQUESTS: usize = 256;
/// An entry takes no further request once it holds this many bytes.
pub(crate) const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// A request and its client.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) request: Request,
    /// Encoded bytes.
    pub(crate) size: usize,
    pub(crate) waiter: Waiter,
}

/// Requests in the order they came. Bounded by the budget their clients were admitted under.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    requests: VecDeque<Queued>,
    closed: bool,
}

impl Queue {
    /// Adds a request; tells its client at once when the member stops.
    pub(crate) fn push(&self, queued: Queued) {
        let refused = {
            let mut state = self.state.lock();
            if state.closed {
                Some(queued)
            } else {
                state.requests.push_back(queued);
                None
            }
        };
        match refused {
            Some(queued) => queued.waiter.answer(Err(ProposeError::Stopped)),
            None => self.filled.notify_one(),
        }
    }

    /// Puts requests back in front, in their order: nobody took them.
    pub(crate) fn give_back(&self, requests: impl DoubleEndedIterator<Item = Queued>) {
        let mut state = self.state.lock();
        for queued in requests.rev() {
            state.requests.push_front(queued);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// The requests of the next entry, without those whose client went away. Empty when none waits.
    pub(crate) fn take_batch(&self) -> Vec<Queued> {
        let mut state = self.state.lock();
        let mut batch = Vec::with_capacity(state.requests.len().min(MAX_BATCH_REQUESTS));
        let mut bytes = 0;
        while batch.len() < MAX_BATCH_REQUESTS && bytes < MAX_BATCH_BYTES {
            let Some(queued) = state.requests.pop_front() else { break };
            if !queued.waiter.is_gone() {
                bytes += queued.size;
                batch.push(queued);
            }
        }
        batch
    }

    /// Waits until a request may have come since the last wait.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Wakes whoever waits in [`Self::filled`].
    pub(crate) fn wake(&self) {
        self.filled.notify_one();
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().requests.is_empty()
    }

    /// Tells every client that began before `limit` that its time is up.
    pub(crate) fn expire(&self, limit: Instant) -> usize {
        let mut late = Vec::new();
        let mut state = self.state.lock();
        // Requests that were given back keep their place, so the front is always the oldest.
        while state.requests.front().is_some_and(|queued| queued.waiter.since() < limit) {
            late.extend(state.requests.pop_front());
        }
        drop(state);
        let count = late.len();
        for queued in late {
            queued.waiter.answer(Err(ProposeError::Deadline));
        }
        count
    }

    /// Refuses every later request and tells the waiting clients that the member stops.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let requests = std::mem::take(&mut state.requests);
        drop(state);
        for queued in requests {
            queued.waiter.answer(Err(ProposeError::Stopped));
        }
    }
}
