//! How far long work has come, for people at a terminal; silent when standard error is a file or a
//! pipe.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::types::clock::Clock;

/// Pause between two looks at the same line.
const PAUSE: Duration = Duration::from_millis(200);

/// One line that is written over and over.
#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
    last: Option<Instant>,
    dirty: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { shown: std::io::stderr().is_terminal(), last: None, dirty: false }
    }

    /// Shows a text in the place of the last one, unless that was a moment ago.
    pub(super) fn tell(&mut self, text: impl FnOnce() -> String) {
        let now = Clock.now();
        if !self.shown || self.last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            return;
        }
        (self.last, self.dirty) = (Some(now), true);
        self.write(&text());
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        // A terminal that has gone is told nothing.
        let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.dirty {
            self.write("");
        }
    }
}
