//! Reading the whole log back when it is opened.
//!
//! The log is taken only if everything that was ever acknowledged is provably there; what cannot
//! be explained by an unfinished last write is refused, with the file and the place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::disk::Disk;
use super::error::WalError;
use super::header::{BLOCK, Header, Marks, NoHeader};
use super::map::{Map, Segment};
use super::scan::{End, Replay, judge_tail, newest_durable};
use super::spare;
use super::types::{Torn, WalOptions};
use super::window::Window;
use crate::failpoint::{self, Point};

/// An opened log, ready to be written on.
pub(crate) struct Opened {
    pub(crate) marks: Marks,
    pub(crate) map: Map,
    pub(crate) active: Arc<Segment>,
    pub(crate) unzeroed: bool,
    /// Where the next frame goes in the active segment.
    pub(crate) offset: u64,
    /// Seq of the next frame.
    pub(crate) seq: u64,
    /// Newest seq known to be on disk.
    pub(crate) durable: u64,
    /// Prepared segments, in the order of their numbers, which follow the active one's.
    pub(crate) spares: Vec<Arc<Segment>>,
    pub(crate) torn: Option<Torn>,
}

/// Begins a log in an empty folder.
pub(crate) fn begin(disk: &dyn Disk, dir: &Path, options: &WalOptions) -> Result<Opened, WalError> {
    if options.must_exist {
        return Err(missing(dir, 1, "this member has been started before"));
    }
    let marks = Marks::default();
    let size = options.segment_bytes;
    let header = Header { id: 1, size, unzeroed: true, first_seq: 1, marks: marks.clone() };
    let block = header.encode();
    let created = spare::create(disk, dir, 1, size, |file| file.write(&block, 0));
    let active = created.map_err(WalError::io("create a log in", dir))?;
    let mut map = Map::default();
    failpoint::hit(Point::StartLog);
    map.push(Arc::clone(&active));
    Ok(Opened {
        marks,
        map,
        active,
        unzeroed: true,
        offset: BLOCK as u64,
        seq: 1,
        durable: 0,
        spares: Vec::new(),
        torn: None,
    })
}

/// Name of a segment file.
pub(crate) fn segment_name(id: u64) -> String {
    format!("{id:016x}.wal")
}

/// Name of a file under construction; removed when found at open.
pub(crate) const UNDER_CONSTRUCTION: &str = "new.tmp";
/// The same for the thread that prepares segments ahead.
pub(crate) const SPARE_UNDER_CONSTRUCTION: &str = "spare.tmp";

struct Found {
    segment: Arc<Segment>,
    header: Result<Header, NoHeader>,
}

/// Opens the log in `dir`; `None` if there is none.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    options: &WalOptions,
) -> Result<Option<Opened>, WalError> {
    let mut used = find(disk, dir)?;
    if used.is_empty() {
        return Ok(None);
    }
    let begun = used.iter().rposition(|found| found.header.is_ok()).map_or(0, |last| last + 1);
    let unused = used.split_off(begun);
    let Some(newest) = used.last().map(|found| Arc::clone(&found.segment)) else {
        return Err(unused.first().map_or_else(|| missing(dir, 1, "there is none"), no_header));
    };
    check_unused(dir, newest.id, &unused)?;
    let usable = without_leftovers(&used);
    let (replay, end) = replay(dir, usable)?;
    let torn_spare = first_spare(unused.first(), replay.seq)?;
    let durable = replay.durable.max(torn_spare.map_or(0, |spare| spare.durable));
    let mut window = Window::new(&newest);
    let torn_end = judge_tail(&newest, &mut window, &end, replay.seq, durable)?;
    if let Some(index) = replay.map.first_absent(replay.marks.extent.live()) {
        let id = replay.map.oldest().map_or(1, |oldest| oldest.id.saturating_sub(1));
        return Err(missing(dir, id, &format!("it holds entry {index}")));
    }
    for leftover in used.iter().take(used.len() - usable.len()) {
        remove(disk, &leftover.segment.path)?;
    }
    if options.fsync {
        rewrite(&newest, replay.doubtful_from().unwrap_or(end.offset), end.offset)?;
    }
    failpoint::hit(Point::RecoveryRewritten);
    erase(&newest, end.offset, torn_end)?;
    failpoint::hit(Point::RecoveryErased);
    if let (Some(spare), Some(found)) = (torn_spare, unused.first()) {
        erase(&found.segment, 0, Some(spare.end))?;
    }
    let torn = torn_end.map(|to| Torn {
        segment: newest.path.clone(),
        offset: end.offset,
        bytes: to - end.offset,
    });
    let unzeroed = used.last().is_some_and(|found| matches!(&found.header, Ok(h) if h.unzeroed));
    Ok(Some(Opened {
        marks: replay.marks,
        map: replay.map,
        active: newest,
        unzeroed,
        offset: end.offset,
        seq: replay.seq,
        durable: if options.fsync { replay.seq - 1 } else { replay.durable },
        spares: unused.into_iter().map(|found| found.segment).collect(),
        torn,
    }))
}

