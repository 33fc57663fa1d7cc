//! The Raft log: entries, votes and purge points, durable before anyone is told.
//!
//! Segment files of a fixed size hold checksummed frames. One sync thread takes everything that
//! is queued, writes it with one call, syncs once and calls back in order; a helper thread
//! prepares segments ahead and removes purged ones. New entries are readable at once, from memory.
//!
//! | file | idea |
//! |---|---|
//! | `frame.rs`, `header.rs` | bytes in a segment |
//! | `extent.rs`, `map.rs`, `log.rs` | which entries there are, where they lie, which are in memory |
//! | `shared.rs`, `writer.rs` | the queue and the sync thread |
//! | `spare.rs` | the helper thread |
//! | `read.rs` | reading entries while the log is in use |
//! | `recover.rs`, `scan.rs`, `window.rs` | reading everything back, telling torn from damaged |
//! | `disk.rs` | the seam to the file system |
//!
//! The first I/O error is final: every queued and later call gets it, nothing is tried again.

mod disk;
mod error;
mod extent;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod header;
mod log;
mod map;
mod read;
mod recover;
mod scan;
mod shared;
mod spare;
#[cfg(test)]
pub(crate) mod stepped;
mod types;
mod window;
mod writer;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use disk::{Disk, RealDisk};
pub use error::WalError;
use log::Log;
use recover::Opened;
use shared::{Call, Done, Fault, Shared};
use spare::Spares;
pub use types::{
    Frame, LogPos, MAX_ID, MAX_MARK, MAX_PAYLOAD, MIN_SEGMENT, Observer, Positions, Recovered,
    Synced, Torn, WalOptions,
};
use writer::Writer;

/// Segments are whole pages, and no larger than what places can address.
const SEGMENT_ALIGN: u64 = 4096;
const MAX_SEGMENT: u64 = 16 << 30;

/// Handle of the log; clones share it. It is closed when the last clone is gone.
#[derive(Clone)]
pub struct Wal {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    spares: Arc<Spares>,
    /// The helper thread, then the sync thread.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Wal {
    /// Opens the log in the folder `dir`, which must exist, and begins one if there is none. Only
    /// one process may do so at a time; the lock of the data directory sees to that.
    pub fn open(dir: &Path, options: WalOptions) -> Result<(Self, Recovered), WalError> {
        Self::open_on(Arc::new(RealDisk), dir, options)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: WalOptions,
    ) -> Result<(Self, Recovered), WalError> {
        let (wal, writer, recovered) = Self::assemble(disk, dir, options)?;
        wal.start(dir, writer)?;
        Ok((wal, recovered))
    }

    /// The log as it was left, and what will write to it.
    fn assemble(
        disk: Arc<dyn Disk>,
        dir: &Path,
        mut options: WalOptions,
    ) -> Result<(Self, Writer, Recovered), WalError> {
        let size = options.segment_bytes.clamp(MIN_SEGMENT, MAX_SEGMENT);
        options.segment_bytes = size.next_multiple_of(SEGMENT_ALIGN);
        let found = recover::recover(disk.as_ref(), dir, &options)?;
        let mut opened = match found {
            Some(opened) => opened,
            None => recover::begin(disk.as_ref(), dir, &options)?,
        };
        let recovered = describe(&opened)?;
        let map = std::mem::take(&mut opened.map);
        let log = Log::new(opened.marks.extent.clone(), recovered.last.clone());
        let shared = Arc::new(Shared::new(log, map));
        let ready = std::mem::take(&mut opened.spares);
        let next_id = ready.last().map_or(opened.active.id, |spare| spare.id) + 1;
        let spares = Spares::new(disk, dir, options.segment_bytes, ready, next_id);
        let spares = Arc::new(spares);
        let writer = Writer::new(Arc::clone(&shared), Arc::clone(&spares), &options, opened);
        let wal = Self { inner: Arc::new(Inner { shared, spares, threads: Mutex::default() }) };
        Ok((wal, writer, recovered))
    }

    fn start(&self, dir: &Path, writer: Writer) -> Result<(), WalError> {
        let failed = || WalError::io("start a thread for", dir);
        let mut threads = self.inner.threads.lock();
        let spares = Arc::clone(&self.inner.spares);
        let helper = thread::Builder::new().name("wal-spare".to_owned());
        threads.push(helper.spawn(move || spares.run()).map_err(failed())?);
        let sync = thread::Builder::new().name("wal-sync".to_owned());
        threads.push(sync.spawn(move || writer.run()).map_err(failed())?);
        Ok(())
    }

    /// Appends entries, which must follow the last one without gap and are readable when this
    /// returns; `done` is called when they are durable.
    pub fn append(&self, frames: Vec<Frame>, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        let too_long = |f: &Frame| f.id.len() > MAX_ID || f.payload.len() > MAX_PAYLOAD;
        if let Some(frame) = frames.iter().find(|frame| too_long(frame)) {
            let (id, payload) = (frame.id.len(), frame.payload.len());
            return done(invalid(format!(
                "entry {} is too long: id of {id} bytes, payload of {payload}",
                frame.index
            )));
        }
        self.submit(Call::Append(frames), Box::new(done), |log, number, call| {
            let Call::Append(frames) = call else { return Ok(()) };
            log.append(number, frames).or_else(|expected| {
                invalid(format!("entries do not follow the log, whose next index is {expected}"))
            })
        });
    }

