//! The state database: keyspaces of sorted bytes with atomic batches, on fjall.
//!
//! Writes reach the operating system, not the disk: they survive a killed process, and after a
//! power cut the newest ones may be gone, but always as a whole suffix of batches. The Raft log
//! fills them in again; [`Engine::persist`] is called before that log is purged.
//! Only one thread may write at a time.

use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fjall::{AbstractTree, Database, Keyspace, OwnedWriteBatch, PersistMode, Readable, Snapshot};

use super::buffers::Buffers;
use super::calm::Calm;
use super::error::StorageError;
use super::journal::{self, Cut};
pub use super::keyspace::Space;
use super::space::{Room, Space as DiskSpace};
use super::stall;
use super::verify::{self, is_damage};
use crate::failpoint::{self, Point};

/// One journal, the least that fjall takes. It bounds the time to replay them, item by item even where
/// the items are in tables already, and has them go one by one: to remove one takes 30 to 50 ms, and
/// whoever begins the next journal waits for that.
const MAX_JOURNAL_BYTES: u64 = 64 << 20;
/// Items per internal batch of [`Engine::delete_many`]: bounds how long readers' views see it half
/// done to a millisecond.
const DELETE_CHUNK: usize = 4096;

/// How to open an [`Engine`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for blocks read from disk, in bytes.
    pub cache_bytes: u64,
    /// Background threads that flush and merge; at least 1.
    pub worker_threads: usize,
    /// The room there is for what is written.
    pub space: DiskSpace,
}

impl Default for Options {
    /// 64 MiB of cache, two threads: one flushes while the other merges.
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, worker_threads: 2, space: DiskSpace::unlimited() }
    }
}

/// The state database. Clones share it; it is closed when the last clone, view and batch is gone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    spaces: [Keyspace; 6],
    buffers: Buffers,
    calm: Calm,
    room: DiskSpace,
    dir: PathBuf,
}