fn missing(dir: &Path, id: u64, why: &str) -> WalError {
    WalError::Missing { dir: dir.to_path_buf(), id, why: why.to_owned() }
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), WalError> {
    disk.remove(path).map_err(WalError::io("remove", path))
}

/// All segments of the folder in the order of their numbers, with their first blocks.
fn find(disk: &dyn Disk, dir: &Path) -> Result<Vec<Found>, WalError> {
    let mut found = Vec::new();
    for path in disk.list(dir).map_err(WalError::io("list", dir))? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name == UNDER_CONSTRUCTION || name == SPARE_UNDER_CONSTRUCTION {
            remove(disk, &path)?;
            continue;
        }
        let Some(stem) = name.strip_suffix(".wal") else { continue };
        let id = u64::from_str_radix(stem, 16).ok().filter(|id| segment_name(*id) == name);
        let Some(id) = id.filter(|id| *id > 0) else {
            return Err(WalError::Foreign { dir: dir.to_path_buf(), found: path });
        };
        found.push(inspect(disk, path, id)?);
    }
    found.sort_by_key(|found| found.segment.id);
    Ok(found)
}

fn inspect(disk: &dyn Disk, path: PathBuf, id: u64) -> Result<Found, WalError> {
    let file = disk.open(&path).map_err(WalError::io("open", &path))?;
    let size = file.size().map_err(WalError::io("inspect", &path))?;
    let damaged = |offset, why| Err(WalError::Damaged { segment: path.clone(), offset, why });
    if size < BLOCK as u64 {
        return damaged(size, format!("it is {size} bytes long, shorter than its first block"));
    }
    let mut block = vec![0; BLOCK];
    file.read(&mut block, 0).map_err(WalError::io("read", &path))?;
    let header = Header::decode(&block);
    match &header {
        Ok(header) if header.id != id => {
            return damaged(0, format!("it is segment {:016x} by its first block", header.id));
        }
        Ok(header) if header.size != size => {
            let why = format!("it is {size} bytes long, it was created with {}", header.size);
            return damaged(size.min(header.size), why);
        }
        Err(NoHeader::Version(version)) => {
            return damaged(0, format!("it has format version {version}, this build reads 1"));
        }
        _ => {}
    }
    Ok(Found { segment: Arc::new(Segment { id, path, size, file }), header })
}

fn no_header(found: &Found) -> WalError {
    let why = "its first block does not match its checksum".to_owned();
    WalError::Damaged { segment: found.segment.path.clone(), offset: 0, why }
}

/// Prepared segments follow the newest one without gap; a gap means that the newest is gone. Only
/// the first of them can have been written to.
fn check_unused(dir: &Path, newest: u64, unused: &[Found]) -> Result<(), WalError> {
    for (position, (found, id)) in unused.iter().zip(newest + 1..).enumerate() {
        if found.segment.id != id {
            return Err(missing(dir, id, "later ones exist"));
        }
        if position > 0 && found.header != Err(NoHeader::Blank) {
            return Err(no_header(found));
        }
    }
    Ok(())
}

/// The newest segments with consecutive numbers. Older ones are what was left when the removal of
/// purged segments was interrupted; if they are not, entries will turn out to be missing.
fn without_leftovers(used: &[Found]) -> &[Found] {
    let pairs = used.windows(2).enumerate().rev();
    let gap = pairs.into_iter().find_map(|(at, pair)| match pair {
        [older, newer] if older.segment.id + 1 != newer.segment.id => Some(at + 1),
        _ => None,
    });
    used.get(gap.unwrap_or(0)..).unwrap_or_default()
}

