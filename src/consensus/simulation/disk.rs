//! A disk in memory. What was written and not synced is lost in a power cut: as a whole, in part by
//! sectors, or not at all; of names that were not synced, the newest are lost.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::world::World;
use crate::storage::wal::stepped::{Disk, DiskFile};

const SECTOR: usize = 512;

/// What is written of a file that is not safe yet.
enum Change {
    Bytes(usize, Vec<u8>),
    Size(usize),
}

impl Change {
    fn make(&self, content: &mut Vec<u8>) {
        match self {
            Self::Bytes(offset, bytes) => {
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(bytes);
            }
            Self::Size(size) => content.resize(content.len().max(*size), 0),
        }
    }
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    safe: Vec<u8>,
    unsafe_yet: Vec<Change>,
}

type Names = BTreeMap<PathBuf, Arc<Mutex<Content>>>;

/// A change of names.
enum Naming {
    Set(PathBuf, Arc<Mutex<Content>>),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Naming {
    fn make(&self, names: &mut Names) {
        match self {
            Self::Set(path, file) => {
                names.insert(path.clone(), Arc::clone(file));
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

/// Whether a disk still works.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// It writes and syncs no more.
    Dying,
    Dead,
}

struct State {
    names: Names,
    safe: Names,
    unsafe_yet: Vec<Naming>,
    health: Health,
}

/// The disk of one member, up to its next crash.
#[derive(Clone)]
pub(super) struct SimDisk {
    world: Arc<World>,
    member: usize,
    state: Arc<Mutex<State>>,
}

struct SimFile {
    disk: SimDisk,
    name: String,
    content: Arc<Mutex<Content>>,
}

impl SimDisk {
    /// An empty one.
    pub(super) fn new(world: &Arc<World>, member: usize) -> Self {
        Self::with(world, member, Names::new())
    }

    fn with(world: &Arc<World>, member: usize, names: Names) -> Self {
        let state =
            State { safe: names.clone(), names, unsafe_yet: Vec::new(), health: Health::Well };
        Self { world: Arc::clone(world), member, state: Arc::new(Mutex::new(state)) }
    }

    /// Syncs no more: the power is failing.
    pub(super) fn fail(&self) {
        self.state.lock().health = Health::Dying;
    }

    /// Ends this disk; tells what the next start finds. Without a power cut that is everything.
    pub(super) fn crash(&self, power: bool) -> Self {
        let mut state = self.state.lock();
        state.health = Health::Dead;
        if !power {
            return Self::with(
                &self.world,
                self.member,
                fresh(&state.names, |content| content.now.clone()),
            );
        }
        let kept = self.world.below(state.unsafe_yet.len() + 1);
        let mut names = state.safe.clone();
        state.unsafe_yet.iter().take(kept).for_each(|naming| naming.make(&mut names));
        Self::with(&self.world, self.member, fresh(&names, |content| self.left_of(content)))
    }

    /// What a power cut leaves of a file. A sector gets to the disk as it was at some moment: with a
    /// write, everything written to the same sector before is there too.
    fn left_of(&self, content: &Content) -> Vec<u8> {
        self.world.count("unsynced_writes", content.unsafe_yet.len());
        let mut left = content.safe.clone();
        let mut newest = BTreeMap::new();
        for (number, change) in content.unsafe_yet.iter().enumerate() {
            match (change, self.world.below(3)) {
                (_, 0) => {}
                (Change::Size(_), _) => change.make(&mut left),
                (Change::Bytes(offset, bytes), fate) => {
                    for (sector, _) in sectors(*offset, bytes) {
                        if fate == 2 || self.world.chance(500) {
                            newest.insert(sector, number);
                        }
                    }
                }
            }
        }
        for (number, change) in content.unsafe_yet.iter().enumerate() {
            let Change::Bytes(offset, bytes) = change else { continue };
            for (sector, part) in sectors(*offset, bytes) {
                if newest.get(&sector).is_some_and(|newest| number <= *newest) {
                    let at = (*offset).max(sector * SECTOR);
                    Change::Bytes(at, part.to_vec()).make(&mut left);
                }
            }
        }
        left
    }

    fn works(&self) -> io::Result<()> {
        match self.state.lock().health {
            Health::Dead => Err(io::Error::other("the member has crashed")),
            _ => Ok(()),
        }
    }

    fn syncs(&self) -> io::Result<()> {
        match self.state.lock().health {
            Health::Well => Ok(()),
            _ => Err(io::Error::other("the power has failed")),
        }
    }

    fn file(&self, path: &Path, content: &Arc<Mutex<Content>>) -> Arc<dyn DiskFile> {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Arc::new(SimFile { disk: self.clone(), name, content: Arc::clone(content) })
    }

    fn rename_all(&self, naming: Naming) -> io::Result<()> {
        self.works()?;
        let mut state = self.state.lock();
        naming.make(&mut state.names);
        state.unsafe_yet.push(naming);
        Ok(())
    }
}

/// The parts of a write with the numbers of the sectors they belong to.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let sector = (offset + at) / SECTOR;
        let end = ((sector + 1) * SECTOR - offset).min(bytes.len());
        let part = bytes.get(at..end).filter(|part| !part.is_empty())?;
        at = end;
        Some((sector, part))
    })
}

/// The same names with contents of their own, all of them safe.
fn fresh(names: &Names, content: impl Fn(&Content) -> Vec<u8>) -> Names {
    let fresh = names.iter().map(|(path, file)| {
        let now = content(&file.lock());
        let file = Content { safe: now.clone(), now, unsafe_yet: Vec::new() };
        (path.clone(), Arc::new(Mutex::new(file)))
    });
    fresh.collect()
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let content = Arc::default();
        let file = self.file(path, &content);
        self.rename_all(Naming::Set(path.to_path_buf(), content))?;
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.works()?;
        let content = self.state.lock().names.get(path).cloned();
        Ok(self.file(path, &content.ok_or(io::ErrorKind::NotFound)?))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        self.works()?;
        Ok(self.state.lock().names.keys().cloned().collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename_all(Naming::Rename(from.to_path_buf(), to.to_path_buf()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.rename_all(Naming::Remove(path.to_path_buf()))
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.syncs()?;
        let mut state = self.state.lock();
        state.unsafe_yet.clear();
        state.safe = state.names.clone();
        Ok(())
    }
}

impl SimFile {
    fn change(&self, change: Change) -> io::Result<()> {
        self.disk.works()?;
        let mut content = self.content.lock();
        change.make(&mut content.now);
        content.unsafe_yet.push(change);
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().now.len() as u64)
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.works()?;
        let content = self.content.lock();
        let offset = usize::try_from(offset).unwrap();
        let bytes = content.now.get(offset..offset + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let (member, name, hash) = (self.disk.member, &self.name, crc32c::crc32c(data));
        self.disk.world.note(format_args!("{member} writes {name} {offset} {hash:x}"));
        self.change(Change::Bytes(usize::try_from(offset).unwrap(), data.to_vec()))
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.change(Change::Size(usize::try_from(size).unwrap()))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.syncs()?;
        let mut content = self.content.lock();
        let Content { safe, unsafe_yet, .. } = &mut *content;
        unsafe_yet.drain(..).for_each(|change| change.make(safe));
        Ok(())
    }
}
