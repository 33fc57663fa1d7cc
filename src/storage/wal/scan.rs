//! Reading one segment back, and telling an unfinished write from damage.

use std::collections::VecDeque;

use bytes::Bytes;

use super::error::WalError;
use super::frame::{ALIGN, HEAD, Head, Kind, SECTOR, blank_parts, is_zero};
use super::header::{BLOCK, Marks};
use super::map::{Map, Segment, Spot};
use super::types::LogPos;
use super::window::Window;

/// What has been read so far.
pub(crate) struct Replay {
    pub(crate) marks: Marks,
    pub(crate) map: Map,
    /// Seq of the next frame.
    pub(crate) seq: u64,
    /// Newest seq that some frame says is on disk.
    pub(crate) durable: u64,
    /// Seq and offset of the frames after that one, in the segment being read.
    doubtful: VecDeque<(u64, u64)>,
}

/// Where reading a segment ended.
pub(crate) struct End {
    /// Offset after the last good frame.
    pub(crate) offset: u64,
    /// What is wrong with the bytes there; `None` if they are zero or the segment is full.
    pub(crate) fault: Option<String>,
}

fn damaged(segment: &Segment, offset: u64, why: String) -> WalError {
    WalError::Damaged { segment: segment.path.clone(), offset, why }
}

impl Replay {
    pub(crate) fn new(marks: Marks, seq: u64) -> Self {
        let durable = seq.saturating_sub(1);
        Self { marks, map: Map::default(), seq, durable, doubtful: VecDeque::new() }
    }

    /// Reads the frames of the newest segment in the map.
    pub(crate) fn frames(
        &mut self,
        segment: &Segment,
        window: &mut Window<'_>,
    ) -> Result<End, WalError> {
        self.doubtful.clear();
        let mut offset = BLOCK as u64;
        loop {
            match check(segment, window, offset, self.seq)? {
                Err(fault) => return Ok(End { offset, fault }),
                Ok((head, id, payload)) => {
                    self.accept(segment, offset, &head, id, payload)?;
                    offset += head.size();
                }
            }
        }
    }

    /// Offset from which on no frame of the segment just read is known to be on disk.
    pub(crate) fn doubtful_from(&self) -> Option<u64> {
        self.doubtful.front().map(|(_, offset)| *offset)
    }

    fn accept(
        &mut self,
        segment: &Segment,
        offset: u64,
        head: &Head,
        id: Bytes,
        payload: Bytes,
    ) -> Result<(), WalError> {
        let extent = &mut self.marks.extent;
        match head.kind {
            Kind::Entry => {
                extent.append(head.index).map_err(|expected| {
                    let why = format!("entry {} where {expected} should follow", head.index);
                    damaged(segment, offset, why)
                })?;
                let spot = Spot::new(offset, head.size()).ok_or_else(|| {
                    damaged(segment, offset, "the segment is larger than 32 GiB".to_owned())
                })?;
                self.map.record(head.index, spot);
            }
            Kind::Vote => self.marks.vote = Some(payload),
            Kind::Committed => self.marks.committed = Some(payload),
            Kind::Truncate => {
                extent.truncate(head.index);
                self.map.truncate(head.index);
            }
            Kind::Purge => {
                extent.purge(&LogPos { index: head.index, id });
                self.map.purge_spots(extent.first());
            }
            Kind::Marker => {}
        }
        self.seq += 1;
        self.durable = self.durable.max(head.durable);
        self.doubtful.push_back((head.seq, offset));
        while self.doubtful.front().is_some_and(|(seq, _)| *seq <= self.durable) {
            self.doubtful.pop_front();
        }
        Ok(())
    }
}

type Checked = Result<(Head, Bytes, Bytes), Option<String>>;

/// The frame at `offset`, if it is intact and the one expected.
fn check(
    segment: &Segment,
    window: &mut Window<'_>,
    offset: u64,
    seq: u64,
) -> Result<Checked, WalError> {
    let bytes = window.bytes(offset, HEAD as u64)?;
    if is_zero(bytes) {
        return Ok(Err(None));
    }
    let Some(head) = Head::decode(bytes) else {
        return Ok(Err(Some("the head of a frame does not match its checksum".to_owned())));
    };
    let fault = if !head.belongs_to(segment.id) {
        Some("the frame belongs to a different segment".to_owned())
    } else if head.seq != seq {
        Some(format!("frame number {} where {seq} should follow", head.seq))
    } else if head.size() > segment.size - offset {
        Some(format!("the frame of {} bytes does not fit the segment", head.size()))
    } else {
        None
    };
    if fault.is_some() {
        return Ok(Err(fault));
    }
    let frame = window.bytes(offset, head.size())?;
    Ok(match head.body(frame) {
        // Entries are only checked here; they are read again when asked for.
        Some(_) if head.kind == Kind::Entry => Ok((head, Bytes::new(), Bytes::new())),
        Some((id, payload)) => {
            Ok((head, Bytes::copy_from_slice(id), Bytes::copy_from_slice(payload)))
        }
        None => Err(Some(format!("frame number {seq} does not match its checksum"))),
    })
}

/// Decides about what follows the last good frame of the newest segment: nothing, an unfinished
/// write (its end is returned), or damage. `durable` is the newest seq known to have been on disk.
pub(crate) fn judge_tail(
    segment: &Segment,
    window: &mut Window<'_>,
    end: &End,
    expected: u64,
    durable: u64,
) -> Result<Option<u64>, WalError> {
    let used = window.used_end(end.offset)?;
    if used == end.offset {
        return Ok(None);
    }
    let fault = end.fault.clone().unwrap_or_else(|| "zeros where a frame should be".to_owned());
    let later = newest_durable(segment, window, end.offset, used, expected)?;
    if later.max(durable) >= expected {
        let why = format!("{fault}, although it was once safely on disk");
        return Err(damaged(segment, end.offset, why));
    }
    if !is_unfinished(segment, window, end.offset)? {
        return Err(damaged(segment, end.offset, fault));
    }
    Ok(Some(used))
}

/// What the heads of later frames say about what was on disk.
pub(crate) fn newest_durable(
    segment: &Segment,
    window: &mut Window<'_>,
    from: u64,
    to: u64,
    expected: u64,
) -> Result<u64, WalError> {
    let mut newest = 0;
    let mut offset = from;
    while offset < to {
        let head = Head::decode(window.bytes(offset, HEAD as u64)?);
        let ours = head.filter(|head| head.belongs_to(segment.id) && head.seq >= expected);
        newest = newest.max(ours.map_or(0, |head| head.durable));
        offset += ALIGN;
    }
    Ok(newest)
}

/// Whether a bad frame lacks a sector, as a write does that was cut short.
fn is_unfinished(
    segment: &Segment,
    window: &mut Window<'_>,
    offset: u64,
) -> Result<bool, WalError> {
    let border = (offset + 1).next_multiple_of(SECTOR).min(segment.size);
    if is_zero(window.bytes(offset, border - offset)?) {
        return Ok(true);
    }
    let head = window.bytes(offset, HEAD as u64)?;
    let Some(head) = Head::decode(head) else {
        // The head may reach into the next sector, where it ends with its checksum.
        let beyond = usize::try_from(border - offset).ok().and_then(|cut| head.get(cut..));
        return Ok(beyond.is_some_and(|part| !part.is_empty() && is_zero(part)));
    };
    let frame = window.bytes(offset, head.size())?;
    Ok(blank_parts(frame, offset) > usize::from(head.blank))
}