    /// Saves a vote of at most [`MAX_MARK`] bytes; `done` is called when it and everything
    /// appended before it is durable.
    pub fn save_vote(&self, vote: Bytes, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        if vote.len() > MAX_MARK {
            return done(invalid(format!("the vote of {} bytes is too long", vote.len())));
        }
        self.submit(Call::Vote(vote), Box::new(done), |_, _, _| Ok(()));
    }

    /// Saves the committed mark, of at most [`MAX_MARK`] bytes, together with the next write. A
    /// crash before that loses it, which does no harm.
    pub fn save_committed(&self, committed: Bytes) {
        if committed.len() <= MAX_MARK {
            self.inner.shared.save_committed(committed);
        }
    }

    /// Removes all entries from this index on; `done` is called when that is durable.
    pub fn truncate_from(&self, index: u64, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        let last = match index.checked_sub(1).map_or(Ok(None), |last| self.place(last)) {
            Ok(last) => last,
            Err(error) => return done(Err(io::Error::other(error))),
        };
        self.submit(Call::Truncate(index), Box::new(done), |log, _, _| {
            log.truncate(index, last);
            Ok(())
        });
    }

    /// Removes all entries up to and including this one, present or not; `done` is called when
    /// that is durable. The disk space is given back some time later.
    pub fn purge_to(&self, pos: LogPos, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        if pos.id.len() > MAX_ID {
            return done(invalid(format!("the log id of {} bytes is too long", pos.id.len())));
        }
        self.submit(Call::Purge(pos), Box::new(done), |log, _, call| {
            if let Call::Purge(pos) = call {
                log.purge(pos);
            }
            Ok(())
        });
    }

    fn submit(
        &self,
        call: Call,
        done: Done,
        note: impl FnOnce(&mut Log, u64, &Call) -> io::Result<()>,
    ) {
        self.inner.shared.submit(call, done, note);
    }

    /// The entries of `range` that the log holds, oldest first, durable or not. Older ones come
    /// from disk.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<Frame>, WalError> {
        let (runs, cached) = {
            let state = self.inner.shared.state.lock();
            let (older, cached) = state.log.range(&range);
            (read::plan(&state.map, older), cached)
        };
        if runs.is_empty() {
            return Ok(cached);
        }
        let mut frames = Vec::new();
        for run in runs {
            run.read(&mut frames)?;
        }
        frames.extend(cached);
        Ok(frames)
    }

    /// The place of an entry, if the log holds it.
    fn place(&self, index: u64) -> Result<Option<LogPos>, WalError> {
        let frame = self.read(index..index.saturating_add(1))?.pop();
        Ok(frame.map(|frame| LogPos { index: frame.index, id: frame.id }))
    }

    /// Which entries the log holds, durable or not.
    pub fn positions(&self) -> Positions {
        self.inner.shared.state.lock().log.positions()
    }

    /// How long the slowest write with its sync since the last call took, or takes already.
    pub fn slowest_sync(&self) -> Duration {
        self.inner.shared.slowest_sync()
    }

    /// How long the log's thread has been at its present piece of work: writing, syncing, going on to the
    /// next segment. Zero while there is none.
    pub fn at_work(&self) -> Duration {
        self.inner.shared.at_work()
    }

    /// The error that ended the log, if one has. It comes to whoever calls next as well; but a disk
    /// that fails while nobody calls must not go unnoticed.
    pub fn fault(&self) -> Option<io::Error> {
        let fault = self.inner.shared.state.lock().fault.as_ref().map(Fault::to_error);
        fault.or_else(|| self.inner.spares.fault().map(|fault| fault.to_error()))
    }

    /// Whether log space could not be prepared ahead: the disk is nearly full.
    pub fn low_space(&self) -> bool {
        self.inner.spares.low_space()
    }

    /// Writes and syncs what is queued and ends the log's threads; later calls fail. Returns the
    /// first error the log ever had.
    pub fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}

impl Inner {
    fn close(&self) -> io::Result<()> {
        let mut threads = self.threads.lock();
        self.shared.stop();
        // The last handle may be dropped by a callback, which runs on the sync thread.
        let elsewhere = |handle: &JoinHandle<()>| handle.thread().id() != thread::current().id();
        let sync = threads.pop().filter(elsewhere).map_or(Ok(()), JoinHandle::join);
        // Only now: the sync thread may have left purged segments to remove.
        self.spares.stop();
        let helper = threads.pop().map_or(Ok(()), JoinHandle::join);
        if sync.and(helper).is_err() {
            return Err(io::Error::other("a thread of the Raft log panicked"));
        }
        let state = self.shared.state.lock();
        state.fault.as_ref().map_or(Ok(()), |fault| Err(fault.to_error()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // An error has been logged and given to the callers already.
        let _ = self.close();
    }
}

fn invalid(what: String) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// What the log holds, for the room above.
fn describe(opened: &Opened) -> Result<Recovered, WalError> {
    let extent = &opened.marks.extent;
    let mut newest = Vec::new();
    if let Some(index) = extent.live().next_back() {
        for run in read::plan(&opened.map, index..index + 1) {
            run.read(&mut newest)?;
        }
    }
    let newest = newest.pop().map(|frame| LogPos { index: frame.index, id: frame.id });
    Ok(Recovered {
        vote: opened.marks.vote.clone(),
        committed: opened.marks.committed.clone(),
        purged: extent.purged.clone(),
        first: extent.first(),
        last: newest.or_else(|| extent.purged.clone()),
        torn: opened.torn.clone(),
    })
}

#[cfg(test)]
mod tests;
