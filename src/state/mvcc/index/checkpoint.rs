//! The index on disk, so that a restart need not read every record.
//!
//! A header with the sums of the whole, then blocks of keys in ascending order; each carries its
//! CRC-32C. A checkpoint is a convenience: whatever is wrong with it, the records hold the truth, so
//! a damaged one is refused and never repaired.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::bulk::Bulk;
use super::codec::{Reader, put_entry};
use super::root::{Root, Totals};
use super::writer::Index;
use crate::failpoint::{self, Point};

/// What a checkpoint reflects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Every record up to this main revision is in it, and none above.
    pub revision: i64,
    /// The newest compaction that had been fully swept when it was taken; -1 for none.
    pub compacted: i64,
}

/// Why a checkpoint could not be written or is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("cannot {action} the index checkpoint {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Not what was written.
    #[error(
        "index checkpoint {path} is damaged at byte {offset}: {what}; it is not used, the index is \
         rebuilt from the records"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damaged part begins.
        offset: u64,
        /// How it shows.
        what: &'static str,
    },
    /// Written by a release with another format.
    #[error(
        "index checkpoint {path} has format {found}, this release reads format {FORMAT}; it is not \
         used, the index is rebuilt from the records"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it names.
        found: u32,
    },
}

const MAGIC: [u8; 8] = *b"KEYINDEX";
const FORMAT: u32 = 1;
const HEADER: usize = 64;
const CRC: usize = 4;
/// Bytes at which a block is closed: large enough to make its frame negligible.
const BLOCK: usize = 64 * 1024;
const FRAME: usize = 8;

/// Writes the index to `path`, replacing what was there; a crash leaves the old file or the new one.
/// The records it stands for must be durable before: a checkpoint that has forgotten compacted
/// records must not meet a store in which they come back.
///
/// # Errors
/// The file system refused; the old file, if any, is untouched.
pub fn write(root: &Root, stamp: Stamp, path: &Path) -> Result<(), CheckpointError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let at = |action, path: &Path| {
        let path = path.to_owned();
        move |source| CheckpointError::Io { action, path, source }
    };
    write_file(root, stamp, &temporary).map_err(at("write", &temporary))?;
    failpoint::hit(Point::CheckpointWritten);
    fs::rename(&temporary, path).map_err(at("put in place", path))?;
    failpoint::hit(Point::CheckpointRenamed);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    File::open(directory).and_then(|file| file.sync_all()).map_err(at("make durable", path))
}

fn write_file(root: &Root, stamp: Stamp, path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut out = BufWriter::with_capacity(BLOCK, file);
    let written = write_all(root, stamp, &mut out).and_then(|()| out.flush());
    // Taken apart, because it would write again when it is dropped what could not be written.
    let (file, _) = out.into_parts();
    written.and_then(|()| file.sync_all())
}

fn write_all(root: &Root, stamp: Stamp, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&header(stamp, &root.totals))?;
    let (mut block, mut last) = (Vec::with_capacity(2 * BLOCK), Vec::new());
    let mut result = Ok(());
    root.for_each_slot(|key, slot| {
        put_entry(&mut block, &last, key, slot);
        last.clear();
        last.extend_from_slice(key);
        if block.len() >= BLOCK {
            result = write_block(out, &block);
            block.clear();
            last.clear();
        }
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    result?;
    if block.is_empty() { Ok(()) } else { write_block(out, &block) }
}

fn write_block(out: &mut impl Write, block: &[u8]) -> io::Result<()> {
    let length = u32::try_from(block.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&crc32c::crc32c(block).to_le_bytes())?;
    out.write_all(block)
}

fn header(stamp: Stamp, totals: &Totals) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&stamp.revision.to_le_bytes());
    header.extend_from_slice(&stamp.compacted.to_le_bytes());
    for sum in [totals.live, totals.keys, totals.key_bytes, totals.records] {
        header.extend_from_slice(&sum.to_le_bytes());
    }
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header
}

