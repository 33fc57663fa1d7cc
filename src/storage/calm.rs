//! Whether a commit would take microseconds.
//!
//! fjall syncs tables and manifests, one after the other, while it holds locks that a commit needs: at
//! the end of each buffer that is written out and of each merge. So a database counts as calm only when
//! there was nothing of the kind for a while. It is all known from commits that were made: whoever asks
//! takes no lock of fjall's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace};
use parking_lot::Mutex;

use crate::types::clock::Clock;

/// How long it stays busy after the last trouble that was seen: one thing brings about the next, and
/// journals are removed after that.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// What commits have seen.
#[derive(Default)]
pub(super) struct Calm {
    is_busy: AtomicBool,
    /// When something was last under way.
    busy: Mutex<Option<Instant>>,
}

impl Calm {
    /// Whether nothing was under way at the last commit and a while before, and nothing is merged now.
    pub(super) fn holds(&self, db: &Database) -> bool {
        !self.is_busy.load(Ordering::Acquire) && db.active_compactions() == 0
    }

    /// Notes a commit, and whether a buffer `turns`, so that it is being written out or soon will be.
    pub(super) fn note(&self, db: &Database, turns: bool, spaces: &[Keyspace]) {
        let was_busy = self.is_busy.load(Ordering::Acquire);
        // One buffer that is written out may have others follow, of spaces nobody writes to.
        let is_busy = turns
            || db.active_compactions() > 0
            || was_busy && spaces.iter().any(|space| space.sealed_memtable_count() > 0);
        if !was_busy && !is_busy {
            return;
        }
        let now = Clock.now();
        let mut busy = self.busy.lock();
        if is_busy {
            *busy = Some(now);
        }
        let lately = busy.is_some_and(|then| now.duration_since(then) < AFTERWARDS);
        self.is_busy.store(lately, Ordering::Release);
    }
}
