//! The sync thread: takes everything queued, writes it with one call, syncs once, and only then
//! calls back, in order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::error;

use super::frame::{self, Content, Kind, Stamp};
use super::header::{BLOCK, Header, Marks};
use super::map::{Segment, Spot};
use super::recover::Opened;
use super::shared::{Batch, Call, Fault, Shared, Task};
use super::spare::{Spares, named, wanted};
use super::types::{Observer, Synced, WalOptions};
use crate::failpoint::{self, Point};
use crate::types::clock::Clock;

/// A larger write buffer is given back after use.
const KEEP_BUFFER: usize = 4 << 20;

/// A change to the places of entries, to be made known after the sync.
enum Change {
    Segment(Arc<Segment>),
    Entry(u64, Spot),
    Truncate(u64),
    Purge(u64),
}

/// What the sync thread owns.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    spares: Arc<Spares>,
    fsync: bool,
    cache_bytes: usize,
    confirm_after: Option<Duration>,
    observer: Option<Observer>,
    /// What the log says, including what is in the buffer.
    marks: Marks,
    active: Arc<Segment>,
    unzeroed: bool,
    /// Where the buffer goes in the active segment.
    offset: u64,
    /// Seq of the next frame.
    seq: u64,
    /// Newest seq known to be on disk.
    durable: u64,
    buffer: Vec<u8>,
    changes: Vec<Change>,
    /// What the helper thread was told last.
    wanted: (usize, bool),
    /// Frames were synced that no later frame confirms yet.
    unconfirmed: bool,
    /// The last thing written to the active segment was not synced.
    unsynced: bool,
}

/// Fails the queue if the sync thread ends by a panic.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abandon(&io::Error::other("the sync thread has ended"));
    }
}

impl Writer {
    /// Continues an opened log.
    pub(crate) fn new(
        shared: Arc<Shared>,
        spares: Arc<Spares>,
        options: &WalOptions,
        opened: Opened,
    ) -> Self {
        Self {
            shared,
            spares,
            fsync: options.fsync,
            cache_bytes: options.cache_bytes,
            confirm_after: options.confirm_after,
            observer: options.observer.clone(),
            marks: opened.marks,
            active: opened.active,
            unzeroed: opened.unzeroed,
            offset: opened.offset,
            seq: opened.seq,
            durable: opened.durable,
            buffer: Vec::new(),
            changes: Vec::new(),
            wanted: (0, false),
            unconfirmed: false,
            unsynced: false,
        }
    }

    /// The body of the sync thread.
    pub(crate) fn run(mut self) {
        let _guard = Guard(Arc::clone(&self.shared));
        let mut fault = None;
        loop {
            let waits = self.unconfirmed && fault.is_none();
            let patience = self.confirm_after.filter(|_| waits);
            let task = self.shared.next(patience);
            let stops = matches!(task, Task::Stop(_));
            self.turn(task, &mut fault);
            if stops {
                return;
            }
        }
    }

    /// Does one piece of work; after the first fault nothing but calling back is left.
    pub(super) fn turn(&mut self, task: Task, fault: &mut Option<Fault>) {
        let outcome = match task {
            Task::Write(batch) => self.serve(batch, fault.as_ref()),
            Task::Idle => self.confirm(),
            Task::Stop(_) if fault.is_some() => return,
            Task::Stop(committed) => self.finish(committed),
        };
        if let (None, Err(error)) = (&fault, outcome) {
            *fault = Some(self.note_fault(&error));
        }
    }

    fn note_fault(&self, error: &io::Error) -> Fault {
        error!(%error, segment = %self.active.path.display(), "the Raft log failed");
        let fault = Fault::new(error);
        self.shared.state.lock().fault = Some(fault.clone());
        fault
    }

