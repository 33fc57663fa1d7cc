//! The numbered folders of the state database: one is valid, a replacement is built beside it.
//!
//! CURRENT names the valid one and is replaced atomically, so that a crash leaves the old database or
//! the new one. A checkpoint of the key index belongs to one database and carries its number, so that
//! the checkpoint of one never meets the records of the other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::warn;

use super::datadir::{create_private, list};
use super::error::StorageError;
use super::format;

const CURRENT: &str = "CURRENT";
const CHECKPOINT: &str = "checkpoint";

/// The folders of the state database in a data directory. Clones share them; whoever holds the data
/// directory's lock may use them.
#[derive(Clone, Debug)]
pub struct Generations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    states: PathBuf,
    indexes: PathBuf,
    numbers: Mutex<Numbers>,
}

#[derive(Debug)]
struct Numbers {
    valid: u64,
    /// The highest number that was ever given out: none is given twice, so that two replacements
    /// that are built at once do not meet.
    newest: u64,
}

impl Generations {
    /// Finds the valid folder in `states` and removes the others, and the checkpoints in `indexes`
    /// that belong to them. Without CURRENT the first one begins, unless `must_exist`.
    pub(super) fn open(
        states: &Path,
        indexes: &Path,
        must_exist: bool,
    ) -> Result<Self, StorageError> {
        let valid = valid(&states.join(CURRENT), must_exist)?;
        for entry in list(states)? {
            let number = entry.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
            if number.is_some_and(|number| number != valid) {
                fs::remove_dir_all(&entry).map_err(StorageError::io("remove", &entry))?;
            }
        }
        let kept = checkpoint(valid);
        for entry in list(indexes)? {
            let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(CHECKPOINT) && name != kept {
                fs::remove_file(&entry).map_err(StorageError::io("remove", &entry))?;
            }
        }
        create_private(&states.join(valid.to_string()))?;
        let inner = Inner {
            states: states.to_path_buf(),
            indexes: indexes.to_path_buf(),
            numbers: Mutex::new(Numbers { valid, newest: valid }),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The folder of the valid state database.
    pub fn state(&self) -> PathBuf {
        self.folder(self.inner.numbers.lock().valid)
    }

    /// The file for the checkpoint of the key index over the valid state database.
    pub fn checkpoint(&self) -> PathBuf {
        self.inner.indexes.join(checkpoint(self.inner.numbers.lock().valid))
    }

    /// An empty folder beside the valid one, for building a replacement.
    ///
    /// # Errors
    /// The file system refused.
    pub fn begin(&self) -> Result<Fresh, StorageError> {
        let mut numbers = self.inner.numbers.lock();
        numbers.newest += 1;
        let number = numbers.newest;
        drop(numbers);
        let fresh = Fresh { generations: self.clone(), number, kept: false };
        create_private(&fresh.path())?;
        Ok(fresh)
    }

    fn folder(&self, number: u64) -> PathBuf {
        self.inner.states.join(number.to_string())
    }

    fn make_valid(&self, number: u64) -> Result<(), StorageError> {
        let mut numbers = self.inner.numbers.lock();
        // The folder's own name must be durable before anything names it.
        format::sync_dir(&self.inner.states)?;
        let current = self.inner.states.join(CURRENT);
        format::write_atomically(&current, current_text(number).as_bytes())?;
        numbers.valid = number;
        Ok(())
    }
}

/// A folder for a state database that is not valid yet. Dropped before it is, it is removed; a crash
/// leaves it to the next start.
#[derive(Debug)]
pub struct Fresh {
    generations: Generations,
    number: u64,
    kept: bool,
}

impl Fresh {
    /// The folder.
    pub fn path(&self) -> PathBuf {
        self.generations.folder(self.number)
    }

    /// Where the checkpoint of its key index will lie.
    pub fn checkpoint(&self) -> PathBuf {
        self.generations.inner.indexes.join(checkpoint(self.number))
    }

    /// Makes it the valid one, atomically and durably; its contents must be durable. The one that was
    /// valid stays, because it may still be in use; it is removed at the next start at the latest.
    ///
    /// # Errors
    /// The file system refused; which of the two is valid is then unknown, and the process must stop.
    pub fn make_valid(mut self) -> Result<(), StorageError> {
        // Whatever comes of the write, CURRENT may name this folder from here on.
        self.kept = true;
        self.generations.make_valid(self.number)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let path = self.path();
        if let Err(error) = fs::remove_dir_all(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(dir = %path.display(), %error, "cannot remove an unfinished state database");
        }
    }
}

fn checkpoint(number: u64) -> String {
    format!("{CHECKPOINT}-{number}")
}

fn valid(current: &Path, must_exist: bool) -> Result<u64, StorageError> {
    match fs::read_to_string(current) {
        Ok(text) => read_current(&text).ok_or_else(|| StorageError::Damaged {
            path: current.to_path_buf(),
            why: "it does not hold a number and its checksum".to_owned(),
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !must_exist => {
            format::write_atomically(current, current_text(1).as_bytes())?;
            Ok(1)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let why = "it is missing, and it says which state is valid".to_owned();
            Err(StorageError::Damaged { path: current.to_path_buf(), why })
        }
        Err(e) => Err(StorageError::io("read", current)(e)),
    }
}

/// What CURRENT holds: the number decides what is removed, so that it must be beyond doubt.
pub(super) fn current_text(number: u64) -> String {
    let number = number.to_string();
    format!("{number} {:08x}\n", crc32c::crc32c(number.as_bytes()))
}

pub(super) fn read_current(text: &str) -> Option<u64> {
    let number = text.split_once(' ')?.0.parse().ok()?;
    (text == current_text(number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::super::datadir::DataDir;
    use super::*;

    fn started(root: &Path) -> DataDir {
        let mut dir = DataDir::open(root, None).unwrap();
        dir.mark_started(b"me").unwrap();
        dir
    }

    fn contents(dir: &DataDir) -> String {
        fs::read_to_string(dir.state().join("data")).unwrap()
    }

    #[test]
    fn a_replacement_takes_over_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let dir = started(root.path());
        fs::write(dir.state().join("data"), "old").unwrap();
        let old = dir.state();
        let fresh = dir.generations().begin().unwrap();
        fs::write(fresh.path().join("data"), "new").unwrap();
        assert_eq!(contents(&dir), "old");
        let checkpoint = fresh.checkpoint();
        fresh.make_valid().unwrap();
        assert_eq!((contents(&dir).as_str(), dir.generations().checkpoint()), ("new", checkpoint));
        assert!(old.exists(), "it may still be in use");
        drop(dir);
        let dir = DataDir::open(root.path(), None).unwrap();
        assert_eq!(contents(&dir), "new");
        assert!(!old.exists());
    }

    #[test]
    fn what_was_not_made_valid_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let dir = started(root.path());
        fs::write(dir.state().join("data"), "old").unwrap();
        let generations = dir.generations();
        let (one, other) = (generations.begin().unwrap(), generations.begin().unwrap());
        let (dropped, crashed) = (one.path(), other.path());
        assert_ne!(dropped, crashed, "two that are built at once");
        fs::write(dropped.join("data"), "new").unwrap();
        drop(one);
        assert!(!dropped.exists());
        // As a crash does: nobody tidies up.
        std::mem::forget(other);
        fs::write(crashed.join("data"), "new").unwrap();
        drop(dir);
        let dir = DataDir::open(root.path(), None).unwrap();
        assert_eq!(contents(&dir), "old");
        assert!(!crashed.exists());
    }

    #[test]
    fn checkpoints_of_other_states_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let dir = started(root.path());
        let (own, folder) = (dir.generations().checkpoint(), dir.checkpoint());
        assert_eq!(own, folder.join("checkpoint-1"));
        let others = ["checkpoint", "checkpoint-2", "checkpoint-1.tmp"].map(|n| folder.join(n));
        for path in others.iter().chain([&own]) {
            fs::write(path, "x").unwrap();
        }
        drop(dir);
        drop(DataDir::open(root.path(), None).unwrap());
        assert!(own.exists());
        assert!(others.iter().all(|path| !path.exists()));
    }
}
