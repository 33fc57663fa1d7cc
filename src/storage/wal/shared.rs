//! What callers and the sync thread share: the log as seen by callers, the places of its entries,
//! and the queue between them.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::log::Log;
use super::map::Map;
use super::types::{Frame, LogPos};
use crate::types::clock::Clock;

/// Called once, in the order of the calls, with the outcome of a call.
pub(crate) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// What is to be written.
pub(crate) enum Call {
    Append(Vec<Frame>),
    Vote(Bytes),
    Truncate(u64),
    Purge(LogPos),
}

/// The first I/O error. It is final: what is on disk after a failed write or fsync is unknown, and
/// trying again may report success for data that is lost.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    kind: io::ErrorKind,
    text: String,
}

impl Fault {
    pub(crate) fn new(error: &io::Error) -> Self {
        Self { kind: error.kind(), text: error.to_string() }
    }

    pub(crate) fn to_error(&self) -> io::Error {
        io::Error::new(self.kind, format!("the Raft log failed: {}", self.text))
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) log: Log,
    pub(crate) map: Map,
    calls: Vec<(Call, Done)>,
    committed: Option<Bytes>,
    /// Number of the newest call.
    pub(crate) newest: u64,
    pub(crate) fault: Option<Fault>,
    stopping: bool,
    stopped: bool,
}

pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    wake: Condvar,
    /// The same for a log without threads.
    #[cfg(test)]
    pub(super) queued: tokio::sync::Notify,
    pace: Mutex<Pace>,
}

/// How long syncs take.
#[derive(Default)]
struct Pace {
    /// When the one under way began.
    began: Option<Instant>,
    /// The longest one since somebody asked.
    longest: Duration,
    /// When the thread took up the work it is at.
    took_up: Option<Instant>,
}

/// What the sync thread has to do next.
pub(crate) enum Task {
    /// Write these, then call back.
    Write(Batch),
    /// Nothing came for a while.
    Idle,
    /// The log is being closed; the committed mark is to be written before.
    Stop(Option<Bytes>),
}

/// Everything that was queued at one moment.
pub(crate) struct Batch {
    pub(crate) calls: Vec<Call>,
    pub(crate) done: Vec<Done>,
    pub(crate) committed: Option<Bytes>,
    /// Number of the newest call in it.
    pub(crate) upto: u64,
}

impl Shared {
    pub(crate) fn new(log: Log, map: Map) -> Self {
        let state = Mutex::new(State { log, map, ..State::default() });
        Self {
            state,
            wake: Condvar::new(),
            #[cfg(test)]
            queued: tokio::sync::Notify::new(),
            pace: Mutex::default(),
        }
    }

    /// Queues a call, after `note` has entered it into the log as callers see it.
    pub(crate) fn submit(
        &self,
        call: Call,
        done: Done,
        note: impl FnOnce(&mut Log, u64, &Call) -> io::Result<()>,
    ) {
        let mut state = self.state.lock();
        let number = state.newest + 1;
        let noted = if state.stopped {
            Err(state.fault.as_ref().map_or_else(closed, Fault::to_error))
        } else {
            note(&mut state.log, number, &call)
        };
        if let Err(error) = noted {
            drop(state);
            return done(Err(error));
        }
        state.newest = number;
        state.calls.push((call, done));
        drop(state);
        self.wake.notify_one();
        #[cfg(test)]
        self.queued.notify_one();
    }

    /// Notes that a write with its sync begins.
    pub(crate) fn sync_begins(&self) {
        self.pace.lock().began = Some(Clock.now());
    }

    /// Notes that it ended well.
    pub(crate) fn sync_ended(&self) {
        let mut pace = self.pace.lock();
        let took = pace.began.take().map(|began| Clock.now().duration_since(began));
        pace.longest = pace.longest.max(took.unwrap_or_default());
    }

    /// How long the slowest sync since the last call took, or takes already.
    pub(crate) fn slowest_sync(&self) -> Duration {
        let mut pace = self.pace.lock();
        let waits = pace.began.map(|began| Clock.now().duration_since(began));
        mem::take(&mut pace.longest).max(waits.unwrap_or_default())
    }

    /// How long the thread has been at the piece of work it took up last; zero while it waits for some.
    pub(crate) fn at_work(&self) -> Duration {
        let took_up = self.pace.lock().took_up;
        took_up.map_or(Duration::ZERO, |since| Clock.now().duration_since(since))
    }

    /// Leaves the committed mark for the next write.
    pub(crate) fn save_committed(&self, committed: Bytes) {
        self.state.lock().committed = Some(committed);
    }

    /// Asks the sync thread to write what is queued and to end.
    pub(crate) fn stop(&self) {
        self.state.lock().stopping = true;
        self.wake.notify_one();
    }

    /// Waits for work; for at most `patience` if given.
    pub(crate) fn next(&self, patience: Option<Duration>) -> Task {
        self.pace.lock().took_up = None;
        let task = self.wait(patience);
        self.pace.lock().took_up = Some(Clock.now());
        task
    }

    fn wait(&self, patience: Option<Duration>) -> Task {
        let mut state = self.state.lock();
        loop {
            if !state.calls.is_empty() {
                let (calls, done) = mem::take(&mut state.calls).into_iter().unzip();
                let committed = state.committed.take();
                return Task::Write(Batch { calls, done, committed, upto: state.newest });
            }
            if state.stopping {
                state.stopped = true;
                return Task::Stop(state.committed.take());
            }
            match patience {
                None => self.wake.wait(&mut state),
                Some(patience) => {
                    let waited = self.wake.wait_for(&mut state, patience);
                    if waited.timed_out() && state.calls.is_empty() && !state.stopping {
                        return Task::Idle;
                    }
                }
            }
        }
    }

    /// Fails everything queued and to come; for a sync thread that ends unexpectedly.
    pub(crate) fn abandon(&self, error: &io::Error) {
        let mut state = self.state.lock();
        if state.stopped {
            return;
        }
        state.stopped = true;
        let fault = state.fault.get_or_insert_with(|| Fault::new(error)).clone();
        let calls = mem::take(&mut state.calls);
        drop(state);
        for (_, done) in calls {
            done(Err(fault.to_error()));
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the Raft log is closed")
}
