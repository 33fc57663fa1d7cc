//! The only place that reads a clock. Everything else is handed a [`Clock`] or a time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the time comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// A monotonic instant, for deadlines and durations.
    #[expect(clippy::disallowed_methods, reason = "this is the one reader of the monotonic clock")]
    pub fn now(self) -> Instant {
        Instant::now()
    }

    /// Time since the Unix epoch by the wall clock; zero if the wall clock is before it.
    #[expect(clippy::disallowed_methods, reason = "this is the one reader of the wall clock")]
    pub fn unix(self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
