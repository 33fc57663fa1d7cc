//! How much log is kept. Entries hold many requests and up to a megabyte, so counting them, as
//! the core does, bounds neither disk nor the time to replay; this counts bytes.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::node::Core;
use super::types::LogId;
use crate::failpoint::scaled;
use crate::tasks::Stop;

/// Bytes of log after which the state is made durable, so that the log may shrink.
const SNAPSHOT_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of log kept behind that for members that lag.
const KEEP_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes between two places at which the log may be cut.
const MARK_BYTES: u64 = 1024 * 1024;

/// Counts the bytes of committed entries.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    state: Mutex<State>,
    due: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of all entries since start.
    total: u64,
    saved_at: u64,
    newest: Option<LogId>,
    marks: VecDeque<Mark>,
}

/// Bytes of all entries up to and including an index.
#[derive(Debug)]
struct Mark {
    index: u64,
    total: u64,
}

impl Retention {
    /// Notes committed entries of `bytes`, the last of them being `newest`.
    pub(crate) fn committed(&self, newest: LogId, bytes: u64) {
        let mut state = self.state.lock();
        state.total += bytes;
        state.newest = Some(newest);
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

    /// The newest entry whose successors alone hold enough bytes; older ones may go. Forgets what
    /// lies before it.
    fn cut(&self) -> Option<u64> {
        let mut state = self.state.lock();
        let limit = state.total.checked_sub(scaled(KEEP_BYTES))?;
        let mut cut = None;
        while let Some(mark) = state.marks.front().filter(|mark| mark.total <= limit) {
            cut = Some(mark.index);
            state.marks.pop_front();
        }
        cut
    }

    /// Has snapshots made and the log cut as it grows, until `stop`.
    pub(crate) async fn run(&self, core: Core, stop: Stop) {
        let stopped = stop.stopped();
        tokio::pin!(stopped);
        let mut saved = core.watch_snapshot_progress();
        loop {
            tokio::select! {
                () = &mut stopped => return,
                () = self.due.notified() => {}
            }
            let target = self.state.lock().newest;
            let work = async {
                core.trigger().snapshot().await.ok()?;
                saved.wait_until_ge(&target).await.ok()?;
                match self.cut() {
                    Some(index) => core.trigger().purge_log(index).await.ok(),
                    None => Some(()),
                }
            };
            tokio::select! {
                () = &mut stopped => return,
                // The core is gone; whoever watches it says so.
                done = work => if done.is_none() { return },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_entries_may_go_once_newer_ones_hold_enough() {
        let retention = Retention::default();
        let entry = |index| LogId::new_term_index(1, index);
        for index in 0..40 {
            retention.committed(entry(index), MARK_BYTES);
        }
        // 40 MiB are there and 32 stay: the first eight may go.
        assert_eq!(retention.cut(), Some(7));
        assert_eq!(retention.cut(), None);
        retention.committed(entry(40), MARK_BYTES);
        assert_eq!(retention.cut(), Some(8));
    }
}