/// Reads the index back; `None` when there is no file.
///
/// # Errors
/// The file is damaged, of another format or unreadable. The index can always be rebuilt from the
/// records instead.
pub fn load(path: &Path) -> Result<Option<(Index, Stamp)>, CheckpointError> {
    let io = |source| CheckpointError::Io { action: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(other) => return Err(io(other)),
    };
    let length = file.metadata().map_err(io)?.len();
    let mut source =
        Source { path, input: BufReader::with_capacity(BLOCK, file), offset: 0, length };
    let (stamp, expected) = source.header()?;
    let mut bulk = Bulk::new();
    while source.offset < length {
        source.block(&mut bulk)?;
    }
    if bulk.totals() != expected {
        return Err(source.damaged("the sums in its header are not those of its keys"));
    }
    Ok(Some((bulk.finish(), stamp)))
}

/// A checkpoint being read.
struct Source<'a> {
    path: &'a Path,
    input: BufReader<File>,
    /// Where the part being read begins.
    offset: u64,
    length: u64,
}

impl Source<'_> {
    fn damaged(&self, what: &'static str) -> CheckpointError {
        CheckpointError::Damaged { path: self.path.to_owned(), offset: self.offset, what }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), CheckpointError> {
        self.input.read_exact(buffer).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it ends too early"),
            _ => CheckpointError::Io { action: "read", path: self.path.to_owned(), source },
        })
    }

    fn header(&mut self) -> Result<(Stamp, Totals), CheckpointError> {
        let mut header = [0; HEADER];
        self.fill(&mut header)?;
        let (body, crc) = header.split_at(HEADER - CRC);
        if body[..MAGIC.len()] != MAGIC {
            return Err(self.damaged("it does not begin as an index checkpoint"));
        }
        if crc32c::crc32c(body).to_le_bytes() != crc {
            return Err(self.damaged("the checksum of its header does not match"));
        }
        let (format, words) = body[MAGIC.len()..].split_at(size_of::<u32>());
        let found = format.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        if found != FORMAT {
            return Err(CheckpointError::Format { path: self.path.to_owned(), found });
        }
        let mut words = words
            .chunks_exact(8)
            .map(|word| word.iter().rev().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte)));
        let mut word = || words.next().unwrap_or_default();
        let stamp = Stamp { revision: word().cast_signed(), compacted: word().cast_signed() };
        let totals = Totals { live: word(), keys: word(), key_bytes: word(), records: word() };
        self.offset = HEADER as u64;
        Ok((stamp, totals))
    }

    fn block(&mut self, bulk: &mut Bulk) -> Result<(), CheckpointError> {
        let mut frame = [0; FRAME];
        self.fill(&mut frame)?;
        let [a, b, c, d, crc @ ..] = frame;
        let length = u32::from_le_bytes([a, b, c, d]);
        let left = self.length.saturating_sub(self.offset + FRAME as u64);
        // Checked first: a damaged length must not decide how much memory is taken.
        if u64::from(length) > left || length == 0 {
            return Err(self.damaged("a block is longer than the file, or empty"));
        }
        let mut block = vec![0; length as usize];
        self.fill(&mut block)?;
        if crc32c::crc32c(&block).to_le_bytes() != crc {
            return Err(self.damaged("the checksum of a block does not match"));
        }
        read_entries(&block, bulk).map_err(|what| self.damaged(what))?;
        self.offset += (FRAME + block.len()) as u64;
        Ok(())
    }
}

/// Adds the entries of a block whose checksum is right; the error says what is wrong with them.
fn read_entries(block: &[u8], bulk: &mut Bulk) -> Result<(), &'static str> {
    let (mut reader, mut key) = (Reader::new(block), Vec::new());
    while reader.remaining() > 0 {
        let slot = reader.entry(&mut key).ok_or("a block makes no sense")?;
        if !bulk.push(&key, slot) {
            return Err("its keys are not in order");
        }
    }
    Ok(())
}

