//! Whether a commit would take microseconds.
//!
//! fjall syncs tables and manifests, one after the other, while it holds locks that a commit needs: at
//! the end of each buffer that is written out and of each merge. So a database counts as calm only when
//! there was nothing of the kind for a while. It is all known from commits that were made: whoever asks
//! takes no lock of fjall's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fjall::{AbstractTree, Database, Keyspace};
use parking_lot::Mutex;

use super::keyspace::Space;
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

    /// Looks what a commit to `touched` has brought about; at everything, unless all was calm before.
    pub(super) fn look<'a>(
        &self,
        db: &Database,
        mut touched: impl Iterator<Item = (Space, &'a Keyspace)>,
        all: &[Keyspace],
    ) {
        let was_busy = self.is_busy.load(Ordering::Acquire);
        let has_sealed = |keyspace: &Keyspace| keyspace.sealed_memtable_count() > 0;
        let is_busy = db.active_compactions() > 0
            || touched.any(|(space, keyspace)| is_full(space, keyspace) || has_sealed(keyspace))
            || was_busy && all.iter().any(has_sealed);
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

/// Whether the buffer that takes writes is about to be written out.
fn is_full(space: Space, keyspace: &Keyspace) -> bool {
    keyspace.tree.active_memtable().size() >= space.buffer_bytes()
}
