//! The helper thread: prepares segments ahead and removes purged ones, so that the sync thread
//! does neither.
//!
//! A prepared segment is reserved, written with zeros once and synced under its final name. An
//! fdatasync into such space costs no change of the file's metadata, which makes it 1.4 times as
//! fast. The zeros go out in small steps with pauses, to leave the disk to the sync thread.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing::{error, warn};

use super::disk::{Disk, DiskFile};
use super::map::Segment;
use super::recover::{SPARE_UNDER_CONSTRUCTION, UNDER_CONSTRUCTION, segment_name};
use super::shared::Fault;
use crate::failpoint::{self, Point};
use crate::storage::space::is_full;

/// Zeros written and synced at a time.
const STEP: usize = 1 << 20;
/// Pause between steps: half the disk's time, roughly, stays free.
const PAUSE: Duration = Duration::from_millis(8);
/// After a failure, usually a full disk.
const RETRY: Duration = Duration::from_secs(10);

/// How many prepared segments there should be. A log that is hardly used needs none.
pub(crate) fn wanted(unzeroed: bool, used: u64, size: u64) -> usize {
    if used < size / 256 {
        0
    } else if used >= size / 2 {
        2
    } else {
        usize::from(unzeroed || used >= size / 8)
    }
}

#[derive(Default)]
struct State {
    ready: VecDeque<Arc<Segment>>,
    next_id: u64,
    /// A segment has its number, but not yet its name.
    publishing: bool,
    wanted: usize,
    retired: VecDeque<Arc<Segment>>,
    /// What the disk did that is no lack of space; nothing is prepared or removed after it.
    fault: Option<Fault>,
    stopping: bool,
}

/// What the sync thread and the helper thread share.
pub(crate) struct Spares {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    state: Mutex<State>,
    wake: Condvar,
    published: Condvar,
    /// The active segment is nearly full: no pauses.
    hurry: AtomicBool,
    low_space: AtomicBool,
}