impl Engine {
    /// Opens the database in `dir`, creating it if there is none, and waits until data recovered
    /// after a crash is settled.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, StorageError> {
        verify::manifests(dir)?;
        let cut = journal::mend(dir)?;
        let db = Database::builder(dir)
            .cache_size(options.cache_bytes)
            .worker_threads(options.worker_threads.max(1))
            .max_journaling_size(MAX_JOURNAL_BYTES)
            .open()
            .map_err(StorageError::engine("open", dir))?;
        let open = |space: Space| {
            let opened = db.keyspace(space.name(), || space.tuning());
            opened.map_err(StorageError::engine("open", dir))
        };
        let [a, b, c, d, e, f] = Space::ALL;
        let spaces = [open(a)?, open(b)?, open(c)?, open(d)?, open(e)?, open(f)?];
        if let Some(cut) = cut {
            check_cut(&cut, &spaces)?;
        }
        for (space, keyspace) in Space::ALL.into_iter().zip(&spaces) {
            stall::settle(&db, space, keyspace)?;
        }
        failpoint::hit(Point::StartState);
        let (buffers, calm, room) = (Buffers::default(), Calm::default(), options.space.clone());
        let dir = dir.to_path_buf();
        Ok(Self { inner: Arc::new(Inner { db, spaces, buffers, calm, room, dir }) })
    }

    /// Whether a small commit would take microseconds, as far as can be known without waiting: nothing is
    /// written out or merged, nor was lately, and the disk has room.
    pub fn is_calm(&self) -> bool {
        let Inner { db, calm, room, .. } = &*self.inner;
        // Looked at anew: a commit that finds the disk full waits until it is not.
        calm.holds(db) && room.look() == Room::Ample
    }

    fn space(&self, space: Space) -> &Keyspace {
        let [records, leases, meta, members, alarms, auth] = &self.inner.spaces;
        match space {
            Space::Records => records,
            Space::Leases => leases,
            Space::Meta => meta,
            Space::Members => members,
            Space::Alarms => alarms,
            Space::Auth => auth,
        }
    }

    /// The error of a read; of damage it names the file.
    fn unread(&self, what: &'static str, error: fjall::Error) -> StorageError {
        match is_damage(&error).then(|| verify::damaged_table(&self.inner.spaces)).flatten() {
            Some(path) => StorageError::Damaged { path, why: error.to_string() },
            None => StorageError::engine(what, &self.inner.dir)(error),
        }
    }

    /// The error of a write. It ends the process, and until then nobody may close the database: that
    /// would write and sync once more what has failed.
    fn unwritten(&self, what: &'static str, error: fjall::Error) -> StorageError {
        std::mem::forget(self.clone());
        StorageError::engine(what, &self.inner.dir)(error)
    }

    /// The newest value of `key`. It may share memory with a cached block of a few KiB.
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let value = self.space(space).get(key).map_err(|error| self.unread("read", error))?;
        Ok(value.map(Bytes::from))
    }

    /// Starts an empty batch.
    pub fn batch(&self) -> Batch {
        Batch { engine: self.clone(), inner: self.inner.db.batch(), touched: [false; 6] }
    }

    /// The pairs with keys between the bounds, in key order, as of now.
    pub fn scan(&self, space: Space, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Scan {
        self.view().scan(space, from, to)
    }

    /// Everything as of now, in constant time. While a view lives, nothing that was there at its
    /// moment or came since is given up: merged and deleted tables stay on disk, and memory buffers
    /// written out since stay in memory too. Keep one no longer than it takes to read it.
    pub fn view(&self) -> View {
        View { engine: self.clone(), snapshot: self.inner.db.snapshot() }
    }

    /// Deletes many keys, in several batches: not atomic as a whole, but bounded in memory.
    pub fn delete_many<K: AsRef<[u8]>>(
        &self,
        space: Space,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<(), StorageError> {
        let mut batch = self.batch();
        for key in keys {
            batch.delete(space, key.as_ref());
            if batch.len() >= DELETE_CHUNK {
                batch.commit()?;
                batch = self.batch();
            }
        }
        batch.commit()
    }

    /// Writes pairs in ascending key order straight into tables, for filling an empty database;
    /// returns how many. The pairs are visible and on disk together, when this returns.
    pub fn load<E: From<StorageError>>(
        &self,
        space: Space,
        pairs: impl IntoIterator<Item = Result<(Bytes, Bytes), E>>,
    ) -> Result<u64, E> {
        let failed = || StorageError::engine("bulk load", &self.inner.dir);
        let mut ingestion =
            self.space(space).start_ingestion().map_err(|e| E::from(failed()(e)))?;
        let (mut count, mut last): (u64, Option<Bytes>) = (0, None);
        for pair in pairs {
            let (key, value) = pair?;
            // fjall panics on unsorted input, and the input comes from another machine.
            if last.is_some_and(|last| last >= key) {
                return Err(StorageError::Unsorted { space: space.name(), position: count }.into());
            }
            last = Some(key.clone());
            ingestion.write(key, value).map_err(|e| E::from(failed()(e)))?;
            count += 1;
        }
        ingestion.finish().map_err(|e| E::from(failed()(e)))?;
        Ok(count)
    }

    /// Makes everything committed before this call survive a power cut.
    pub fn persist(&self) -> Result<(), StorageError> {
        let done = self.inner.db.persist(PersistMode::SyncAll);
        done.map_err(|error| self.unwritten("fsync", error))
    }

    /// Writes everything committed so far into tables, so that the next start has little to replay.
    /// Does nothing on a disk without room for them.
    ///
    /// # Errors
    /// The disk failed, or is too slow. What [`Self::persist`] made durable stays so.
    pub fn flush(&self) -> Result<(), StorageError> {
        let Inner { db, spaces, room, .. } = &*self.inner;
        if room.look() != Room::Ample {
            return Ok(());
        }
        let mut all = Space::ALL.into_iter().zip(spaces);
        all.try_for_each(|(space, keyspace)| stall::flush(db, space, keyspace))
    }

    /// Whether this is the only handle: no clone, view, scan or batch besides.
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.inner) == 1
    }

    /// Closes the database and removes its folder, unless somebody else still has a handle. A folder
    /// that cannot be removed is only logged. Waits for merges under way.
    pub fn remove(self) {
        let Ok(inner) = Arc::try_unwrap(self.inner) else { return };
        let dir = inner.dir.clone();
        drop(inner);
        if let Err(error) = fs::remove_dir_all(&dir) {
            tracing::warn!(dir = %dir.display(), %error, "cannot remove a replaced state database");
        }
    }

    /// Bytes of all tables plus the buffers not yet written as tables. Journals are not counted:
    /// their size on disk is preallocated and says nothing about the data.
    pub fn disk_bytes(&self) -> u64 {
        let tables: u64 = self.inner.spaces.iter().map(Keyspace::disk_space).sum();
        tables.saturating_add(self.inner.db.write_buffer_size())
    }
}

