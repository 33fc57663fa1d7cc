//! The log as openraft sees it, over [`Wal`].
//!
//! The newest entries stay here decoded, so that applying and replicating them costs neither a
//! read nor a decode. Everything older is read on a blocking thread: a disk must not hold up
//! heartbeats.

mod on_disk;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub(super) use on_disk::OnDisk;

use super::aside::aside;
use super::types::{
    LogEntry, LogId, TypeConfig, Vote, decode_entry, decode_log_id, decode_vote, encode_log_id,
    encode_payload, encode_vote,
};
use crate::failpoint::{self, Point};
use crate::storage::wal::{Frame, LogPos, Positions, Recovered, Wal, WalError};

/// Bytes of decoded entries kept: what may wait between append and apply, twice over.
const TAIL_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of one answer to [`RaftLogReader::limited_get_log_entries`], so that a message to a
/// follower that is far behind stays small.
const LIMITED_READ_BYTES: usize = 4 * 1024 * 1024;

/// Log, vote and committed mark. Clones share them.
#[derive(Clone)]
pub(crate) struct LogStore {
    wal: Wal,
    marks: Arc<Mutex<Marks>>,
    tail: Arc<Mutex<Tail>>,
    on_disk: OnDisk,
}

/// The newest values, durable or on their way.
#[derive(Debug, Default)]
struct Marks {
    vote: Option<Vote>,
    committed: Option<LogId>,
}

impl LogStore {
    /// The log behind `wal`, which held `recovered` when it was opened.
    ///
    /// # Errors
    /// `InvalidData` when the marks do not read back.
    pub(crate) fn new(wal: Wal, recovered: &Recovered) -> io::Result<Self> {
        let vote = recovered.vote.as_deref().map(decode_vote).transpose()?;
        let committed = recovered.committed.as_deref().map(decode_log_id).transpose()?;
        let marks = Marks { vote, committed };
        let on_disk = OnDisk::before(recovered.last.as_ref().map_or(0, |last| last.index + 1));
        Ok(Self { wal, marks: Arc::new(Mutex::new(marks)), tail: Arc::default(), on_disk })
    }

    /// The newest entry of the log, also when it has been purged.
    ///
    /// # Errors
    /// When the log failed or its ids do not read back.
    pub(crate) fn last(&self) -> io::Result<Option<LogId>> {
        read_position(self.positions()?.last)
    }

    /// The newest entry that was purged.
    ///
    /// # Errors
    /// When its id does not read back.
    pub(crate) fn purged(&self) -> io::Result<Option<LogId>> {
        read_position(self.positions()?.purged)
    }

    /// Tells how far it is on disk.
    pub(crate) fn on_disk(&self) -> OnDisk {
        self.on_disk.clone()
    }

    fn positions(&self) -> io::Result<Positions> {
        Ok(self.wal.positions())
    }

    /// Appends entries and calls `done` once they are durable, or why they are not.
    pub(crate) fn append_then(
        &self,
        entries: impl IntoIterator<Item = LogEntry>,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) {
        let mut frames = Vec::new();
        {
            let mut tail = self.tail.lock();
            for entry in entries {
                let id = encode_log_id(entry.log_id);
                frames.push(Frame {
                    index: entry.log_id.index,
                    id,
                    payload: encode_payload(&entry),
                });
                tail.push(entry);
            }
        }
        let (on_disk, end) = (self.on_disk.clone(), frames.last().map(|frame| frame.index + 1));
        self.wal.append(frames, move |result| {
            if let Some(end) = end {
                on_disk.written(end, &result);
            }
            done(result);
        });
    }

    /// Entries of `range` that the log holds.
    async fn entries(&self, range: Range<u64>) -> io::Result<Vec<LogEntry>> {
        if let Some(entries) = self.tail.lock().get(&range) {
            return Ok(entries);
        }
        let wal = self.wal.clone();
        let read = move || {
            let frames = wal.read(range).map_err(wal_error)?;
            frames
                .into_iter()
                .map(|frame| decode_entry(decode_log_id(&frame.id)?, frame.payload))
                .collect()
        };
        aside(read).await?
    }

