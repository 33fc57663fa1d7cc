//! Keeps one message that repeats from drowning the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Lines of one severity and message that pass in each second, and which of the later ones do.
const FIRST: u64 = 100;
const THEREAFTER: u64 = 100;
/// Messages share a counter when their hashes meet, which at worst thins both out.
const COUNTERS: usize = 1024;
const COUNT_BITS: u32 = 32;

/// Counts lines by message: in each second the first hundred pass, then every hundredth, as in etcd.
pub(super) struct Sampler {
    /// The second in the upper half, the lines seen in it in the lower.
    counters: Box<[AtomicU64]>,
}

impl Sampler {
    pub(super) fn new() -> Self {
        Self { counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether a line with this message passes at time `now` since the epoch.
    pub(super) fn passes(&self, severity: u8, message: &str, now: Duration) -> bool {
        let hash = message.bytes().fold(FNV_START ^ u64::from(severity), |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
        });
        let index = usize::try_from(hash >> COUNT_BITS).unwrap_or(0) % COUNTERS;
        let Some(counter) = self.counters.get(index) else { return true };
        let second = now.as_secs() << COUNT_BITS;
        let old = counter.load(Ordering::Relaxed);
        let count = if old & !COUNT_MASK == second { (old & COUNT_MASK) + 1 } else { 1 };
        // Two threads may count one line twice as one: a line more is no harm.
        counter.store(second | (count & COUNT_MASK), Ordering::Relaxed);
        count <= FIRST || (count - FIRST).is_multiple_of(THEREAFTER)
    }
}

const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_thinned_out_and_other_messages_and_seconds_are_not() {
        let sampler = Sampler::new();
        let at = |secs| Duration::from_secs(secs);
        let passed = (0..1000).filter(|_| sampler.passes(2, "flood", at(5))).count();
        assert_eq!(passed, 109);
        assert!(sampler.passes(2, "other", at(5)) && sampler.passes(3, "flood", at(5)));
        assert!(sampler.passes(2, "flood", at(6)));
    }
}
