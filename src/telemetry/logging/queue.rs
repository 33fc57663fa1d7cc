//! The bounded queue between those who log and the one thread that writes.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Format;
use super::line::{Content, caller, render};
use super::output::Output;
use super::severity::Severity;
use crate::types::clock::Clock;

/// Lines that may wait. A thousand lines a second for four seconds; beyond that lines are dropped.
const CAPACITY: usize = 4096;
/// How long a flush waits: an output that takes longer is stuck, and the process must end anyway.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// A rendered line and what the journal wants to know beside it.
pub(super) struct Line {
    pub(super) severity: Severity,
    /// The directory of the caller.
    pub(super) package: String,
    pub(super) text: String,
}

/// Lines on their way to the writing thread.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    /// Lines taken in and lines written, ever; equal when nothing is on its way.
    accepted: u64,
    written: u64,
    /// Lines that found the queue full since this was last told in the log.
    dropped: u64,
    reopen: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.state.lock().lines.len()).finish()
    }
}

impl Queue {
    /// Starts the thread that writes to `outputs`; it lives as long as the process.
    ///
    /// It is not a supervised task: it must write the last words of the supervisor too.
    pub(super) fn start(
        outputs: Vec<Output>,
        format: Format,
        clock: Clock,
    ) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::with_capacity(CAPACITY));
        let own = Arc::clone(&queue);
        let write = move || own.run(outputs, format, clock);
        std::thread::Builder::new().name(String::from("log")).spawn(write)?;
        Ok(queue)
    }

    fn with_capacity(capacity: usize) -> Self {
        let state = Mutex::new(State::default());
        Self { state, filled: Condvar::new(), written: Condvar::new(), capacity }
    }

    /// Leaves a line to be written, or counts it as dropped if the queue is full.
    pub(super) fn push(&self, line: Line) {
        let mut state = self.state.lock();
        if state.lines.len() >= self.capacity {
            state.dropped += 1;
            return;
        }
        state.lines.push_back(line);
        state.accepted += 1;
        self.filled.notify_one();
    }

    /// Has the files opened again before the next line is written.
    pub(super) fn reopen(&self) {
        self.state.lock().reopen = true;
        self.filled.notify_one();
    }

    /// Waits until what was accepted so far is written, within [`FLUSH_LIMIT`].
    pub(super) fn flush(&self) {
        let mut state = self.state.lock();
        let goal = state.accepted;
        self.written.wait_while_for(&mut state, |state| state.written < goal, FLUSH_LIMIT);
    }

    /// Waits for work and takes all of it: lines, the count of dropped ones, whether to reopen.
    fn take(&self) -> (VecDeque<Line>, u64, bool) {
        let mut state = self.state.lock();
        self.filled.wait_while(&mut state, |state| state.lines.is_empty() && !state.reopen);
        let (dropped, reopen) = (state.dropped, state.reopen);
        (state.dropped, state.reopen) = (0, false);
        (std::mem::take(&mut state.lines), dropped, reopen)
    }

    fn run(&self, mut outputs: Vec<Output>, format: Format, clock: Clock) {
        loop {
            let (lines, dropped, reopen) = self.take();
            if reopen {
                outputs.iter_mut().for_each(Output::reopen);
            }
            for line in &lines {
                outputs.iter_mut().for_each(|output| output.write(line, clock));
            }
            if dropped > 0 {
                let line = drop_notice(dropped, format, clock);
                outputs.iter_mut().for_each(|output| output.write(&line, clock));
            }
            let mut state = self.state.lock();
            state.written += u64::try_from(lines.len()).unwrap_or(u64::MAX);
            self.written.notify_all();
        }
    }
}

fn drop_notice(dropped: u64, format: Format, clock: Clock) -> Line {
    let content = Content {
        message: String::from("log lines were dropped because the outputs are too slow"),
        fields: format!(",\"dropped\":{dropped}"),
        ..Content::default()
    };
    let caller = caller(Some(file!()), Some(line!()));
    let severity = Severity::Warn;
    let text = render(format, severity, clock.unix(), &caller, &content);
    Line { severity, package: String::from("logging"), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let text = String::from(text);
        Line { severity: Severity::Info, package: String::new(), text }
    }

    #[test]
    fn a_full_queue_drops_and_counts_instead_of_waiting() {
        let queue = Queue::with_capacity(2);
        for text in ["a", "b", "c", "d"] {
            queue.push(line(text));
        }
        let (lines, dropped, reopen) = queue.take();
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((dropped, reopen), (2, false));
        queue.push(line("e"));
        assert_eq!(queue.take().1, 0);
        let notice = drop_notice(2, Format::Json, Clock).text;
        assert!(notice.ends_with("too slow\",\"dropped\":2}\n"), "{notice}");
    }
}
