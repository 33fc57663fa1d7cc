//! Freeing memory buffers where nobody waits for it.
//!
//! fjall lets go of buffers that were written out while it holds the locks that a commit needs, and to
//! free a hundred thousand records takes 40 to 60 ms. Here every buffer has one owner more, so that
//! nothing is freed then, and the last owner drops it in a thread of its own.

use std::any::Any;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fjall::{AbstractTree, Keyspace};
use parking_lot::Mutex;

use super::keyspace::Space;

/// How often is looked whether fjall has let go: soon at first, as memory is short where it is, and
/// seldom where a reader keeps a buffer.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A buffer, of a type that fjall keeps to itself.
type Buffer = Arc<dyn Any + Send + Sync>;

/// The buffers of a database that take writes, by space.
#[derive(Default)]
pub(super) struct Buffers {
    newest: Mutex<[Option<Buffer>; Space::ALL.len()]>,
}

impl Buffers {
    /// Becomes an owner of the buffer that takes the writes of a space, and has the one before freed once
    /// it is written out. Called after each write, it misses none, as one takes many. Tells whether a
    /// buffer is full, or has been given up for a new one since the last call.
    pub(super) fn hold(&self, space: Space, keyspace: &Keyspace) -> bool {
        let buffer = keyspace.tree.active_memtable();
        let is_full = buffer.size() >= space.buffer_bytes();
        let buffer: Buffer = buffer;
        let mut newest = self.newest.lock();
        let Some(held) = newest.get_mut(space.slot()) else { return is_full };
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, &buffer)) {
            return is_full;
        }
        let before = held.replace(buffer);
        let is_new = before.is_some();
        before.into_iter().for_each(free);
        is_full || is_new
    }
}

/// Frees a buffer as soon as nobody else owns it. Without a thread for that, fjall does.
fn free(buffer: Buffer) {
    let wait = move || {
        let mut pause = FIRST_LOOK;
        while Arc::strong_count(&buffer) > 1 {
            thread::park_timeout(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    };
    let _ = thread::Builder::new().name("free-buffer".into()).spawn(wait);
}
