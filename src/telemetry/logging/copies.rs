//! The copies of a rotated log: their names, how many stay and how long, their compression.
//!
//! Looking after them takes a while, so a thread of its own does it: the log thread only renames.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::line::{local, utc};
use super::rotate::Rotation;
use crate::types::clock::Clock;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PACKED: &str = ".gz";

/// The copies of one log file.
#[derive(Clone)]
pub(super) struct Copies {
    log: PathBuf,
    rotation: Rotation,
}

/// Wakes the thread that looks after the copies; the thread ends with it.
pub(super) struct Caretaker(SyncSender<()>);

impl Caretaker {
    /// Starts the thread. It looks at once: the last process may have left something undone.
    pub(super) fn start(copies: Copies, clock: Clock) -> io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let caretaker = Self(wake);
        caretaker.wake();
        let run = move || copies.keep_tidy(&woken, clock);
        std::thread::Builder::new().name(String::from("log-copies")).spawn(run)?;
        Ok(caretaker)
    }

    /// Has the thread look, now or once more if it is looking already.
    pub(super) fn wake(&self) {
        // Full means that a look is due anyway.
        let _ = self.0.try_send(());
    }
}

impl Copies {
    /// Those of `log`, under the rules of `rotation`.
    pub(super) fn of(log: &Path, rotation: Rotation) -> Self {
        Self { log: log.to_path_buf(), rotation }
    }

    /// Where `etcd.log` set aside now goes: `etcd-2026-11-22T23-58-26.416.log`.
    pub(super) fn next(&self, now: Duration) -> PathBuf {
        let (prefix, suffix) = self.name_parts();
        self.log.with_file_name(format!("{prefix}{}{suffix}", self.stamp(now)))
    }

    fn keep_tidy(&self, woken: &Receiver<()>, clock: Clock) {
        while woken.recv().is_ok() {
            self.tidy(clock.unix());
        }
    }

    /// Removes copies that are too many or too old, and compresses the others if asked to.
    fn tidy(&self, now: Duration) {
        let Rotation { maxbackups, maxage, compress, .. } = self.rotation;
        let keep = if maxbackups == 0 { usize::MAX } else { maxbackups };
        let age = DAY.saturating_mul(u32::try_from(maxage).unwrap_or(u32::MAX));
        let oldest = self.stamp(now.saturating_sub(age));
        for (place, (stamp, files)) in self.found().into_iter().rev().enumerate() {
            let expired = place >= keep || (maxage > 0 && stamp < oldest);
            for file in files {
                let packed = file.extension() == Some(OsStr::new("gz"));
                let done = match (expired, compress && !packed) {
                    (true, _) => fs::remove_file(&file),
                    (false, true) => pack(&file),
                    (false, false) => Ok(()),
                };
                if let Err(error) = done {
                    tracing::warn!(
                        file = %file.display(),
                        %error,
                        "old log file left as it is until the next rotation"
                    );
                }
            }
        }
    }

    /// The copies there are by their time; one may be there both packed and not, if packing it was
    /// interrupted. Other files beside the log are left alone.
    fn found(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let (prefix, suffix) = self.name_parts();
        let dir = self.log.parent().filter(|dir| !dir.as_os_str().is_empty());
        let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        let Ok(entries) = fs::read_dir(dir.unwrap_or(Path::new("."))) else { return found };
        for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let bare = name.strip_suffix(PACKED).unwrap_or(&name);
            let stamp = bare.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(&suffix));
            if let Some(stamp) = stamp.filter(|stamp| is_stamp(stamp)) {
                let files = found.entry(stamp.to_owned()).or_default();
                files.push(self.log.with_file_name(&name));
            }
        }
        found
    }

    /// What surrounds the time in a name: `etcd-` and `.log`.
    fn name_parts(&self) -> (String, String) {
        let text = |part: Option<&OsStr>| {
            part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let extension = text(self.log.extension());
        let dot = if extension.is_empty() { "" } else { "." };
        (format!("{}-", text(self.log.file_stem())), format!("{dot}{extension}"))
    }

    /// A time as names have it; they sort by age.
    fn stamp(&self, now: Duration) -> String {
        let t = if self.rotation.localtime { local(now) } else { utc(now) };
        let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
        let (hour, minute, second, milli) = (t.hour(), t.minute(), t.second(), t.millisecond());
        format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{milli:03}")
    }
}

