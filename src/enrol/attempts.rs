//! How often one address may show a token that is none.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Failures an address may have in a window, and all of them together.
const EACH: u32 = 10;
const ALL: u32 = 1000;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered in a window; the failures of later ones count for all together only.
const ADDRESSES: usize = 4096;

/// Counts failures. Guessing a secret is out of the question; this keeps guessers from keeping the
/// issuer busy and the log full.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    window: Mutex<Option<Window>>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    all: u32,
    each: HashMap<IpAddr, u32>,
}

impl Attempts {
    /// Whether somebody at this address may try; asked before anything is looked at.
    pub(super) fn may_try(&self, from: Option<IpAddr>, now: Instant) -> bool {
        let mut window = self.window.lock();
        if window.as_ref().is_some_and(|window| now.duration_since(window.since) >= WINDOW) {
            *window = None;
        }
        let Some(window) = window.as_ref() else { return true };
        let own = from.and_then(|from| window.each.get(&from)).copied().unwrap_or_default();
        own < EACH && window.all < ALL
    }

    /// Somebody at this address has failed.
    pub(super) fn failed(&self, from: Option<IpAddr>, now: Instant) {
        let mut window = self.window.lock();
        let window =
            window.get_or_insert_with(|| Window { since: now, all: 0, each: HashMap::new() });
        window.all = window.all.saturating_add(1);
        if let Some(from) = from
            && (window.each.len() < ADDRESSES || window.each.contains_key(&from))
        {
            *window.each.entry(from).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::clock::Clock;

    #[test]
    fn an_address_that_fails_often_waits_and_others_do_not() {
        let attempts = Attempts::default();
        let (now, bad, good) = (Clock.now(), "10.0.0.1".parse().ok(), "10.0.0.2".parse().ok());
        for _ in 0..EACH {
            assert!(attempts.may_try(bad, now));
            attempts.failed(bad, now);
        }
        assert!(!attempts.may_try(bad, now) && attempts.may_try(good, now));
        assert!(attempts.may_try(bad, now + WINDOW));
        attempts.failed(bad, now + WINDOW);
        for _ in 0..ALL {
            attempts.failed(good, now + WINDOW);
        }
        assert!(!attempts.may_try("10.0.0.3".parse().ok(), now + WINDOW));
    }
}
