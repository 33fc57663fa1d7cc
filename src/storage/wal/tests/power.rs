//! What a power cut takes with it, on a disk that loses everything that was not synced.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::super::disk::{Disk, DiskFile, RealDisk};
use super::super::stepped::Stepper;
use super::super::{Frame, Wal};
use super::{entry, id, small};

/// A write that was not synced: where, and what was there before.
struct Unsynced {
    file: Arc<dyn DiskFile>,
    offset: u64,
    before: Vec<u8>,
}

/// The real file system, which after [`Self::cut`] is as if nothing had been written but what was synced,
/// and the beginning of each other write.
#[derive(Clone, Default)]
struct Forgetful {
    unsynced: Arc<Mutex<Vec<Unsynced>>>,
    failing: Arc<AtomicBool>,
}

struct ForgetfulFile(Forgetful, Arc<dyn DiskFile>);

impl Forgetful {
    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(ForgetfulFile(self.clone(), file))
    }

    /// No sync succeeds from now on.
    fn fail(&self) {
        self.failing.store(true, Ordering::Relaxed);
    }

    /// The power is cut, and comes back.
    fn cut(&self, kept: usize) {
        for lost in self.unsynced.lock().drain(..).rev() {
            if let Some(before) = lost.before.get(kept..) {
                lost.file.write(before, lost.offset + kept as u64).unwrap();
            }
        }
        self.failing.store(false, Ordering::Relaxed);
    }
}

impl Disk for Forgetful {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(RealDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(RealDisk.open(path)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for ForgetfulFile {
    fn size(&self) -> io::Result<u64> {
        self.1.size()
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.read(buffer, offset)
    }

    fn write(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut before = vec![0; data.len()];
        self.1.read(&mut before, offset)?;
        self.0.unsynced.lock().push(Unsynced { file: Arc::clone(&self.1), offset, before });
        self.1.write(data, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.1.allocate(size)
    }

    fn sync(&self) -> io::Result<()> {
        if self.0.failing.load(Ordering::Relaxed) {
            return Err(io::Error::other("the power fails"));
        }
        self.0.unsynced.lock().retain(|unsynced| !Arc::ptr_eq(&unsynced.file, &self.1));
        Ok(())
    }
}

fn append(wal: &Wal, stepper: &mut Stepper, frame: Frame) {
    wal.append(vec![frame], |outcome| outcome.unwrap());
    assert!(stepper.begin());
    stepper.complete();
}

#[test]
fn the_marker_at_the_end_of_a_segment_is_on_disk_before_the_next_one_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Forgetful::default();
    let open = || Wal::open_stepped(Arc::new(disk.clone()), dir.path(), small());
    let (wal, _, mut stepper) = open().unwrap();
    append(&wal, &mut stepper, entry(0, 1, 100));
    // Nothing came for a while; meanwhile a better segment was prepared, which the next write takes.
    stepper.confirm();
    append(&wal, &mut stepper, entry(1, 1, 100));
    assert!(dir.path().join("0000000000000002.wal").exists());
    drop((wal, stepper));
    disk.cut(0);
    let (wal, recovered, _stepper) = open().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(recovered.last.map(|last| last.index), Some(1));
    assert_eq!(wal.read(0..2).unwrap(), [entry(0, 1, 100), entry(1, 1, 100)]);
}

#[test]
fn a_write_that_is_cut_short_leaves_no_mark_beyond_the_last_entry() {
    for kept in (0..4096).step_by(512) {
        let dir = tempfile::tempdir().unwrap();
        let disk = Forgetful::default();
        let open = || Wal::open_stepped(Arc::new(disk.clone()), dir.path(), small());
        let (wal, _, mut stepper) = open().unwrap();
        append(&wal, &mut stepper, entry(0, 1, 100));
        // A quorum of others has committed what is only on its way to this disk.
        wal.append((1..6).map(|index| entry(index, 1, 300)).collect(), |_| {});
        wal.save_committed(id(5, 1));
        assert!(stepper.begin());
        disk.fail();
        stepper.complete();
        drop((wal, stepper));
        disk.cut(kept);
        let (_, recovered, _stepper) = open().unwrap_or_else(|error| panic!("{kept}: {error}"));
        let last = recovered.last.map_or(0, |last| last.index);
        assert!(recovered.committed.is_none() || last == 5, "{kept}: entries end at {last}");
    }
}