fn is_stamp(text: &str) -> bool {
    const SHAPE: &str = "0000-00-00T00-00-00.000";
    text.len() == SHAPE.len()
        && text.chars().zip(SHAPE.chars()).all(|(c, shape)| match shape {
            '0' => c.is_ascii_digit(),
            other => c == other,
        })
}

/// Replaces a file by its compressed form, with the same permissions. The plain one goes last, so that
/// a crash leaves it to be packed again.
fn pack(plain: &Path) -> io::Result<()> {
    let mut packed = plain.as_os_str().to_owned();
    packed.push(PACKED);
    let written = write_packed(plain, Path::new(&packed));
    if written.is_err() {
        let _ = fs::remove_file(&packed);
    }
    written.and_then(|()| fs::remove_file(plain))
}

fn write_packed(plain: &Path, packed: &Path) -> io::Result<()> {
    let mut source = File::open(plain)?;
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true);
    let target = options.mode(source.metadata()?.mode() & 0o777).open(packed)?;
    let mut encoder = GzEncoder::new(target, Compression::default());
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn copies(dir: &Path, json: &str) -> Copies {
        Copies::of(&dir.join("etcd.log"), Rotation::parse(json).unwrap())
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn day(day: u32) -> Duration {
        DAY * day + Duration::from_millis(7)
    }

    fn name(day: u32) -> String {
        format!("etcd-1970-01-{:02}T00-00-00.007.log", day + 1)
    }

    #[test]
    fn old_copies_go_by_number_and_by_age() {
        let dir = tempfile::tempdir().unwrap();
        let copies = copies(dir.path(), r#"{"maxbackups": 2, "maxage": 3}"#);
        for other in ["etcd-notes.log", "etcd.log", "etcd-1970-01-01.log.gz"] {
            fs::write(dir.path().join(other), "not a copy").unwrap();
        }
        for at in 10..=13 {
            assert_eq!(copies.next(day(at)), dir.path().join(name(at)));
            fs::write(copies.next(day(at)), "x").unwrap();
        }
        // Packed or not, a copy is one copy.
        fs::write(dir.path().join(name(12) + ".gz"), "x").unwrap();
        copies.tidy(day(13));
        let others = ["etcd-1970-01-01.log.gz", "etcd-notes.log", "etcd.log"].map(String::from);
        let two = [name(12), name(12) + ".gz", name(13)];
        assert_eq!(names(dir.path()), [&others[..1], &two, &others[1..]].concat());
        copies.tidy(day(16));
        assert_eq!(names(dir.path()), [&others[..1], &[name(13)], &others[1..]].concat());
        copies.tidy(day(17));
        assert_eq!(names(dir.path()), others);
    }

    #[test]
    fn copies_are_compressed_when_the_caretaker_is_woken() {
        let dir = tempfile::tempdir().unwrap();
        let copies = copies(dir.path(), r#"{"compress": true}"#);
        let text = "a line\n".repeat(10_000);
        let plain = copies.next(day(1));
        fs::write(&plain, &text).unwrap();
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o640)).unwrap();
        // What an interrupted packing leaves.
        fs::write(dir.path().join(name(1) + ".gz"), "cut sh").unwrap();
        fs::write(dir.path().join("etcd.log"), "in use").unwrap();
        let (wake, woken) = sync_channel(1);
        wake.send(()).unwrap();
        drop(wake);
        copies.keep_tidy(&woken, Clock);
        assert_eq!(names(dir.path()), [name(1) + ".gz", "etcd.log".to_owned()]);
        let packed = File::open(dir.path().join(name(1) + ".gz")).unwrap();
        assert!(packed.metadata().unwrap().len() < 1000);
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, text);
    }

    #[test]
    fn what_cannot_be_packed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let copies = copies(dir.path(), r#"{"compress": true}"#);
        fs::create_dir(copies.next(day(1))).unwrap();
        copies.tidy(day(1));
        assert_eq!(names(dir.path()), [name(1)]);
    }
}
