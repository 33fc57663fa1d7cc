//! The data directory: who may use it, what it is, and where things lie in it.
//!
//! ```text
//! <data-dir>/lock               held while a process uses the directory
//! <data-dir>/format             format version, and whether the first start was completed
//! <data-dir>/member/wal/        Raft log segments, unless a separate folder is given
//! <data-dir>/member/state/N/    state database; CURRENT names the valid N
//! <data-dir>/member/index/      checkpoints of the key index, checkpoint-N of state N; may be deleted
//!                               at any time
//! <data-dir>/revocations/       revocation lists that other members passed on
//! ```

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tracing::warn;

use super::error::StorageError;
use super::format::{self, Phase};
use super::generations::Generations;
use crate::failpoint::{self, Point};

const LOCK: &str = "lock";
const FORMAT: &str = "format";
const MEMBER: &str = "member";
const INDEX: &str = "index";
/// What an empty folder may hold: our lock, and what a file system's own root comes with.
const IGNORED: [&str; 2] = [LOCK, "lost+found"];
/// etcd allows nobody but the owner.
const MODE: u32 = 0o700;

/// A data directory, locked for this process until dropped.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    wal: PathBuf,
    generations: Generations,
    identity: Option<Vec<u8>>,
    _locks: Vec<Lock>,
}

impl DataDir {
    /// Opens or creates the directory; the log lies in `wal_dir` if given. What an interrupted
    /// first start left behind is removed.
    pub fn open(root: &Path, wal_dir: Option<&Path>) -> Result<Self, StorageError> {
        create_private(root)?;
        let mut locks = vec![lock(&root.join(LOCK))?];
        let member = root.join(MEMBER);
        let wal = wal_dir.map_or_else(|| member.join("wal"), Path::to_path_buf);
        let header = root.join(FORMAT);
        let phase = match format::read(&header)? {
            Some(phase) => phase,
            None => begin(root, &wal, &header)?,
        };
        if wal_dir.is_some() {
            create_private(&wal)?;
            locks.push(lock(&wal.join(LOCK))?);
        }
        let identity = match phase {
            Phase::Starting => {
                clear(&member)?;
                clear_log(&wal)?;
                None
            }
            Phase::Started(identity) => Some(identity),
        };
        let (state, index) = (member.join("state"), member.join(INDEX));
        for folder in [&member, &wal, &state, &index] {
            create_private(folder)?;
        }
        let generations = Generations::open(&state, &index, identity.is_some())?;
        for folder in [&state, &member, root] {
            format::sync_dir(folder)?;
        }
        if identity.is_none() {
            failpoint::hit(Point::StartFolders);
        }
        Ok(Self { root: root.to_path_buf(), wal, generations, identity, _locks: locks })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the Raft log.
    pub fn wal(&self) -> PathBuf {
        self.wal.clone()
    }

    /// The folder of the valid state database.
    pub fn state(&self) -> PathBuf {
        self.generations.state()
    }

    /// The folders of the state database, of which one is valid.
    pub fn generations(&self) -> Generations {
        self.generations.clone()
    }

    /// The folder for checkpoints of the key index.
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join(MEMBER).join(INDEX)
    }

    /// What [`Self::mark_started`] was given, if the first start was ever completed.
    pub fn identity(&self) -> Option<&[u8]> {
        self.identity.as_deref()
    }

    /// Records that the member exists from now on, as `identity`: from here on nothing in the
    /// directory is removed at open, and log and state must be there. At most 16 KiB.
    pub fn mark_started(&mut self, identity: &[u8]) -> Result<(), StorageError> {
        failpoint::hit(Point::StartUnmarked);
        format::write(&self.root.join(FORMAT), &Phase::Started(identity.to_vec()))?;
        failpoint::hit(Point::StartMarked);
        self.identity = Some(identity.to_vec());
        Ok(())
    }
}

/// Claims a directory without a header, unless it has contents that somebody may miss.
fn begin(root: &Path, wal: &Path, header: &Path) -> Result<Phase, StorageError> {
    let member = root.join(MEMBER);
    let snap = member.join("snap");
    let mut foreign = vec![snap.join("db"), snap];
    for folder in [&member.join("wal"), wal] {
        foreign.extend(list(folder)?.into_iter().filter(|path| is_go_segment(path)));
    }
    if let Some(found) = foreign.into_iter().find(|path| path.exists()) {
        return Err(StorageError::Foreign { dir: root.to_path_buf(), found });
    }
    for folder in [member, wal.to_path_buf()] {
        let known = |name: &OsStr| IGNORED.iter().any(|known| name == *known);
        if list(&folder)?.iter().any(|path| !path.file_name().is_some_and(known)) {
            return Err(StorageError::Headless { dir: folder, header: header.to_path_buf() });
        }
    }
    format::write(header, &Phase::Starting)?;
    failpoint::hit(Point::StartClaimed);
    Ok(Phase::Starting)
}

/// `0000000000000000-0000000000000000.wal`: sequence and first index, as the Go etcd names them.
fn is_go_segment(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    name.strip_suffix(".wal").and_then(|stem| stem.split_once('-')).is_some()
}

/// A lock that ends with this value, not with the last copy of its file: a program that is being started
/// holds copies of all files for a moment.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // If it fails, closing the file ends the lock.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

fn lock(path: &Path) -> Result<Lock, StorageError> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(StorageError::io("create", path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(e) if e == rustix::io::Errno::WOULDBLOCK => {
            Err(StorageError::Locked { path: path.to_path_buf() })
        }
        Err(e) => Err(StorageError::io("lock", path)(e.into())),
    }
}

/// Creates a folder for the owner alone; warns about an existing one that is open to others.
pub(super) fn create_private(path: &Path) -> Result<(), StorageError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(MODE);
    builder.create(path).map_err(StorageError::io("create", path))?;
    let mode = fs::metadata(path).map_err(StorageError::io("inspect", path))?.mode() & 0o777;
    if mode & !MODE != 0 {
        warn!(
            dir = %path.display(),
            permission = format!("{mode:o}"),
            recommended = format!("{MODE:o}"),
            "directory is accessible to other users"
        );
    }
    Ok(())
}

/// Contents of a folder; empty if it does not exist.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StorageError::io("list", folder)(e)),
    };
    let paths: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    paths.map_err(StorageError::io("list", folder))
}

/// Removes everything in a folder that is ours alone.
fn clear(folder: &Path) -> Result<(), StorageError> {
    for path in list(folder)? {
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(StorageError::io("remove", &path))?;
    }
    Ok(())
}

/// Removes the segments of a log. The folder may have been chosen by hand, and by mistake, so that
/// nothing else in it is touched.
fn clear_log(folder: &Path) -> Result<(), StorageError> {
    for path in list(folder)? {
        let kind = path.extension().and_then(|extension| extension.to_str());
        if matches!(kind, Some("wal" | "tmp")) && path.is_file() {
            fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
