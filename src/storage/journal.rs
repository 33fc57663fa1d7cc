//! What fjall's journals hold after a power cut, looked at before fjall does.
//!
//! fjall writes batches without waiting for the disk, so that a power cut leaves the end of the
//! newest journal with holes. It cuts off a batch that simply ends, but refuses to open when a
//! batch reads to its end with a wrong checksum, and it takes damage in the middle of a journal for
//! the end. Both are decided here instead: an unfinished end of the newest journal is cut, since
//! the Raft log fills it in again; older journals were synced as a whole, so that anything wrong in
//! them is damage.
//!
//! The checksum of a batch does not cover its number, which decides which of two values is the newer
//! one, and whether fjall takes the batch for one that is in a table already. But numbers only grow, from batch to batch and from journal to journal. One that does not is
//! damage wherever it stands: a power cut that takes a part of a number takes the items behind it too.
//!
//! ```text
//! batch    start, items, end
//! start    1 u8 | items u32 | seqno u64
//! item     2 u8 | kind u8 | compression u8 | keyspace u64 | key length u16 | value length u32
//!          | stored length u32 | key | stored value
//! clear    4 u8 | keyspace u64
//! end      3 u8 | XXH3 of the items u64 | "FJL" 3
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use tracing::warn;
use xxhash_rust::xxh3::Xxh3;

use super::error::StorageError;

/// fjall makes it last when it makes a database.
const MARKER: &str = "version";
const TRAILER: &[u8] = b"FJL\x03";
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// Keys and values are limited to less; a longer one is not read but taken for damage.
const MAX_VALUE: u64 = 1 << 30;

/// No batch ever has a number like this; fjall panics when it comes to the upper half of all numbers.
const LIMIT: u64 = 1 << 62;

/// An end of the newest journal that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The journal.
    pub(crate) path: PathBuf,
    /// Where the first unfinished batch began, in bytes.
    pub(crate) offset: u64,
    /// Its number or one below it, if either can still be told. Numbers of later batches are higher.
    pub(crate) seqno: Option<u64>,
}

/// Checks the journals in `dir`; cuts an unfinished end off the newest one.
pub(crate) fn mend(dir: &Path) -> Result<Option<Cut>, StorageError> {
    let mut journals = journals(dir)?;
    let Some((_, newest)) = journals.pop() else { return missing(dir) };
    let mut last = None;
    for (_, path) in journals {
        let end = read(&path, last)?;
        if let Some(why) = end.fault {
            let why = format!("a batch at byte {} is not whole: {why}", end.offset);
            return Err(StorageError::Damaged { path, why });
        }
        last = end.last;
    }
    let end = read(&newest, last)?;
    let Some(why) = end.fault else { return Ok(None) };
    let cut = || {
        let file = OpenOptions::new().write(true).open(&newest)?;
        file.set_len(end.offset)?;
        file.sync_all()
    };
    cut().map_err(StorageError::io("cut", &newest))?;
    warn!(
        journal = %newest.display(),
        offset = end.offset,
        why,
        "cut off an unfinished batch; the Raft log fills it in again"
    );
    Ok(Some(Cut { path: newest, offset: end.offset, seqno: end.seqno }))
}

/// A database has a journal from its first moment to its last. Without one fjall would begin to count
/// from zero, below the numbers of what is in its tables.
fn missing(dir: &Path) -> Result<Option<Cut>, StorageError> {
    if dir.join(MARKER).exists() {
        let why = "it holds a state database, and no journal of it".to_owned();
        return Err(StorageError::Damaged { path: dir.to_path_buf(), why });
    }
    Ok(None)
}

/// Reads a journal; `last` is the newest number in older ones.
fn read(path: &Path, last: Option<u64>) -> Result<End, StorageError> {
    let end = Journal::open(path)?.read(last).map_err(StorageError::io("read", path))?;
    match end.disorder {
        None => Ok(end),
        Some((number, last)) => Err(StorageError::Damaged {
            path: path.to_path_buf(),
            why: format!("the batch at byte {} has number {number} after {last}", end.offset),
        }),
    }
}

