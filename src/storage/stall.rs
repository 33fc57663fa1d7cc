//! Waiting for the state database in a way that ends.
//!
//! fjall sleeps inside a commit for as long as four memory buffers wait to be flushed or thirty
//! runs wait to be merged, without looking whether its flusher still lives: with a full disk that
//! wait has no end. So we wait before the commit, at lower marks, watch for the database having
//! failed meanwhile, and give up with an error after a limit.

use std::thread;
use std::time::Duration;

use fjall::{AbstractTree, Database, Keyspace, PersistMode};

use super::error::StorageError;
use super::keyspace::Space;
use crate::types::clock::Clock;

/// Below fjall's own marks of 4 and 30.
const SEALED_LIMIT: usize = 3;
const RUNS_LIMIT: usize = 28;
/// A disk that needs longer for one buffer cannot serve a cluster.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Short enough that a commit waits little longer than the flush it waits for.
const STEP: Duration = Duration::from_millis(1);

/// Waits until `keyspace` can take a commit without stalling inside it.
pub(crate) fn wait_for_room(
    db: &Database,
    space: Space,
    keyspace: &Keyspace,
) -> Result<(), StorageError> {
    wait(db, space, keyspace, SEALED_LIMIT, RUNS_LIMIT)
}

/// Waits until buffers recovered from the journal are flushed, so that a database that was killed
/// under load starts with room for writes.
pub(crate) fn settle(db: &Database, space: Space, keyspace: &Keyspace) -> Result<(), StorageError> {
    if keyspace.sealed_memtable_count() > 0 {
        // One flush task is queued per keyspace after recovery; this queues another for the rest.
        return flush(db, space, keyspace);
    }
    wait(db, space, keyspace, 1, RUNS_LIMIT)
}

/// Has what `keyspace` holds in memory written into tables, and waits for it.
pub(crate) fn flush(db: &Database, space: Space, keyspace: &Keyspace) -> Result<(), StorageError> {
    keyspace.rotate_memtable().map_err(StorageError::engine("flush", keyspace.path()))?;
    wait(db, space, keyspace, 1, RUNS_LIMIT)
}

fn wait(
    db: &Database,
    space: Space,
    keyspace: &Keyspace,
    sealed_limit: usize,
    runs_limit: usize,
) -> Result<(), StorageError> {
    let behind = || {
        let (sealed, runs) = (keyspace.sealed_memtable_count(), keyspace.tree.l0_run_count());
        (sealed >= sealed_limit || runs >= runs_limit).then_some((sealed, runs))
    };
    if behind().is_none() {
        return Ok(());
    }
    let start = Clock.now();
    while let Some((sealed, runs)) = behind() {
        // Cheap, and an error if a background thread of the database has failed.
        db.persist(PersistMode::Buffer)
            .map_err(StorageError::engine("flush buffers", keyspace.path()))?;
        let waited = Clock.now().duration_since(start);
        if waited > GIVE_UP {
            let seconds = waited.as_secs();
            return Err(StorageError::Stalled { space: space.name(), seconds, sealed, runs });
        }
        pause();
    }
    Ok(())
}

/// A relative wait: the end of `park_timeout` is a moment, which the system would wait for in vain where
/// the caller's time is not its own, as in a simulation.
#[expect(
    clippy::disallowed_methods,
    reason = "fjall tells nobody when it has written a buffer out"
)]
fn pause() {
    thread::sleep(STEP);
}
