//! A few lines a second, and a count of the others.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::types::clock::Clock;

/// Lines per second one place may write about what strangers do.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// Lets a few messages a second through and counts the others.
#[derive(Debug, Default)]
pub struct Quiet {
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    said: u32,
    hidden: u64,
}

impl Quiet {
    /// Calls `message` with the number of messages swallowed before it, or swallows this one too.
    pub fn say(&self, message: impl FnOnce(u64)) {
        if let Some(hidden) = self.admit(Clock.now()) {
            message(hidden);
        }
    }

    fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        let state = state.get_or_insert(State { since: now, said: 0, hidden: 0 });
        if now.duration_since(state.since) >= WINDOW {
            (state.since, state.said) = (now, 0);
        }
        if state.said == LINES {
            state.hidden += 1;
            return None;
        }
        state.said += 1;
        Some(std::mem::take(&mut state.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_not_written() {
        let (quiet, start) = (Quiet::default(), Clock.now());
        let written = (0..100).filter(|_| quiet.admit(start).is_some()).count();
        assert_eq!(written, 10);
        assert_eq!(quiet.admit(start + WINDOW), Some(90));
        assert_eq!(quiet.admit(start + WINDOW), Some(0));
    }
}