/// The journals in a folder, the newest last.
fn journals(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StorageError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StorageError::io("list", dir)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(StorageError::io("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_suffix(".jnl").map(str::parse);
        if let Some(Ok(number)) = number {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Where whole batches end.
#[derive(Debug, Default)]
struct End {
    offset: u64,
    /// What is wrong with the bytes that follow; `None` if they are zero or there are none.
    fault: Option<&'static str>,
    /// The number of the batch that follows or one below it, if it is not whole.
    seqno: Option<u64>,
    /// The number of the last whole batch.
    last: Option<u64>,
    /// The number of the whole batch that follows, and the one before, if it cannot come after that.
    disorder: Option<(u64, u64)>,
}

struct Journal {
    reader: BufReader<File>,
    offset: u64,
}

/// What ends a batch early.
enum Broken {
    Io(io::Error),
    /// The file ends within it.
    Short,
    Wrong(&'static str),
}

impl Journal {
    fn open(path: &Path) -> Result<Self, StorageError> {
        let file = File::open(path).map_err(StorageError::io("open", path))?;
        Ok(Self { reader: BufReader::with_capacity(256 << 10, file), offset: 0 })
    }

    fn read(&mut self, last: Option<u64>) -> io::Result<End> {
        let mut end = End { last, ..End::default() };
        loop {
            let mut seqno = None;
            let broken = match self.batch(&mut seqno) {
                Ok(true) => {
                    let number = seqno.unwrap_or_default();
                    if end.last.is_some_and(|last| number <= last) || number >= LIMIT {
                        end.disorder = Some((number, end.last.unwrap_or_default()));
                        return Ok(end);
                    }
                    (end.offset, end.last) = (self.offset, seqno);
                    continue;
                }
                Ok(false) => return Ok(end),
                Err(broken) => broken,
            };
            // A number that lost its upper bytes reads as a lower one; but numbers only grow.
            end.seqno = seqno.max(end.last.map(|last| last.saturating_add(1)));
            end.fault = match broken {
                Broken::Io(error) => return Err(error),
                Broken::Short => Some("the journal ends within it"),
                Broken::Wrong(why) => Some(why),
            };
            return Ok(end);
        }
    }

    /// Reads one batch; false where only zeros, or nothing, follow.
    fn batch(&mut self, seqno: &mut Option<u64>) -> Result<bool, Broken> {
        let tag = match self.bytes() {
            Ok([tag]) => tag,
            Err(Broken::Short) => return Ok(false),
            Err(broken) => return Err(broken),
        };
        if tag == 0 {
            return if self.only_zeros()? { Ok(false) } else { wrong("it begins with zeros") };
        }
        if tag != START {
            return wrong("it has no beginning");
        }
        let items = u32::from_le_bytes(self.bytes()?);
        *seqno = Some(u64::from_le_bytes(self.bytes()?));
        let mut sum = Xxh3::new();
        for _ in 0..items {
            self.item(&mut sum)?;
        }
        let [tag] = self.bytes()?;
        let expected = u64::from_le_bytes(self.bytes()?);
        let trailer: [u8; 4] = self.bytes()?;
        if tag != END || trailer != TRAILER {
            return wrong("it has no end");
        }
        if expected == sum.digest() { Ok(true) } else { wrong("its checksum does not match") }
    }

    fn item(&mut self, sum: &mut Xxh3) -> Result<(), Broken> {
        let [tag] = self.bytes()?;
        sum.update(&[tag]);
        match tag {
            CLEAR => sum.update(&self.bytes::<8>()?),
            ITEM => {
                let head: [u8; 20] = self.bytes()?;
                sum.update(&head);
                let [.., k0, k1, _, _, _, _, v0, v1, v2, v3] = head;
                let key = u64::from(u16::from_le_bytes([k0, k1]));
                let value = u64::from(u32::from_le_bytes([v0, v1, v2, v3]));
                if value > MAX_VALUE {
                    return wrong("the length of an item is out of bounds");
                }
                self.feed(key + value, sum)?;
            }
            _ => return wrong("an item has an unknown kind"),
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Broken> {
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Broken::Short,
            _ => Broken::Io(error),
        })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn feed(&mut self, mut len: u64, sum: &mut Xxh3) -> Result<(), Broken> {
        let mut chunk = [0; 4096];
        while len > 0 {
            let step = usize::try_from(len).unwrap_or(chunk.len()).min(chunk.len());
            let part = chunk.get_mut(..step).unwrap_or_default();
            self.fill(part)?;
            sum.update(part);
            len -= step as u64;
        }
        Ok(())
    }

    fn only_zeros(&mut self) -> Result<bool, Broken> {
        let mut chunk = [0; 4096];
        loop {
            match self.reader.read(&mut chunk).map_err(Broken::Io)? {
                0 => return Ok(true),
                n if chunk.get(..n).is_some_and(|read| read.iter().any(|byte| *byte != 0)) => {
                    return Ok(false);
                }
                _ => {}
            }
        }
    }
}

fn wrong<T>(why: &'static str) -> Result<T, Broken> {
    Err(Broken::Wrong(why))
}

#[cfg(test)]
mod tests {
    use super::super::engine::{Engine, Options};
    use super::super::keyspace::Space;
    use super::*;

    /// A database of twenty batches of two keys each; its journal and where its batches end.
    fn journal(dir: &Path) -> (PathBuf, u64) {
        let engine = Engine::open(dir, &Options::default()).unwrap();
        for number in 0..20_u32 {
            let mut batch = engine.batch();
            batch.put(Space::Records, &number.to_be_bytes(), &[7; 3000]);
            batch.put(Space::Meta, b"newest", &number.to_be_bytes());
            batch.commit().unwrap();
        }
        engine.persist().unwrap();
        drop(engine);
        let path = journals(dir).unwrap().pop().unwrap().1;
        let end = Journal::open(&path).unwrap().read(None).unwrap();
        assert_eq!(end.fault, None);
        assert!(end.offset > 60_000, "{end:?}");
        (path, end.offset)
    }

    fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
        use std::os::unix::fs::FileExt;
        OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
    }

    /// Beginning, end and number of every batch.
    fn batches(path: &Path) -> Vec<(u64, u64, u64)> {
        let (mut journal, mut found) = (Journal::open(path).unwrap(), Vec::new());
        loop {
            let (begin, mut number) = (journal.offset, None);
            if !matches!(journal.batch(&mut number), Ok(true)) {
                return found;
            }
            found.push((begin, journal.offset, number.unwrap()));
        }
    }

    /// Otherwise an older value would be taken for the newer one: no checksum covers the number.
    #[test]
    fn a_batch_whose_number_changed_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = journal(dir.path());
        let batches = batches(&path);
        let (middle, last) = (batches.len() / 2, batches.len() - 1);
        // Lower, higher than those that follow, and both in the last batch of all.
        for (place, number) in [(middle, 1_u64), (middle, 1 << 40), (last, 1), (last, 1 << 62)] {
            let (begin, _, good) = batches[place];
            overwrite(&path, begin + 5, &number.to_le_bytes());
            let error = mend(dir.path()).unwrap_err().to_string();
            assert!(error.contains(".jnl is damaged (the batch at byte"), "{place}: {error}");
            overwrite(&path, begin + 5, &good.to_le_bytes());
            assert_eq!(mend(dir.path()).unwrap(), None);
        }
        // A newer journal that goes on with numbers of the older one.
        let (begin, end, _) = batches[middle];
        let bytes = fs::read(&path).unwrap();
        let batch = &bytes[usize::try_from(begin).unwrap()..usize::try_from(end).unwrap()];
        fs::write(dir.path().join("7.jnl"), batch).unwrap();
        let error = mend(dir.path()).unwrap_err().to_string();
        assert!(error.contains("7.jnl is damaged (the batch at byte 0 has number"), "{error}");
    }

    /// A power cut can keep the sector that a batch begins in and lose the next, with most of its number.
    #[test]
    fn a_number_that_lost_its_upper_bytes_is_not_taken_for_a_lower_one() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), &Options::default()).unwrap();
        for number in 0..300_u32 {
            let mut batch = engine.batch();
            batch.put(Space::Meta, b"newest", &number.to_be_bytes());
            batch.commit().unwrap();
        }
        engine.persist().unwrap();
        drop(engine);
        let path = journals(dir.path()).unwrap().pop().unwrap().1;
        let batches = batches(&path);
        let (begin, end, last) = *batches.last().unwrap();
        assert!(last > 255, "{last}");
        let upper = begin + 1 + 4 + 1;
        overwrite(&path, upper, &vec![0; usize::try_from(end - upper).unwrap()]);
        let cut = mend(dir.path()).unwrap().unwrap();
        assert_eq!((cut.offset, cut.seqno), (begin, Some(last)));
    }

    /// What the database holds: the batches before the newest, and nothing of later ones.
    fn held(dir: &Path) -> u32 {
        let engine = Engine::open(dir, &Options::default()).unwrap();
        let newest = engine.get(Space::Meta, b"newest").unwrap();
        let count = newest.map_or(0, |n| u32::from_be_bytes(n[..].try_into().unwrap()) + 1);
        for number in 0..20 {
            let record = engine.get(Space::Records, &u32::to_be_bytes(number)).unwrap();
            assert_eq!(record.is_some(), number < count, "record {number} of {count}");
        }
        count
    }

    #[test]
    fn a_journal_that_ends_with_whole_batches_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path());
        assert_eq!(mend(dir.path()).unwrap(), None);
        assert_eq!(held(dir.path()), 20);
    }

    #[test]
    fn holes_in_the_end_cost_the_batches_from_there_on() {
        for (back, zeros) in [(512, 512), (2000, 100), (3500, 3000), (9000, 512), (9000, 9000)] {
            let dir = tempfile::tempdir().unwrap();
            let (path, end) = journal(dir.path());
            overwrite(&path, end - back, &vec![0; zeros]);
            let left = held(dir.path());
            assert!((16..20).contains(&left), "{back}: {left}");
            assert_eq!(mend(dir.path()).unwrap(), None, "it was cut for good");
        }
    }

    #[test]
    fn a_database_without_a_journal_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(mend(dir.path()).unwrap(), None, "there is no database yet");
        let (path, _) = journal(dir.path());
        fs::remove_file(path).unwrap();
        let error = mend(dir.path()).unwrap_err().to_string();
        assert!(error.contains("no journal of it"), "{error}");
    }

    #[test]
    fn what_was_synced_before_a_newer_journal_is_damage_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (path, end) = journal(dir.path());
        fs::write(dir.path().join("7.jnl"), []).unwrap();
        assert_eq!(mend(dir.path()).unwrap(), None);
        overwrite(&path, end / 2, b"?");
        let error = mend(dir.path()).unwrap_err().to_string();
        assert!(error.contains(".jnl is damaged (a batch at byte"), "{error}");
    }
}