/// The entries of any bytes, as if their checksum were right.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_unchecked(block: &[u8]) {
    let mut bulk = Bulk::new();
    if read_entries(block, &mut bulk).is_ok() {
        drop(bulk.finish());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::types::range::KeyRange;
    use crate::types::revision::Revision;

    fn sample(keys: i64) -> Index {
        let mut index = Index::new();
        for step in 1..=keys * 2 {
            let key = Bytes::from(format!("/registry/pods/{:05}", (step * 7919) % keys));
            if step % 5 == 0 {
                index.tombstone(&key, Revision::new(step + 1, 0));
            } else {
                index.put(&key, Revision::new(step + 1, step % 3), step % 4);
            }
        }
        index
    }

    fn bytes(index: &Index, path: &Path) -> Vec<u8> {
        write(&index.root(), Stamp { revision: 9, compacted: -1 }, path).unwrap();
        fs::read(path).unwrap()
    }

    fn dump(root: &Root) -> Vec<String> {
        let mut all = Vec::new();
        root.for_each_slot(|key, slot| {
            let records: Vec<_> = slot.newest_first().collect();
            all.push(format!("{key:?} {:?} {records:?}", slot.meta()));
            ControlFlow::Continue(())
        });
        all
    }

    #[test]
    fn what_is_written_reads_back_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        assert!(load(&path).unwrap().is_none());
        for mut index in [Index::new(), sample(1), sample(20_000)] {
            let stamp = Stamp { revision: 40_001, compacted: 17 };
            write(&index.root(), stamp, &path).unwrap();
            let (mut back, read) = load(&path).unwrap().unwrap();
            assert_eq!((read, dump(back.view())), (stamp, dump(index.view())));
            let key = Bytes::from_static(b"/registry/pods/00017");
            let at = Revision::new(50_000, 0);
            assert_eq!(back.put(&key, at, 0), index.put(&key, at, 0));
            let sweep = |index: &mut Index| {
                let mut dropped = index.compact_step(40_000, None, 9999).dropped;
                dropped.sort_unstable();
                dropped
            };
            assert!(sweep(&mut back) == sweep(&mut index), "both compact alike");
            let all = KeyRange::From(Bytes::new());
            assert_eq!(back.view().count(&all), index.view().count(&all));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn any_flipped_byte_and_any_cut_is_found_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let whole = bytes(&sample(60), &path);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            let error = load(&path).unwrap_err();
            assert!(
                matches!(error, CheckpointError::Damaged { offset, .. } if offset <= at as u64),
                "{error}"
            );
            fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(load(&path), Err(CheckpointError::Damaged { .. })), "cut at {at}");
        }
        fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        assert!(matches!(load(&path), Err(CheckpointError::Damaged { .. })), "a byte too many");
    }

    #[test]
    fn blocks_missing_doubled_or_exchanged_are_found_though_each_is_sound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let whole = bytes(&sample(20_000), &path);
        let (header, mut rest) = whole.split_at(HEADER);
        let mut blocks = Vec::new();
        while let Some(length) = rest.first_chunk::<4>() {
            let (block, after) = rest.split_at(FRAME + u32::from_le_bytes(*length) as usize);
            blocks.push(block);
            rest = after;
        }
        assert!(blocks.len() > 2);
        let (first, second, tail) = (blocks[0], blocks[1], blocks[2..].concat());
        for wrong in [[second, first], [first, first], [first, &[]], [&[], &[]]] {
            fs::write(&path, [header, wrong[0], wrong[1], &tail].concat()).unwrap();
            assert!(matches!(load(&path), Err(CheckpointError::Damaged { .. })));
        }
    }

    #[test]
    fn another_format_is_told_from_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let mut whole = bytes(&Index::new(), &path);
        whole[8] = 2;
        let crc = crc32c::crc32c(&whole[..HEADER - CRC]).to_le_bytes();
        whole[HEADER - CRC..].copy_from_slice(&crc);
        fs::write(&path, &whole).unwrap();
        assert!(matches!(load(&path), Err(CheckpointError::Format { found: 2, .. })));
    }

    #[test]
    fn format_one_is_what_it_always_was() {
        let mut index = Index::new();
        index.put(&Bytes::from_static(b"a1"), Revision::new(2, 0), 0);
        index.put(&Bytes::from_static(b"a2"), Revision::new(3, 1), 6);
        index.tombstone(b"a1", Revision::new(4, 0));
        let directory = tempfile::tempdir().unwrap();
        let block = [0, 2, b'a', b'1', 2, 4, 0, 4, 1, 1, 1, b'2', 1, 6, 2, 0, 2, 12];
        let whole = bytes(&index, &directory.path().join("index"));
        assert_eq!(whole[HEADER + FRAME..], block);
        let words = [9, -1, 1, 2, 4, 3].map(i64::to_le_bytes).concat();
        assert_eq!(whole[..HEADER - CRC], [&b"KEYINDEX\x01\0\0\0"[..], &words].concat());
    }
}
