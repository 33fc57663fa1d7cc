//! What a power cut takes with it, on a disk that loses everything that was not synced.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::disk::{Disk, DiskFile, RealDisk};
use super::super::stepped::Stepper;
use super::super::{Frame, Wal};
use super::{entry, small};

/// A write that was not synced: where, and what was there before.
struct Unsynced {
    file: Arc<dyn DiskFile>,
    offset: u64,
    before: Vec<u8>,
}

/// The real file system, which after [`Self::cut`] is as if nothing had been written but what was synced.
#[derive(Clone, Default)]
struct Forgetful(Arc<Mutex<Vec<Unsynced>>>);

struct ForgetfulFile(Forgetful, Arc<dyn DiskFile>);

impl Forgetful {
    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(ForgetfulFile(self.clone(), file))
    }

    fn cut(&self) {
        for lost in self.0.lock().drain(..).rev() {
            lost.file.write(&lost.before, lost.offset).unwrap();
        }
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
        self.0.0.lock().push(Unsynced { file: Arc::clone(&self.1), offset, before });
        self.1.write(data, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.1.allocate(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.0.lock().retain(|unsynced| !Arc::ptr_eq(&unsynced.file, &self.1));
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
    disk.cut();
    let (wal, recovered, _stepper) = open().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(recovered.last.map(|last| last.index), Some(1));
    assert_eq!(wal.read(0..2).unwrap(), [entry(0, 1, 100), entry(1, 1, 100)]);
}