/// A journal is synced before anything in it goes into a table. So whatever a table holds was on
/// disk in the journal too, and was no unfinished end.
fn check_cut(cut: &Cut, spaces: &[Keyspace]) -> Result<(), StorageError> {
    let in_tables =
        spaces.iter().filter_map(|space| space.tree.get_highest_persisted_seqno()).max();
    match (cut.seqno, in_tables) {
        (Some(cut_from), Some(newest)) if newest >= cut_from => Err(StorageError::Damaged {
            path: cut.path.clone(),
            why: format!(
                "batch {cut_from} at byte {} is not whole, although batch {newest} was safely on disk",
                cut.offset
            ),
        }),
        _ => Ok(()),
    }
}

/// Changes that become visible and recoverable together or not at all.
pub struct Batch {
    engine: Engine,
    inner: OwnedWriteBatch,
    touched: [bool; 6],
}

impl Batch {
    /// Sets `key` to `value`, copying both.
    pub fn put(&mut self, space: Space, key: &[u8], value: &[u8]) {
        self.touch(space);
        self.inner.insert(self.engine.space(space), key, value);
    }

    /// Sets `key` to `value` without copying the value.
    pub fn put_bytes(&mut self, space: Space, key: &[u8], value: Bytes) {
        self.touch(space);
        self.inner.insert(self.engine.space(space), key, value);
    }

    /// Removes `key`, present or not.
    pub fn delete(&mut self, space: Space, key: &[u8]) {
        self.touch(space);
        self.inner.remove(self.engine.space(space), key);
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Makes the changes visible. May wait for the disk, seconds in bad times, and for as long as
    /// it is full. After an error the
    /// database takes no more writes and the process must stop.
    pub fn commit(self) -> Result<(), StorageError> {
        let Self { engine, inner: batch, touched } = self;
        let Inner { db, spaces: all, buffers, calm, room, .. } = &*engine.inner;
        room.wait(db.write_buffer_size());
        let spaces =
            Space::ALL.into_iter().filter(|space| touched.get(space.slot()) == Some(&true));
        for space in spaces.clone() {
            stall::wait_for_room(db, space, engine.space(space))?;
        }
        batch.commit().map_err(|error| engine.unwritten("commit", error))?;
        let mut turns = false;
        for space in spaces {
            turns |= buffers.hold(space, engine.space(space));
        }
        calm.note(db, turns, all);
        Ok(())
    }

    fn touch(&mut self, space: Space) {
        if let Some(flag) = self.touched.get_mut(space.slot()) {
            *flag = true;
        }
    }
}

/// The whole database at one moment. Clones share the moment.
#[derive(Clone)]
pub struct View {
    engine: Engine,
    snapshot: Snapshot,
}

impl View {
    /// The value of `key` at the moment of the view.
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let value = self.snapshot.get(self.engine.space(space), key);
        Ok(value.map_err(|error| self.engine.unread("read", error))?.map(Bytes::from))
    }

    /// The pairs with keys between the bounds, in key order, at the moment of the view.
    pub fn scan(&self, space: Space, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Scan {
        if is_empty_range(from, to) {
            return Scan { engine: self.engine.clone(), inner: None };
        }
        let range = (from, to);
        let iter = self.snapshot.range::<&[u8], _>(self.engine.space(space), range);
        Scan { engine: self.engine.clone(), inner: Some(iter) }
    }
}

/// Bounds that cross are an empty range here and a panic in fjall.
fn is_empty_range(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
    }
}

/// Pairs in key order, from either end.
pub struct Scan {
    engine: Engine,
    inner: Option<fjall::Iter>,
}

impl Scan {
    fn pair(&self, guard: fjall::Guard) -> Result<(Bytes, Bytes), StorageError> {
        let (key, value) = guard.into_inner().map_err(|error| self.engine.unread("scan", error))?;
        Ok((key.into(), value.into()))
    }
}

impl Iterator for Scan {
    type Item = Result<(Bytes, Bytes), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let guard = self.inner.as_mut()?.next()?;
        Some(self.pair(guard))
    }
}

impl DoubleEndedIterator for Scan {
    fn next_back(&mut self) -> Option<Self::Item> {
        let guard = self.inner.as_mut()?.next_back()?;
        Some(self.pair(guard))
    }
}

#[cfg(test)]
mod tests;