    /// `range` cut down to what the log holds.
    fn clamp(&self, range: &impl RangeBounds<u64>) -> io::Result<Range<u64>> {
        let positions = self.positions()?;
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let held = positions.last.map_or(0, |last| last.index + 1);
        Ok(start.max(positions.first)..end.min(held))
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<LogEntry>>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let range = self.clamp(&range)?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.entries(range).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.marks.lock().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<LogEntry>> {
        let mut entries = self.try_get_log_entries(start..end).await?;
        let mut bytes = 0;
        let fits = |entry: &LogEntry| {
            bytes += size(entry);
            bytes <= LIMITED_READ_BYTES
        };
        let count = entries.iter().map(fits).take_while(|fits| *fits).count();
        entries.truncate(count.max(1));
        Ok(entries)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let positions = self.positions()?;
        Ok(LogState {
            last_purged_log_id: read_position(positions.purged)?,
            last_log_id: read_position(positions.last)?,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (done, saved) = oneshot::channel();
        self.wal.save_vote(encode_vote(vote), move |result| {
            let _ = done.send(result);
        });
        saved.await.map_err(io::Error::other)??;
        self.marks.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            // It travels with the next append: losing it costs a replay, no answer depends on it.
            self.wal.save_committed(encode_log_id(committed));
        }
        self.marks.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.marks.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        failpoint::hit(Point::LogAsked);
        self.append_then(entries, move |result| callback.io_completed(result));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index + 1);
        self.tail.lock().truncate(from);
        if self.positions()?.last.is_none_or(|last| last.index < from) {
            return Ok(());
        }
        let (done, truncated) = oneshot::channel();
        let on_disk = self.on_disk.clone();
        self.wal.truncate_from(from, move |result| {
            on_disk.truncated(from);
            let _ = done.send(result);
        });
        truncated.await.map_err(io::Error::other)?
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.tail.lock().purge(upto.index);
        let position = LogPos { index: upto.index, id: encode_log_id(upto) };
        // Not awaited: unlinking files must not hold up the core. A failure is sticky in the log
        // and ends the process through the next append.
        self.wal.purge_to(position, |result| {
            if let Err(error) = result {
                tracing::error!(error = %error, "failed to purge the log");
            }
        });
        Ok(())
    }
}

/// The newest entries, decoded, without gaps.
#[derive(Debug, Default)]
struct Tail {
    entries: VecDeque<LogEntry>,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, entry: LogEntry) {
        let follows =
            self.entries.back().is_none_or(|last| last.log_id.index + 1 == entry.log_id.index);
        if !follows {
            self.entries.clear();
            self.bytes = 0;
        }
        self.bytes += size(&entry);
        self.entries.push_back(entry);
        while self.bytes > TAIL_BYTES && self.entries.len() > 1 {
            self.drop_front();
        }
    }

    /// The entries of `range`, or `None` if some are not here.
    fn get(&self, range: &Range<u64>) -> Option<Vec<LogEntry>> {
        let first = self.entries.front()?.log_id.index;
        let from = usize::try_from(range.start.checked_sub(first)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(first)?).ok()?;
        (to <= self.entries.len()).then(|| self.entries.range(from..to).cloned().collect())
    }

    fn truncate(&mut self, from: u64) {
        while self.entries.back().is_some_and(|last| last.log_id.index >= from) {
            if let Some(entry) = self.entries.pop_back() {
                self.bytes -= size(&entry);
            }
        }
    }

    fn purge(&mut self, upto: u64) {
        while self.entries.front().is_some_and(|first| first.log_id.index <= upto) {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= size(&entry);
        }
    }
}

/// Bytes an entry holds, roughly; never zero, so that small entries are bounded too.
fn size(entry: &LogEntry) -> usize {
    let own = size_of::<LogEntry>();
    match &entry.payload {
        EntryPayload::Normal(proposal) => own + proposal.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => own,
    }
}

fn read_position(position: Option<LogPos>) -> io::Result<Option<LogId>> {
    position.map(|position| decode_log_id(&position.id)).transpose()
}

/// The log's error as openraft takes it, cause included.
fn wal_error(error: WalError) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests;
