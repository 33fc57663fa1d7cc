//! The header file of a data directory: format version and how far the first start came.
//!
//! Text, so that people can read it; the last line is a checksum over the lines before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::StorageError;
use crate::failpoint::{self, Point};
use crate::types::hex::{hex, unhex};

/// The format this build reads and writes.
pub(crate) const VERSION: u64 = 1;
const TITLE: &str = "etcd data directory";
/// Longer files are not ours; bounds what is read.
const MAX_BYTES: u64 = 64 << 10;

/// How far the first start of a member came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing in the directory has ever been promised to anyone.
    Starting,
    /// The member exists; the bytes identify it.
    Started(Vec<u8>),
}

/// Reads the header; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Phase>, StorageError> {
    let size = match fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StorageError::io("inspect", path)(e)),
    };
    if size > MAX_BYTES {
        return Err(damaged(path, &format!("{size} bytes long, expected at most {MAX_BYTES}")));
    }
    let raw = fs::read(path).map_err(StorageError::io("read", path))?;
    let text = String::from_utf8(raw).map_err(|_| damaged(path, "not text"))?;
    decode(path, &text).map(Some)
}

fn damaged(path: &Path, why: &str) -> StorageError {
    StorageError::Damaged { path: path.to_path_buf(), why: why.to_owned() }
}

pub(super) fn decode(path: &Path, text: &str) -> Result<Phase, StorageError> {
    let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
    if title != TITLE {
        return Err(damaged(path, &format!("the first line is not {TITLE:?}")));
    }
    // The version comes before the checksum: a newer format may check itself differently.
    let (version, _) = rest.split_once('\n').unwrap_or((rest, ""));
    let found = version.strip_prefix("version: ").and_then(|v| v.parse().ok());
    let found: u64 = found.ok_or_else(|| damaged(path, "the second line names no version"))?;
    if found != VERSION {
        let header = path.to_path_buf();
        return Err(StorageError::UnknownVersion { header, found, known: VERSION });
    }
    let (body, sum) = text.rsplit_once("checksum: ").unwrap_or((text, ""));
    if sum != checksum(body) {
        return Err(damaged(path, "the checksum does not match"));
    }
    let phase = body.lines().nth(2).and_then(|line| line.strip_prefix("phase: "));
    match phase {
        Some("starting") => Ok(Phase::Starting),
        Some(started) => started
            .strip_prefix("started ")
            .and_then(unhex)
            .map(Phase::Started)
            .ok_or_else(|| damaged(path, "the third line names no known phase")),
        None => Err(damaged(path, "the third line names no phase")),
    }
}

pub(super) fn encode(phase: &Phase) -> String {
    let phase = match phase {
        Phase::Starting => "starting".to_owned(),
        Phase::Started(identity) => format!("started {}", hex(identity)),
    };
    let body = format!("{TITLE}\nversion: {VERSION}\nphase: {phase}\n");
    format!("{body}checksum: {}", checksum(&body))
}

fn checksum(body: &str) -> String {
    format!("{:08x}\n", crc32c::crc32c(body.as_bytes()))
}

/// Replaces the header atomically and durably.
pub(crate) fn write(path: &Path, phase: &Phase) -> Result<(), StorageError> {
    write_atomically(path, encode(phase).as_bytes())
}

/// Replaces a small file so that a crash leaves either the old or the new contents.
pub(crate) fn write_atomically(path: &Path, contents: &[u8]) -> Result<(), StorageError> {
    let tmp = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&tmp).map_err(StorageError::io("create", &tmp))?;
    file.write_all(contents).map_err(StorageError::io("write", &tmp))?;
    file.sync_all().map_err(StorageError::io("fsync", &tmp))?;
    failpoint::hit(Point::HeaderWritten);
    fs::rename(&tmp, path).map_err(StorageError::io("rename to", path))?;
    failpoint::hit(Point::HeaderRenamed);
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes created, renamed and removed names in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StorageError> {
    let sync = || File::open(dir)?.sync_all();
    sync().map_err(StorageError::io("fsync", dir))
}
