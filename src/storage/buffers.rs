//! Freeing memory buffers where nobody waits for it.
//!
//! fjall lets go of buffers that were written out while it holds the locks that a commit needs, and to
//! free a hundred thousand records takes 40 to 60 ms. Here every buffer has one owner more, so that
//! nothing is freed then, and the last owner drops it in a thread of its own.

use std::any::Any;
use std::sync::Arc;
use std::thread;

use fjall::{AbstractTree, Keyspace};
use parking_lot::Mutex;

use super::keyspace::Space;

/// The buffers of a database, in use or not freed yet.
#[derive(Default)]
pub(super) struct Buffers {
    held: Mutex<Vec<Held>>,
}

struct Held {
    /// The space, and fjall's number of the buffer within it.
    id: (Space, u64),
    buffer: Arc<dyn Any + Send + Sync>,
}

impl Buffers {
    /// Becomes an owner of the buffer that takes the writes of a space. Called after each of them, it
    /// misses none, as one takes many.
    pub(super) fn hold(&self, space: Space, keyspace: &Keyspace) {
        let buffer = keyspace.tree.active_memtable();
        let id = (space, buffer.id());
        let mut held = self.held.lock();
        if !held.iter().any(|one| one.id == id) {
            held.push(Held { id, buffer });
        }
    }

    /// Frees the buffers that have no other owner any more.
    pub(super) fn free(&self) {
        let mut held = self.held.lock();
        if !held.iter().any(Held::is_done_with) {
            return;
        }
        let done: Vec<_> = held.extract_if(.., |one| one.is_done_with()).collect();
        drop(held);
        // They are freed here if there is no thread to be had.
        let _ = thread::Builder::new().name("free-buffers".into()).spawn(move || drop(done));
    }

    /// How many are held.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.held.lock().len()
    }
}

impl Held {
    fn is_done_with(&self) -> bool {
        Arc::strong_count(&self.buffer) == 1
    }
}
