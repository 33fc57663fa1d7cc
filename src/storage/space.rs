//! Room on the disks: what must be free so that nothing accepted fails for lack of it.
//!
//! The state database takes no more writes once one has failed, and what it holds in memory must
//! still find its way to disk. So writes stop while there is room for all of that: first new ones are
//! refused at the door, and should somebody else fill the disk all the same, applying waits. Both end
//! by themselves when space returns; reads need none.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::fs::statvfs;

/// What stays free beside the memory buffers: a merge of tables writes about so much before it
/// frees anything, and two segments of the log fit in as well.
const MARGIN: u64 = 256 << 20;
/// On a small disk the margin is this part of it.
const SHARE: u64 = 10;
/// Below this part of the margin applying waits.
const LAST: u64 = 8;
/// How often waiting looks again.
const STEP: Duration = Duration::from_millis(100);

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Nothing may be written, not even what is accepted.
    Full,
    /// Nothing new may be accepted that needs space.
    Low,
    /// Enough.
    Ample,
}

impl Room {
    fn of(code: u8) -> Self {
        match code {
            0 => Self::Full,
            1 => Self::Low,
            _ => Self::Ample,
        }
    }
}

/// Watches the disks of a data directory. Clones share it.
#[derive(Clone, Debug)]
pub struct Space {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The first is that of the state database.
    places: Vec<PathBuf>,
    room: AtomicU8,
    free: AtomicU64,
    buffered: AtomicU64,
    log_is_short: AtomicBool,
}

impl Space {
    /// Watches the disk of the state database and that of the log.
    pub fn new(state: &Path, log: &Path) -> Self {
        Self::of(vec![state.to_path_buf(), log.to_path_buf()])
    }

    /// Room without end, for tests and tools.
    pub fn unlimited() -> Self {
        Self::of(Vec::new())
    }

    fn of(places: Vec<PathBuf>) -> Self {
        let inner = Inner {
            places,
            room: AtomicU8::new(Room::Ample as u8),
            free: AtomicU64::new(u64::MAX),
            buffered: AtomicU64::new(0),
            log_is_short: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The room there was at the last look; costs a load.
    pub fn room(&self) -> Room {
        Room::of(self.inner.room.load(Ordering::Relaxed))
    }

    /// Bytes that were free at the last look, on the disk that has less.
    pub fn free(&self) -> u64 {
        self.inner.free.load(Ordering::Relaxed)
    }

    /// Says whether the log could not get space for its next segment.
    pub fn log_is_short(&self, short: bool) {
        self.inner.log_is_short.store(short, Ordering::Relaxed);
    }

    /// Asks the file systems. A disk that does not answer counts as one with room: whatever is wrong
    /// with it will show.
    pub fn look(&self) -> Room {
        let inner = &*self.inner;
        let buffered = inner.buffered.load(Ordering::Relaxed);
        let was_ample = self.room() == Room::Ample;
        let (mut room, mut least) = (Room::Ample, u64::MAX);
        for (place, buffered) in inner.places.iter().zip([buffered, 0]) {
            let Ok(disk) = statvfs(place) else { continue };
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let total = disk.f_blocks.saturating_mul(disk.f_frsize);
            room = room.min(judge(free, total, buffered, was_ample));
            least = least.min(free);
        }
        if inner.log_is_short.load(Ordering::Relaxed) {
            room = room.min(Room::Low);
        }
        inner.free.store(least, Ordering::Relaxed);
        inner.room.store(room as u8, Ordering::Relaxed);
        room
    }

    /// Waits until something may be written, while `buffered` bytes wait in memory for the disk.
    pub(crate) fn wait(&self, buffered: u64) {
        self.inner.buffered.store(buffered, Ordering::Relaxed);
        if self.look() > Room::Full {
            return;
        }
        let dir = self.inner.places.first().map(|place| place.display().to_string());
        tracing::error!(dir, free = self.free(), "the disk is full; applying waits for space");
        while self.look() == Room::Full {
            thread::park_timeout(STEP);
        }
        tracing::warn!(
            dir,
            free = self.free(),
            "there is space on the disk again; applying goes on"
        );
    }
}

/// Somewhat more must become free than must stay free, so that writes do not stop and go.
fn judge(free: u64, total: u64, buffered: u64, was_ample: bool) -> Room {
    let margin = MARGIN.min(total / SHARE);
    let enough = buffered + if was_ample { margin } else { margin + margin / 8 };
    match free {
        free if free < margin / LAST => Room::Full,
        free if free < enough => Room::Low,
        _ => Room::Ample,
    }
}

/// Whether an operation failed because there was no space, and may succeed when there is.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_is_buffered_must_fit_and_something_must_stay_free() {
        let large = 1 << 40;
        assert_eq!(judge(256 * MIB, large, 0, true), Room::Ample);
        assert_eq!(judge(256 * MIB, large, MIB, true), Room::Low);
        assert_eq!(judge(257 * MIB, large, MIB, false), Room::Low);
        assert_eq!(judge(289 * MIB, large, MIB, false), Room::Ample);
        assert_eq!(judge(32 * MIB, large, 0, true), Room::Low);
        assert_eq!(judge(32 * MIB - 1, large, 0, true), Room::Full);
        assert_eq!(judge(10 * MIB, 100 * MIB, 0, true), Room::Ample);
        assert_eq!(judge(MIB, 100 * MIB, 0, true), Room::Full);
    }

    #[test]
    fn a_log_without_room_for_its_next_segment_is_low() {
        let space = Space::unlimited();
        assert_eq!(space.look(), Room::Ample);
        space.log_is_short(true);
        assert_eq!((space.look(), space.room()), (Room::Low, Room::Low));
        space.log_is_short(false);
        assert_eq!(space.look(), Room::Ample);
    }
}