/// Reads all frames; the end is the one of the newest segment.
fn replay(dir: &Path, used: &[Found]) -> Result<(Replay, End), WalError> {
    let mut begun: Option<(Replay, End)> = None;
    for found in used {
        let segment = &found.segment;
        let header = found.header.as_ref().map_err(|_| no_header(found))?;
        let mut replay = match begun.take() {
            None => Replay::new(header.marks.clone(), header.first_seq),
            Some((replay, end)) => {
                check_closed(dir, &replay, &end, header)?;
                replay
            }
        };
        replay.durable = replay.durable.max(header.first_seq.saturating_sub(1));
        replay.map.push(Arc::clone(segment));
        let end = replay.frames(segment, &mut Window::new(segment))?;
        begun = Some((replay, end));
    }
    begun.ok_or_else(|| missing(dir, 1, "there is none"))
}

/// A segment with a successor was complete and on disk before the successor was begun.
fn check_closed(dir: &Path, replay: &Replay, end: &End, next: &Header) -> Result<(), WalError> {
    if replay.seq == next.first_seq {
        return Ok(());
    }
    let segment = dir.join(segment_name(next.id.saturating_sub(1)));
    let fault = end.fault.clone().unwrap_or_else(|| "zeros where a frame should be".to_owned());
    let why = format!(
        "{fault}; frames up to number {} must be there, {} is the last good one",
        next.first_seq.saturating_sub(1),
        replay.seq.saturating_sub(1)
    );
    Err(WalError::Damaged { segment, offset: end.offset, why })
}

#[derive(Clone, Copy)]
struct TornSpare {
    end: u64,
    durable: u64,
}

/// The segment after the newest one is blank, or its very first write was cut short.
fn first_spare(found: Option<&Found>, seq: u64) -> Result<Option<TornSpare>, WalError> {
    let Some(Found { segment, .. }) = found else { return Ok(None) };
    let mut window = Window::new(segment);
    let end = window.used_end(0)?;
    if end == 0 {
        return Ok(None);
    }
    let durable = newest_durable(segment, &mut window, BLOCK as u64, end, seq)?;
    let damaged = |why: &str| {
        let why = why.to_owned();
        Err(WalError::Damaged { segment: segment.path.clone(), offset: 0, why })
    };
    if durable >= seq {
        return damaged("its first block is damaged, although it was once safely on disk");
    }
    if Header::is_unfinished(window.bytes(0, BLOCK as u64)?) {
        Ok(Some(TornSpare { end, durable }))
    } else {
        damaged("its first block does not match its checksum")
    }
}

/// Writes the frames again that may be in memory only. If an fsync failed before the last stop,
/// the system counts their pages as clean, and an fsync alone would not write them.
fn rewrite(segment: &Segment, from: u64, to: u64) -> Result<(), WalError> {
    const STEP: u64 = 1 << 20;
    let mut window = Window::new(segment);
    let mut offset = from;
    while offset < to {
        let chunk = Bytes::copy_from_slice(window.bytes(offset, STEP.min(to - offset))?);
        segment.file.write(&chunk, offset).map_err(WalError::io("write", &segment.path))?;
        offset += chunk.len().max(1) as u64;
    }
    segment.file.sync().map_err(WalError::io("fsync", &segment.path))
}

/// Overwrites an unfinished write with zeros, so that nothing of it is ever taken for a frame.
fn erase(segment: &Segment, from: u64, to: Option<u64>) -> Result<(), WalError> {
    let Some(to) = to else { return Ok(()) };
    let zeros = vec![0; 1 << 20];
    let mut offset = from;
    while offset < to {
        let len = (to - offset).min(zeros.len() as u64);
        let chunk = zeros.get(..usize::try_from(len).unwrap_or_default()).unwrap_or_default();
        segment.file.write(chunk, offset).map_err(WalError::io("write", &segment.path))?;
        offset += len.max(1);
    }
    segment.file.sync().map_err(WalError::io("fsync", &segment.path))
}
