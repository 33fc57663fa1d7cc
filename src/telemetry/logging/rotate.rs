//! A log file that is set aside when it has grown.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::LogError;
use super::copies::{Caretaker, Copies};
use super::output::append;
use crate::types::clock::Clock;

const MEGABYTE: u64 = 1024 * 1024;
/// What a size of nothing means.
const DEFAULT_MEGABYTES: u64 = 100;

/// When a file is set aside and how long its copies stay, in the words of etcd's rotation settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rotation {
    /// Megabytes a file may grow to; nothing means 100.
    maxsize: u64,
    /// Days a copy is kept; nothing means forever.
    pub(super) maxage: u64,
    /// Copies kept; nothing means all.
    pub(super) maxbackups: usize,
    /// Whether copies are named after local time instead of UTC.
    pub(super) localtime: bool,
    /// Whether copies are compressed.
    pub(super) compress: bool,
}

impl Rotation {
    /// Reads the JSON of `--log-rotation-config-json`.
    pub(super) fn parse(json: &str) -> Result<Self, LogError> {
        serde_json::from_str(json).map_err(|error| LogError::Rotation {
            json: String::from(json),
            reason: error.to_string(),
        })
    }

    fn max_bytes(&self) -> u64 {
        let megabytes = if self.maxsize == 0 { DEFAULT_MEGABYTES } else { self.maxsize };
        megabytes.saturating_mul(MEGABYTE)
    }
}

/// The file being written and the rules for its copies.
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    size: u64,
    max_bytes: u64,
    copies: Copies,
    caretaker: Caretaker,
}

impl Rotating {
    /// Opens `path`, with the directories above it, and goes on where it ends.
    pub(super) fn open(path: &Path, rotation: &Rotation, clock: Clock) -> io::Result<Self> {
        let (file, size) = open(path)?;
        let copies = Copies::of(path, rotation.clone());
        let caretaker = Caretaker::start(copies.clone(), clock)?;
        let max_bytes = rotation.max_bytes();
        Ok(Self { path: path.to_path_buf(), file, size, max_bytes, copies, caretaker })
    }

    /// Writes a line, into a new file if it would make this one too large.
    pub(super) fn write(&mut self, text: &[u8], clock: Clock) -> io::Result<()> {
        let more = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let full = self.size > 0 && self.size.saturating_add(more) > self.max_bytes;
        // Better a file that is too large than a line that is lost.
        let rotated = if full { self.rotate(clock) } else { Ok(()) };
        self.file.write_all(text)?;
        self.size += more;
        rotated
    }

    /// Opens the file again under its name.
    pub(super) fn reopen(&mut self) {
        if let Ok((file, size)) = open(&self.path) {
            (self.file, self.size) = (file, size);
        }
    }

    fn rotate(&mut self, clock: Clock) -> io::Result<()> {
        match fs::rename(&self.path, self.copies.next(clock.unix())) {
            // Moved away by somebody else.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        (self.file, self.size) = open(&self.path)?;
        self.caretaker.wake();
        Ok(())
    }
}

/// Opens a file for appending, with the directories above it; gives its size as well.
fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let file = append(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_never_grows_beyond_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/log");
        let rotation = Rotation::parse(r#"{"maxsize":1}"#).unwrap();
        let mut log = Rotating::open(&path, &rotation, Clock).unwrap();
        let half = vec![b'x'; usize::try_from(MEGABYTE / 2).unwrap()];
        for _ in 0..3 {
            log.write(&half, Clock).unwrap();
        }
        let sub = dir.path().join("sub");
        assert_eq!(fs::metadata(&path).unwrap().len(), MEGABYTE / 2);
        assert_eq!(fs::read_dir(sub).unwrap().count(), 2);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (json, part) in [
            (r#"{"maxsize": -1}"#, "invalid value: integer `-1`"),
            (r#"{"maxsiez": 1}"#, "unknown field `maxsiez`"),
            ("{", "EOF"),
        ] {
            let error = Rotation::parse(json).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