    /// Writes and syncs a batch, makes the places known, and calls back.
    fn serve(&mut self, batch: Batch, fault: Option<&Fault>) -> io::Result<()> {
        let Batch { calls, done, committed, upto } = batch;
        let outcome = match fault {
            Some(fault) => Err(fault.to_error()),
            None => self.write(&calls, committed),
        };
        let outcome = outcome.map(|()| self.settle(upto));
        let fault = outcome.as_ref().err().map(Fault::new);
        for done in done {
            done(fault.as_ref().map_or(Ok(()), |fault| Err(fault.to_error())));
        }
        let retired = outcome?;
        if !retired.is_empty() {
            self.spares.retire(retired);
        }
        self.ask_for_spares();
        if self.buffer.capacity() > KEEP_BUFFER {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    fn write(&mut self, calls: &[Call], committed: Option<Bytes>) -> io::Result<()> {
        // A segment that was made in a hurry is slower; leave it as soon as a better one is there.
        if self.unzeroed && self.spares.is_ready() {
            self.advance(0)?;
        }
        for call in calls {
            match call {
                Call::Append(frames) => {
                    for entry in frames {
                        let (index, id, payload) = (entry.index, &entry.id[..], &entry.payload[..]);
                        let content = Content { kind: Kind::Entry, index, id, payload };
                        let spot = self.put(content)?;
                        self.marks.extent.append(index).map_err(|expected| {
                            io::Error::other(format!(
                                "entry {index} queued where {expected} follows"
                            ))
                        })?;
                        self.changes.push(Change::Entry(index, spot));
                    }
                }
                Call::Vote(vote) => self.mark(Kind::Vote, vote)?,
                Call::Truncate(from) => {
                    let index = *from;
                    self.put(Content { kind: Kind::Truncate, index, id: &[], payload: &[] })?;
                    self.marks.extent.truncate(index);
                    self.changes.push(Change::Truncate(index));
                }
                Call::Purge(pos) => {
                    let (index, id) = (pos.index, &pos.id[..]);
                    self.put(Content { kind: Kind::Purge, index, id, payload: &[] })?;
                    self.marks.extent.purge(pos);
                    self.changes.push(Change::Purge(self.marks.extent.first()));
                }
            }
        }
        // Behind the entries, because it may speak of them: a write that is cut short must not leave the
        // mark alone.
        if let Some(committed) = committed {
            self.mark(Kind::Committed, &committed)?;
        }
        self.flush(self.fsync)
    }

    fn mark(&mut self, kind: Kind, bytes: &Bytes) -> io::Result<()> {
        self.put(Content { kind, index: 0, id: &[], payload: bytes })?;
        match kind {
            Kind::Vote => self.marks.vote = Some(bytes.clone()),
            _ => self.marks.committed = Some(bytes.clone()),
        }
        Ok(())
    }

    /// Adds a frame to the buffer, moving to the next segment if it does not fit.
    fn put(&mut self, content: Content<'_>) -> io::Result<Spot> {
        let size = content.size();
        if self.end() + size > self.active.size {
            self.advance(size)?;
        }
        let offset = self.end();
        let stamp = Stamp { segment: self.active.id, seq: self.seq, durable: self.durable };
        frame::encode(&mut self.buffer, offset, stamp, content);
        self.seq += 1;
        Spot::new(offset, size).ok_or_else(|| io::Error::other("the segment is larger than 32 GiB"))
    }

    fn end(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    /// Completes the active segment and begins the next one, with room for a frame of this size.
    fn advance(&mut self, size: u64) -> io::Result<()> {
        self.flush(self.fsync)?;
        self.sync_marker()?;
        failpoint::hit(Point::SegmentFull);
        let (next, zeroed) = self.spares.next(BLOCK as u64 + size)?;
        failpoint::hit(Point::SegmentBegun);
        let header = Header {
            id: next.id,
            size: next.size,
            unzeroed: !zeroed,
            first_seq: self.seq,
            marks: self.marks.clone(),
        };
        self.buffer.extend_from_slice(&header.encode());
        self.offset = 0;
        self.unzeroed = !zeroed;
        self.active = Arc::clone(&next);
        self.changes.push(Change::Segment(next));
        Ok(())
    }

    /// Writes the buffer with one call, and syncs if asked to.
    fn flush(&mut self, sync: bool) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if sync {
            self.shared.sync_begins();
        }
        failpoint::hit(Point::WalUnwritten);
        let named = |what| named(what, &self.active.path);
        let begun = Clock.now();
        self.active.file.write(&self.buffer, self.offset).map_err(named("write"))?;
        let written = Clock.now();
        failpoint::hit(Point::WalWritten);
        let bytes = self.buffer.len() as u64;
        self.offset += bytes;
        self.unsynced = !sync;
        self.buffer.clear();
        let mut took = Duration::ZERO;
        if sync {
            self.active.file.sync().map_err(named("fsync"))?;
            took = Clock.now().duration_since(written);
            failpoint::hit(Point::WalSynced);
            self.shared.sync_ended();
            self.durable = self.seq - 1;
            self.unconfirmed = true;
        }
        if let Some(observer) = &self.observer {
            observer(Synced { wrote: written.duration_since(begun), took, bytes });
        }
        Ok(())
    }

    /// A marker need not be on disk soon, but with everything else in a segment that is complete: its
    /// successor promises as much.
    fn sync_marker(&mut self) -> io::Result<()> {
        if self.fsync && self.unsynced {
            self.active.file.sync().map_err(named("fsync", &self.active.path))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Makes what was written known to readers; returns the segments that are of no use any more.
    fn settle(&mut self, upto: u64) -> Vec<Arc<Segment>> {
        let mut retired = Vec::new();
        let mut state = self.shared.state.lock();
        for change in self.changes.drain(..) {
            match change {
                Change::Segment(segment) => state.map.push(segment),
                Change::Entry(index, spot) => state.map.record(index, spot),
                Change::Truncate(from) => state.map.truncate(from),
                Change::Purge(first) => retired.extend(state.map.retire(first)),
            }
        }
        state.log.evict(self.cache_bytes, upto);
        retired
    }

    fn ask_for_spares(&mut self) {
        let (used, size) = (self.offset, self.active.size);
        let wanted = (wanted(self.unzeroed, used, size), used >= size / 4 * 3);
        if wanted != self.wanted {
            self.wanted = wanted;
            self.spares.want(wanted.0, wanted.1);
        }
    }

    /// Appends a frame that says what is on disk; itself it need not get there soon.
    fn confirm(&mut self) -> io::Result<()> {
        self.unconfirmed = false;
        let marker = Content { kind: Kind::Marker, index: 0, id: &[], payload: &[] };
        if self.end() + marker.size() > self.active.size {
            return Ok(());
        }
        self.put(marker)?;
        self.flush(false)
    }

    fn finish(&mut self, committed: Option<Bytes>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.mark(Kind::Committed, &committed)?;
        }
        self.flush(self.fsync)?;
        self.settle(0);
        self.confirm()?;
        if self.fsync { self.active.file.sync() } else { Ok(()) }
    }
}