impl Spares {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: &Path,
        segment_bytes: u64,
        ready: Vec<Arc<Segment>>,
        next_id: u64,
    ) -> Self {
        let state = State { ready: ready.into(), next_id, ..State::default() };
        Self {
            disk,
            dir: dir.to_path_buf(),
            segment_bytes,
            state: Mutex::new(state),
            wake: Condvar::new(),
            published: Condvar::new(),
            hurry: AtomicBool::new(false),
            low_space: AtomicBool::new(false),
        }
    }

    /// Whether there was no space to prepare a segment, and has been none since.
    pub(crate) fn low_space(&self) -> bool {
        self.low_space.load(Ordering::Relaxed)
    }

    /// Whether a prepared segment is waiting.
    pub(crate) fn is_ready(&self) -> bool {
        !self.state.lock().ready.is_empty()
    }

    /// Says how many prepared segments there should be, and whether it is urgent.
    pub(crate) fn want(&self, wanted: usize, hurry: bool) {
        self.hurry.store(hurry, Ordering::Relaxed);
        self.state.lock().wanted = wanted;
        self.wake.notify_one();
    }

    /// Hands over segments to remove, oldest first.
    pub(crate) fn retire(&self, segments: Vec<Arc<Segment>>) {
        let mut state = self.state.lock();
        if state.fault.is_none() {
            state.retired.extend(segments);
            self.wake.notify_one();
        }
    }

    /// Ends the helper thread after it has removed what is to be removed.
    pub(crate) fn stop(&self) {
        self.state.lock().stopping = true;
        self.wake.notify_one();
    }

    /// The next segment, of at least `min` bytes, and whether it is written with zeros. Takes a
    /// prepared one, or reserves one now rather than wait for zeros.
    pub(crate) fn next(&self, min: u64) -> io::Result<(Arc<Segment>, bool)> {
        let mut state = self.state.lock();
        while state.publishing {
            self.published.wait(&mut state);
        }
        if let Some(spare) = state.ready.pop_front() {
            if spare.size >= min {
                return Ok((spare, true));
            }
            spare.file.allocate(min)?;
            let (path, file) = (spare.path.clone(), Arc::clone(&spare.file));
            return Ok((Arc::new(Segment { id: spare.id, path, size: min, file }), false));
        }
        // Under the lock, so that names become durable in the order of their numbers.
        let id = state.next_id;
        let size = self.segment_bytes.max(min);
        let segment = create(self.disk.as_ref(), &self.dir, id, size, |_| Ok(()));
        let segment = segment.map_err(named("create a segment in", &self.dir))?;
        state.next_id += 1;
        Ok((segment, false))
    }

    /// The body of the helper thread.
    pub(crate) fn run(&self) {
        let mut state = self.state.lock();
        loop {
            if !state.retired.is_empty() {
                state = self.remove_retired(state);
            } else if state.stopping {
                return;
            } else if state.ready.len() < state.wanted && state.fault.is_none() {
                drop(state);
                let made = self.make();
                let failed = made.is_err();
                state = self.state.lock();
                if let Err(error) = made {
                    self.note_failure(&mut state, &error);
                }
                if failed && !state.stopping {
                    let _ = self.wake.wait_for(&mut state, RETRY);
                }
            } else {
                self.wake.wait(&mut state);
            }
        }
    }

    /// What the helper thread would do now, done here.
    #[cfg(test)]
    pub(crate) fn catch_up(&self) {
        let mut state = self.state.lock();
        loop {
            if !state.retired.is_empty() {
                state = self.remove_retired(state);
            } else if state.ready.len() < state.wanted && state.fault.is_none() {
                drop(state);
                let made = self.make();
                state = self.state.lock();
                if let Err(error) = made {
                    self.note_failure(&mut state, &error);
                    return;
                }
            } else {
                return;
            }
        }
    }

    /// Removes one purged segment. They go strictly in order: a gap among them would look like a
    /// missing segment.
    fn remove_retired<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let Some(segment) = state.retired.pop_front() else { return state };
        drop(state);
        failpoint::hit(Point::PurgeUnremoved);
        let removed = self.disk.remove(&segment.path).map_err(named("remove", &segment.path));
        failpoint::hit(Point::PurgeRemoved);
        let done = removed.and_then(|()| self.sync_dir());
        let mut state = self.state.lock();
        if let Err(error) = done {
            error!(%error, segment = %segment.path.display(), "cannot remove a purged log segment");
            state.retired.clear();
            state.fault = Some(Fault::new(&error));
        }
        state
    }

    /// A full disk is told early and tried again; any other failure is one of the disk, on which
    /// nothing can be relied any more.
    fn note_failure(&self, state: &mut State, error: &io::Error) {
        let dir = self.dir.display();
        if !is_full(error) {
            error!(%error, %dir, "cannot prepare a log segment");
            state.fault = Some(Fault::new(error));
        } else if !self.low_space.swap(true, Ordering::Relaxed) {
            warn!(%error, %dir, "no space to prepare a log segment");
        }
    }

    /// What the disk did to this thread, if it failed.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.state.lock().fault.clone()
    }

    fn make(&self) -> io::Result<()> {
        let tmp = self.dir.join(SPARE_UNDER_CONSTRUCTION);
        let file = self.disk.create(&tmp).map_err(named("create", &tmp))?;
        let reserved = file.allocate(self.segment_bytes).map_err(named("reserve", &tmp));
        let written = reserved.and_then(|()| self.zero(&tmp, file.as_ref()));
        match written {
            Ok(true) => self.publish(&tmp, file),
            Ok(false) => self.disk.remove(&tmp),
            Err(error) => {
                // Gives the space back; the first error is the one to report.
                let _ = self.disk.remove(&tmp);
                Err(error)
            }
        }
    }

    /// Writes zeros; false if the log was closed meanwhile.
    fn zero(&self, tmp: &Path, file: &dyn DiskFile) -> io::Result<bool> {
        let zeros = vec![0; STEP];
        let mut offset = 0;
        while offset < self.segment_bytes {
            let len = usize::try_from(self.segment_bytes - offset).unwrap_or(STEP).min(STEP);
            let zeros = zeros.get(..len).unwrap_or_default();
            file.write(zeros, offset).map_err(named("write", tmp))?;
            file.sync().map_err(named("fsync", tmp))?;
            offset += len as u64;
            let mut state = self.state.lock();
            if !state.stopping && !self.hurry.load(Ordering::Relaxed) && offset < self.segment_bytes
            {
                let _ = self.wake.wait_for(&mut state, PAUSE);
            }
            if state.stopping {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.dir).map_err(named("fsync", &self.dir))
    }

    fn publish(&self, tmp: &Path, file: Arc<dyn DiskFile>) -> io::Result<()> {
        let mut state = self.state.lock();
        state.publishing = true;
        let id = state.next_id;
        drop(state);
        let path = self.dir.join(segment_name(id));
        failpoint::hit(Point::SpareUnnamed);
        let renamed = self.disk.rename(tmp, &path).map_err(named("rename", tmp)).and_then(|()| {
            failpoint::hit(Point::SpareNamed);
            self.sync_dir()
        });
        let mut state = self.state.lock();
        state.publishing = false;
        if renamed.is_ok() {
            state.next_id += 1;
            state.ready.push_back(Arc::new(Segment { id, path, size: self.segment_bytes, file }));
            self.low_space.store(false, Ordering::Relaxed);
        }
        drop(state);
        self.published.notify_all();
        renamed
    }
}

/// The error with what was being done to which file; the kind stays.
pub(crate) fn named(what: &'static str, path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
}

/// Reserves a segment, lets `fill` write to it, and gives it its name.
pub(crate) fn create(
    disk: &dyn Disk,
    dir: &Path,
    id: u64,
    size: u64,
    fill: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> io::Result<Arc<Segment>> {
    let tmp = dir.join(UNDER_CONSTRUCTION);
    let file = disk.create(&tmp)?;
    file.allocate(size)?;
    fill(file.as_ref())?;
    file.sync()?;
    let path = dir.join(segment_name(id));
    failpoint::hit(Point::SegmentUnnamed);
    disk.rename(&tmp, &path)?;
    failpoint::hit(Point::SegmentNamed);
    disk.sync_dir(dir)?;
    Ok(Arc::new(Segment { id, path, size, file }))
}
