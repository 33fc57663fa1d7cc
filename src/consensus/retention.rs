//! How much log is kept. Entries hold many requests and up to a megabyte, so counting them, as
//! the core does, bounds neither disk nor the time to replay; this counts bytes too. While a state is on
//! its way to a member the log stays whole: what the member lacks afterwards must not be gone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::node::Core;
use super::types::LogId;
use crate::failpoint::scaled;
use crate::tasks::Stop;
use crate::types::clock::Clock;

/// Bytes of log after which the state is made durable, so that the log may shrink.
const SNAPSHOT_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of log kept behind that for members that lag.
const KEEP_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes between two places at which the log may be cut.
const MARK_BYTES: u64 = 1024 * 1024;

/// How long the log stays whole after a state was sent, as in etcd: time to catch up with it.
const AFTERWARDS: Duration = Duration::from_secs(30);
/// Bytes of log that are kept for members that are sent a state; with more the state is sent again.
const MOST_BYTES: u64 = 4 << 30;

/// Counts the bytes of committed entries.
#[derive(Debug)]
pub(crate) struct Retention {
    state: Mutex<State>,
    due: Notify,
    clock: Clock,
}

/// Keeps the log whole until half a minute after it is dropped.
#[derive(Debug)]
pub(crate) struct Hold<'a> {
    retention: &'a Retention,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut state = self.retention.state.lock();
        state.holds -= 1;
        state.released = Some(self.retention.clock.now());
    }
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of all entries since start.
    total: u64,
    saved_at: u64,
    marks: VecDeque<Mark>,
    /// The newest entry that had to go since start, with everything before it.
    cut: Option<u64>,
    /// States that are on their way, and when the last one was not any more.
    holds: usize,
    released: Option<Instant>,
}

/// Bytes of all entries up to and including an index.
#[derive(Debug)]
struct Mark {
    index: u64,
    total: u64,
}

impl State {
    /// Whether the log is to stay whole.
    fn is_held(&self, now: Instant) -> bool {
        let lately = |at: Instant| now.duration_since(at) < AFTERWARDS;
        let wanted = self.holds > 0 || self.released.is_some_and(lately);
        let oldest = self.marks.front().map_or(self.total, |mark| mark.total);
        wanted && self.total - oldest < scaled(MOST_BYTES)
    }
}

impl Retention {
    /// Nothing is there yet.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { state: Mutex::default(), due: Notify::new(), clock }
    }

    /// Keeps the log whole for a member that is sent a state, and that is known afterwards to have what the
    /// log held up to `promised`, though it may have more. Nothing if the log does not reach back so far
    /// any more: the member would have to be sent another state. Whoever promises anew, soon, finds the
    /// log whole.
    pub(crate) fn hold(&self, promised: Option<u64>) -> Option<Hold<'_>> {
        let mut state = self.state.lock();
        if state.cut > promised {
            state.released = Some(self.clock.now());
            return None;
        }
        state.holds += 1;
        Some(Hold { retention: self })
    }

    /// Notes committed entries of `bytes`, the last of them being `newest`.
    pub(crate) fn committed(&self, newest: LogId, bytes: u64) {
        let mut state = self.state.lock();
        state.total += bytes;
        let total = state.total;
        if state.marks.back().is_none_or(|last| total - last.total >= scaled(MARK_BYTES)) {
            state.marks.push_back(Mark { index: newest.index, total });
        }
        if total - state.saved_at >= scaled(SNAPSHOT_BYTES) {
            state.saved_at = total;
            drop(state);
            self.due.notify_one();
        }
    }

    /// The newest entry that may go, with everything before it, when a snapshot reaches up to `saved`:
    /// behind it are `entries`, or enough bytes. Forgets what lies before.
    fn cut(&self, saved: u64, entries: u64) -> Option<u64> {
        let mut state = self.state.lock();
        if state.is_held(self.clock.now()) {
            return None;
        }
        let mut cut = saved.checked_sub(entries);
        let limit = state.total.checked_sub(scaled(KEEP_BYTES));
        let may_go =
            |mark: &&Mark| limit.is_some_and(|limit| mark.total <= limit && mark.index <= saved);
        while let Some(mark) = state.marks.front().filter(may_go) {
            cut = cut.max(Some(mark.index));
            state.marks.pop_front();
        }
        state.cut = state.cut.max(cut);
        cut
    }

    /// Has snapshots made, and the log cut after each of them but for `entries` or enough bytes, until
    /// `stop`.
    pub(crate) async fn run(&self, core: Core, entries: u64, stop: Stop) {
        let stopped = stop.stopped();
        tokio::pin!(stopped);
        let mut progress = core.watch_snapshot_progress();
        let mut saved = progress.get();
        loop {
            let before = saved;
            // The core may be gone; whoever watches it says so.
            tokio::select! {
                () = &mut stopped => return,
                () = self.due.notified() => {
                    if core.trigger().snapshot().await.is_err() { return }
                }
                now = progress.wait_until(move |now| *now > before) => {
                    let Ok(now) = now else { return };
                    saved = now;
                    let cut = now.and_then(|now| self.cut(now.index, entries));
                    if let Some(cut) = cut && core.trigger().purge_log(cut).await.is_err() { return }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_entries_may_go_once_newer_ones_hold_enough() {
        let retention = Retention::new(Clock);
        let entry = |index| LogId::new_term_index(1, index);
        for index in 0..40 {
            retention.committed(entry(index), MARK_BYTES);
        }
        // 40 MiB are there and 32 stay: the first eight may go.
        assert_eq!(retention.cut(5, 100), Some(5));
        assert_eq!(retention.cut(39, 100), Some(7));
        assert_eq!(retention.cut(39, 100), None);
        assert_eq!(retention.cut(39, 10), Some(29));
        retention.committed(entry(40), MARK_BYTES);
        assert_eq!(retention.cut(40, 100), Some(8));
    }

    #[test]
    fn the_log_stays_whole_for_a_state_on_its_way_up_to_a_limit() {
        let retention = Retention::new(Clock);
        let entry = |index| LogId::new_term_index(1, index);
        retention.committed(entry(0), MARK_BYTES);
        assert_eq!(retention.cut(20, 10), Some(10));
        let (one, two) = (retention.hold(Some(10)).unwrap(), retention.hold(Some(11)).unwrap());
        drop(one);
        assert_eq!(retention.cut(30, 10), None);
        drop(two);
        assert_eq!(retention.cut(30, 10), None);
        assert!(!retention.state.lock().is_held(Clock.now() + AFTERWARDS));
        retention.committed(entry(1), MOST_BYTES);
        assert_eq!(retention.cut(30, 10), Some(20));
    }

    /// A state that was promised before the log was cut behind it would be sent for nothing.
    #[test]
    fn a_log_that_was_cut_too_far_is_held_for_the_next_promise() {
        let retention = Retention::new(Clock);
        assert!(retention.hold(None).is_some());
        retention.state.lock().released = None;
        assert_eq!(retention.cut(30, 10), Some(20));
        assert!(retention.hold(None).is_none() && retention.hold(Some(19)).is_none());
        assert_eq!(retention.cut(40, 10), None);
        assert!(retention.hold(Some(20)).is_some());
    }
}
