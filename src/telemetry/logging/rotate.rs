//! A log file that is set aside when it has grown, and whose old copies are removed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;

use super::LogError;
use super::line::{local, utc};
use super::output::append;
use crate::types::clock::Clock;

const MEGABYTE: u64 = 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What a size of nothing means.
const DEFAULT_MEGABYTES: u64 = 100;

/// When a file is set aside and how long its copies stay, in the words of etcd's rotation settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rotation {
    /// Megabytes a file may grow to; nothing means 100.
    maxsize: u64,
    /// Days a copy is kept; nothing means forever.
    maxage: u64,
    /// Copies kept; nothing means all.
    maxbackups: usize,
    /// Whether copies are named after local time instead of UTC.
    localtime: bool,
    /// Whether copies are compressed.
    compress: bool,
}

impl Rotation {
    /// Reads the JSON of `--log-rotation-config-json`.
    pub(super) fn parse(json: &str) -> Result<Self, LogError> {
        let fault = |reason: String| LogError::Rotation { json: String::from(json), reason };
        let rotation: Self = serde_json::from_str(json).map_err(|e| fault(e.to_string()))?;
        if rotation.compress {
            let reason = "compress is not available; compress old files from outside, or set false";
            return Err(fault(String::from(reason)));
        }
        Ok(rotation)
    }

    fn max_bytes(&self) -> u64 {
        let megabytes = if self.maxsize == 0 { DEFAULT_MEGABYTES } else { self.maxsize };
        megabytes.saturating_mul(MEGABYTE)
    }

    fn stamp(&self, now: Duration) -> OffsetDateTime {
        if self.localtime { local(now) } else { utc(now) }
    }
}

/// The file being written and the rules for its copies.
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    size: u64,
    rotation: Rotation,
}

impl Rotating {
    /// Opens `path`, with the directories above it, and goes on where it ends.
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_path_buf(), file, size, rotation })
    }

    /// Writes a line, into a new file if it would make this one too large.
    pub(super) fn write(&mut self, text: &[u8], clock: Clock) -> io::Result<()> {
        let more = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if self.size > 0 && self.size.saturating_add(more) > self.rotation.max_bytes() {
            self.rotate(clock.unix())?;
        }
        self.file.write_all(text)?;
        self.size += more;
        Ok(())
    }

    /// Opens the file again under its name.
    pub(super) fn reopen(&mut self) {
        if let Ok(new) = Self::open(&self.path, self.rotation.clone()) {
            *self = new;
        }
    }

    fn rotate(&mut self, now: Duration) -> io::Result<()> {
        let backup = self.backup_name(now);
        fs::rename(&self.path, self.path.with_file_name(backup))?;
        self.file = append(&self.path)?;
        self.size = 0;
        self.remove_old(now);
        Ok(())
    }

    /// `etcd.log` set aside becomes `etcd-2026-11-22T23-58-26.416.log`.
    fn backup_name(&self, now: Duration) -> String {
        let (prefix, suffix) = self.name_parts();
        let t = self.rotation.stamp(now);
        let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
        let (hour, minute, second, milli) = (t.hour(), t.minute(), t.second(), t.millisecond());
        format!(
            "{prefix}{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{milli:03}{suffix}"
        )
    }

    fn name_parts(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| {
            part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let extension = text(self.path.extension());
        let dot = if extension.is_empty() { "" } else { "." };
        (format!("{}-", text(self.path.file_stem())), format!("{dot}{extension}"))
    }

    /// Removes copies that are too many or too old; the names sort by age.
    fn remove_old(&self, now: Duration) {
        let (prefix, suffix) = self.name_parts();
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let Ok(entries) = fs::read_dir(dir.unwrap_or(Path::new("."))) else { return };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let is_copy = |name: &String| {
            let stamp = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(&suffix));
            stamp.is_some_and(is_stamp)
        };
        let mut copies: Vec<String> = names.filter(is_copy).collect();
        copies.sort_unstable_by(|a, b| b.cmp(a));
        let Rotation { maxbackups, maxage, .. } = self.rotation;
        let keep = if maxbackups == 0 { copies.len() } else { maxbackups };
        let age = DAY.saturating_mul(u32::try_from(maxage).unwrap_or(u32::MAX));
        let oldest = self.backup_name(now.saturating_sub(age));
        for (i, name) in copies.iter().enumerate() {
            if i >= keep || (maxage > 0 && *name < oldest) {
                // A copy that cannot be removed now is tried again at the next rotation.
                let _ = fs::remove_file(self.path.with_file_name(name));
            }
        }
    }
}

/// Whether this is the time in the name of a copy; other files beside the log are left alone.
fn is_stamp(text: &str) -> bool {
    const SHAPE: &str = "0000-00-00T00-00-00.000";
    text.len() == SHAPE.len()
        && text.chars().zip(SHAPE.chars()).all(|(c, shape)| match shape {
            '0' => c.is_ascii_digit(),
            other => c == other,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_set_aside_and_old_copies_go() {
        let dir = tempfile::tempdir().unwrap();
        let rotation = Rotation::parse(r#"{"maxsize": 1, "maxbackups": 2, "maxage": 3}"#).unwrap();
        let path = dir.path().join("etcd.log");
        let mut log = Rotating::open(&path, rotation).unwrap();
        fs::write(dir.path().join("etcd-notes.log"), "not a copy").unwrap();
        let at = |day| DAY * day + Duration::from_millis(7);
        for day in 10..=13 {
            log.write(b"x", Clock).unwrap();
            log.rotate(at(day)).unwrap();
        }
        let copies = ["etcd-1970-01-13T00-00-00.007.log", "etcd-1970-01-14T00-00-00.007.log"];
        let expected = [copies[0], copies[1], "etcd-notes.log", "etcd.log"];
        assert_eq!(names(dir.path()), expected, "two copies stay");
        log.rotate(at(17)).unwrap();
        let expected = ["etcd-1970-01-18T00-00-00.007.log", "etcd-notes.log", "etcd.log"];
        assert_eq!(names(dir.path()), expected, "copies older than three days go");
    }

    #[test]
    fn a_file_never_grows_beyond_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/log");
        let mut log = Rotating::open(&path, Rotation::parse(r#"{"maxsize":1}"#).unwrap()).unwrap();
        let half = vec![b'x'; usize::try_from(MEGABYTE / 2).unwrap()];
        for _ in 0..3 {
            log.write(&half, Clock).unwrap();
        }
        let sub = dir.path().join("sub");
        assert_eq!(fs::metadata(&path).unwrap().len(), MEGABYTE / 2);
        assert_eq!(names(&sub).len(), 2);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (json, part) in [
            (r#"{"compress": true}"#, "compress is not available"),
            (r#"{"maxsiez": 1}"#, "unknown field `maxsiez`"),
            ("{", "EOF"),
        ] {
            let error = Rotation::parse(json).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
