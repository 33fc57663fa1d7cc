//! A file system that fails on demand and does not wait for the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::disk::{Disk, DiskFile, RealDisk};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Allocate,
    Write,
    Sync,
    Rename,
    SyncDir,
    Remove,
}

/// Which calls fail: the n-th of a kind, and the later ones too if for good.
pub(super) struct Plan {
    step: Step,
    countdown: AtomicU64,
    for_good: bool,
    errno: i32,
}

impl Plan {
    pub(super) fn new(step: Step, after: u64, for_good: bool, errno: i32) -> Arc<Self> {
        Arc::new(Self { step, countdown: AtomicU64::new(after), for_good, errno })
    }

    /// Nothing fails.
    pub(super) fn smooth() -> Arc<Self> {
        Self::new(Step::Sync, u64::MAX, false, 0)
    }

    fn check(&self, step: Step) -> io::Result<()> {
        if step != self.step {
            return Ok(());
        }
        let next = |left: u64| match left {
            0 if self.for_good => Some(0),
            0 => Some(u64::MAX),
            _ => Some(left - 1),
        };
        let left = self.countdown.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).unwrap();
        if left == 0 { Err(io::Error::from_raw_os_error(self.errno)) } else { Ok(()) }
    }
}

/// The real file system, except for what the plan lets fail, and without waiting for the disk: a
/// crash of a test's log is a copy of its files, which sees what was written, synced or not.
pub(super) struct TestDisk(pub(super) Arc<Plan>);

struct TestFile(Arc<Plan>, Arc<dyn DiskFile>);

impl Disk for TestDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.0.check(Step::Create)?;
        Ok(Arc::new(TestFile(Arc::clone(&self.0), RealDisk.create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(TestFile(Arc::clone(&self.0), RealDisk.open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.check(Step::Rename)?;
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.check(Step::Remove)?;
        RealDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        assert!(dir.is_dir());
        self.0.check(Step::SyncDir)
    }
}

impl DiskFile for TestFile {
    fn size(&self) -> io::Result<u64> {
        self.1.size()
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.read(buffer, offset)
    }

    fn write(&self, data: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.0.check(Step::Write) {
            // A failing disk may still have taken some sectors.
            let middle = (offset + data.len() as u64 / 2) / 512 * 512;
            let half = usize::try_from(middle.saturating_sub(offset)).unwrap();
            self.1.write(&data[..half], offset)?;
            return Err(error);
        }
        self.1.write(data, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.0.check(Step::Allocate)?;
        self.1.allocate(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.check(Step::Sync)
    }
}
