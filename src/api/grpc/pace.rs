//! Notices when small reads wait for the disk, so that they do so on threads that nobody else needs.
//!
//! From memory a read takes microseconds, and the thread that serves its connection makes it by
//! itself. One that waits for a disk would hold up that thread's other connections, and consensus.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Average nanoseconds of a read above which reads are slow: more than any that need no disk.
const SLOW: u64 = 200_000;
/// How long reads count as slow then, before they are tried again.
const LASTS: Duration = Duration::from_millis(100);
/// A read makes up this part of the average: one that only lost its processor for a while changes little.
const WEIGHT: u64 = 16;

/// How long small reads take of late.
#[derive(Debug)]
pub(super) struct Pace {
    /// The zero of the other times.
    since: Instant,
    average: AtomicU64,
    slow_until: AtomicU64,
}

impl Pace {
    /// Reads are quick as far as is known.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, average: AtomicU64::new(0), slow_until: AtomicU64::new(0) }
    }

    /// Whether reads are slow.
    pub(super) fn is_slow(&self, now: Instant) -> bool {
        self.at(now) < self.slow_until.load(Ordering::Relaxed)
    }

    /// Takes note of a read. Two at once may lose one of them, which an average does not mind.
    pub(super) fn note(&self, began: Instant, ended: Instant) {
        let average = self.average.load(Ordering::Relaxed);
        let took = nanos(ended.saturating_duration_since(began));
        let average = average - average / WEIGHT + took / WEIGHT;
        if average > SLOW {
            self.slow_until.store(self.at(ended).saturating_add(nanos(LASTS)), Ordering::Relaxed);
            // When they are tried again, a few must be slow again.
            self.average.store(SLOW / 2, Ordering::Relaxed);
        } else {
            self.average.store(average, Ordering::Relaxed);
        }
    }

    fn at(&self, moment: Instant) -> u64 {
        nanos(moment.saturating_duration_since(self.since))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::clock::Clock;

    const QUICK: Duration = Duration::from_micros(60);

    #[test]
    fn one_long_read_is_chance_and_several_are_a_slow_disk() {
        let start = Clock.now();
        let pace = Pace::new(start);
        let note = |took| pace.note(start, start + took);
        for _ in 0..1000 {
            note(QUICK);
        }
        note(Duration::from_millis(2));
        assert!(!pace.is_slow(start + Duration::from_millis(2)));
        for _ in 0..3 {
            note(Duration::from_millis(2));
        }
        let noticed = start + Duration::from_millis(2);
        assert!(pace.is_slow(noticed));
        assert!(pace.is_slow(noticed + LASTS - Duration::from_millis(1)));
        assert!(!pace.is_slow(noticed + LASTS), "they are never tried again");
        note(QUICK);
        assert!(!pace.is_slow(noticed + LASTS));
    }
}
