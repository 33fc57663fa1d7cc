//! The folder of a member's state as a crash leaves it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::world::World;

/// The newest journal of the state database, and how much of it is safe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Safe {
    journal: Option<OsString>,
    bytes: u64,
}

/// What is safe if everything in the state database in `state` is now.
pub(super) fn safe(state: &Path) -> Safe {
    let journal = newest_journal(state);
    let bytes = journal.as_deref().map_or(0, used);
    Safe { journal: journal.as_deref().and_then(name), bytes }
}

fn newest_journal(state: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    let journals = files.filter(|path| path.extension().is_some_and(|ending| ending == "jnl"));
    journals.max_by_key(|path| path.file_stem()?.to_str()?.parse::<u64>().ok())
}

fn name(path: &Path) -> Option<OsString> {
    path.file_name().map(ToOwned::to_owned)
}

/// Bytes up to the last that is not zero: the space behind is reserved.
fn used(path: &Path) -> u64 {
    let mut bytes = data(path);
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes.len() as u64
}

/// What a file holds before its first hole.
fn data(path: &Path) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    let end = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).unwrap_or(0);
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut bytes = Vec::new();
    file.take(end).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Copies a folder, without the space that journals reserve: reading its zeros takes long.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::write(&copied, data(&path)).unwrap();
        }
    }
}

/// Cuts off an end of the newest journal in the folder `state` that was not safe.
pub(super) fn cut(world: &World, state: &Path, safe: &Safe) {
    let Some(journal) = newest_journal(state) else { return };
    let bytes = used(&journal);
    // Before a journal is begun, the one before it is synced.
    let kept = if safe.journal == name(&journal) { safe.bytes.min(bytes) } else { 0 };
    let lost = usize::try_from(bytes - kept).unwrap();
    let left = kept + world.below(lost + 1) as u64;
    world.count("cut_states", usize::from(left < bytes));
    let size = fs::metadata(&journal).unwrap().len();
    let file = File::options().write(true).open(&journal).unwrap();
    file.set_len(left).unwrap();
    // What was reserved stays, as zeros.
    file.set_len(size).unwrap();
}
