//! Chance, and the record of everything that happened: what all parts of a simulation share.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// Shared by all parts of one simulation.
pub(super) struct World {
    state: Mutex<State>,
    began: Instant,
    /// Print every event.
    loud: bool,
    failure: watch::Sender<Option<String>>,
    /// What is broken on purpose, to see that it is found.
    broken: Option<String>,
}

struct State {
    random: u64,
    events: u64,
    hash: Xxh3,
    line: String,
    counts: BTreeMap<&'static str, usize>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let state = State {
            random,
            events: 0,
            hash: Xxh3::new(),
            line: String::new(),
            counts: BTreeMap::new(),
        };
        let loud = std::env::var_os("SIMULATION_TRACE").is_some();
        let failure = watch::Sender::new(None);
        let broken = std::env::var("SIMULATION_BREAK").ok();
        Self { state: Mutex::new(state), began: Instant::now(), loud, failure, broken }
    }

    /// Time since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn next(&self) -> u64 {
        let random = &mut self.state.lock().random;
        *random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not zero.
    pub(super) fn below(&self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// Whether something happens that does so `times` in a thousand.
    pub(super) fn chance(&self, times: usize) -> bool {
        self.below(1000) < times
    }

    /// A time between two, in milliseconds.
    pub(super) fn millis(&self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from + self.below(to - from + 1)) as u64)
    }

    /// One of them.
    pub(super) fn pick<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Whether something is broken on purpose: the log answers before it has written (`answers`), or reads
    /// ask no quorum (`reads`).
    pub(super) fn is_broken(&self, what: &str) -> bool {
        self.broken.as_deref() == Some(what)
    }

    /// Records an event.
    pub(super) fn note(&self, what: fmt::Arguments<'_>) {
        let now = self.now().as_millis();
        let mut state = self.state.lock();
        let State { events, hash, line, .. } = &mut *state;
        *events += 1;
        line.clear();
        writeln!(line, "{now} {what}").unwrap();
        hash.update(line.as_bytes());
        if self.loud {
            eprint!("{line}");
        }
    }

    /// Something happened that must not; the first is told.
    pub(super) fn fail(&self, what: String) {
        self.note(format_args!("FAILURE: {what}"));
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(what);
            first
        });
    }

    /// Waits until something happens that must not.
    pub(super) async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await;
        failed.unwrap().clone().unwrap()
    }

    /// Counts what a seed should have met with.
    pub(super) fn count(&self, what: &'static str, times: usize) {
        *self.state.lock().counts.entry(what).or_default() += times;
    }

    /// What was counted.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.state.lock().counts.clone()
    }

    /// How many events there were, and a hash over all of them.
    pub(super) fn summary(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.events, state.hash.digest())
    }
}
