//! The byte form of one record in a segment.
//!
//! ```text
//!  0 magic u32 | 4 kind u8 | 5 id length u8 | 6 blank parts u16 | 8 body length u32
//! 12 body CRC u32 | 16 seq u64 | 24 index u64 | 32 durable u64 | 40 segment u32 | 44 head CRC u32
//! 48 body: id, then payload | at least one byte of padding up to a multiple of 8
//! ```
//!
//! Integers are little-endian, CRCs are CRC-32C. `seq` counts frames without gaps through all
//! segments; `durable` is the newest seq known to be on disk when the frame was written.
//!
//! "Blank parts" is what tells a write cut short by a power failure from damage: disks write whole
//! sectors, so the first leaves sectors of the zeroed file untouched, the second does not. The
//! head says how many parts of the frame, as cut by sector borders, are zero by themselves; a
//! frame that reads back with more of them was never written completely. Padding is not zero, so
//! that the last part never looks blank.

use super::types::MAX_PAYLOAD;

/// Bytes before the body.
pub(crate) const HEAD: usize = 48;
/// The unit in which disks write.
pub(crate) const SECTOR: u64 = 512;
/// Frames begin at multiples of this.
pub(crate) const ALIGN: u64 = 8;
const MAGIC: u32 = 0xE7CD_106F;
const PAD: u8 = 0xEE;

/// What a frame records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Entry = 1,
    Vote = 2,
    Committed = 3,
    /// Entries from the index on are gone.
    Truncate = 4,
    /// Entries up to the index, whose id is given, are gone.
    Purge = 5,
    /// Nothing but the durable seq in its head.
    Marker = 6,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        let all =
            [Self::Entry, Self::Vote, Self::Committed, Self::Truncate, Self::Purge, Self::Marker];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Where a frame stands in the order of writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) segment: u64,
    pub(crate) seq: u64,
    pub(crate) durable: u64,
}

/// What to record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) kind: Kind,
    pub(crate) index: u64,
    pub(crate) id: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Content<'_> {
    /// Bytes of the whole frame.
    pub(crate) fn size(&self) -> u64 {
        size_of_body((self.id.len() + self.payload.len()) as u64)
    }
}

fn size_of_body(body: u64) -> u64 {
    (HEAD as u64 + body + 1).next_multiple_of(ALIGN)
}

/// The head of a frame whose own checksum is right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) id_len: usize,
    pub(crate) blank: u16,
    pub(crate) body_len: usize,
    body_crc: u32,
    pub(crate) seq: u64,
    pub(crate) index: u64,
    pub(crate) durable: u64,
    segment: u32,
}

impl Head {
    /// Reads a head; `None` if these bytes are not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEAD)?;
        if u32_at(head, 0)? != MAGIC || crc32c::crc32c(head.get(..44)?) != u32_at(head, 44)? {
            return None;
        }
        let (id_len, body_len) = (usize::from(*head.get(5)?), u32_at(head, 8)? as usize);
        if id_len > body_len || body_len > MAX_PAYLOAD + id_len {
            return None;
        }
        Some(Self {
            kind: Kind::from_byte(*head.get(4)?)?,
            id_len,
            blank: u16::from_le_bytes(head.get(6..8)?.try_into().ok()?),
            body_len,
            body_crc: u32_at(head, 12)?,
            seq: u64_at(head, 16)?,
            index: u64_at(head, 24)?,
            durable: u64_at(head, 32)?,
            segment: u32_at(head, 40)?,
        })
    }

    /// Bytes of the whole frame.
    pub(crate) fn size(&self) -> u64 {
        size_of_body(self.body_len as u64)
    }

    /// Whether the frame was written to the segment of this number.
    pub(crate) fn belongs_to(&self, segment: u64) -> bool {
        self.segment == low(segment)
    }

    /// The id and payload inside the bytes of the whole frame, if they are intact.
    pub(crate) fn body<'a>(&self, frame: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let body = frame.get(HEAD..HEAD + self.body_len)?;
        let padding = frame.get(HEAD + self.body_len..usize::try_from(self.size()).ok()?)?;
        let intact =
            crc32c::crc32c(body) == self.body_crc && padding.iter().all(|byte| *byte == PAD);
        if intact { body.split_at_checked(self.id_len) } else { None }
    }
}

/// Makes the checksums of a frame right, so that a target of hostile bytes gets past them; tells its
/// size. `None` if these bytes cannot be a frame.
#[cfg(any(test, fuzzing))]
pub(crate) fn seal(bytes: &mut [u8]) -> Option<u64> {
    let body = (u32_at(bytes, 0)? == MAGIC).then_some(u32_at(bytes, 8)?)?;
    let sum = crc32c::crc32c(bytes.get(HEAD..HEAD + body as usize)?);
    put(bytes, 12, &sum.to_le_bytes());
    let sum = crc32c::crc32c(bytes.get(..44)?);
    put(bytes, 44, &sum.to_le_bytes());
    Some(size_of_body(u64::from(body)))
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
fn low(segment: u64) -> u32 {
    segment as u32
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Appends a frame to `out`; it will lie at `offset` of its segment.
pub(crate) fn encode(out: &mut Vec<u8>, offset: u64, stamp: Stamp, content: Content<'_>) {
    let Content { kind, index, id, payload } = content;
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.extend_from_slice(id);
    out.extend_from_slice(payload);
    let body_crc = crc32c::crc32c(out.get(start + HEAD..).unwrap_or_default());
    let unpadded = (out.len() - start) as u64;
    let padding = (unpadded + 1).next_multiple_of(ALIGN) - unpadded;
    out.extend((0..padding).map(|_| PAD));
    let blank = blank_parts(out.get(start..).unwrap_or_default(), offset);

    let mut head = [0; HEAD];
    let body_len = u32::try_from(id.len() + payload.len()).unwrap_or(u32::MAX);
    put(&mut head, 0, &MAGIC.to_le_bytes());
    put(&mut head, 4, &[kind as u8, u8::try_from(id.len()).unwrap_or(u8::MAX)]);
    put(&mut head, 6, &u16::try_from(blank).unwrap_or(u16::MAX).to_le_bytes());
    put(&mut head, 8, &body_len.to_le_bytes());
    put(&mut head, 12, &body_crc.to_le_bytes());
    put(&mut head, 16, &stamp.seq.to_le_bytes());
    put(&mut head, 24, &index.to_le_bytes());
    put(&mut head, 32, &stamp.durable.to_le_bytes());
    put(&mut head, 40, &low(stamp.segment).to_le_bytes());
    let crc = crc32c::crc32c(head.get(..44).unwrap_or_default());
    put(&mut head, 44, &crc.to_le_bytes());
    put(out.get_mut(start..).unwrap_or_default(), 0, &head);
}

fn put(target: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(slot) = target.get_mut(at..at + bytes.len()) {
        slot.copy_from_slice(bytes);
    }
}

/// How many parts of a frame at `offset`, as cut by sector borders, are zero. Parts that hold bytes
/// of the head do not count: the head is never zero.
pub(crate) fn blank_parts(frame: &[u8], offset: u64) -> usize {
    let to_border = usize::try_from(SECTOR - offset % SECTOR).unwrap_or_default();
    let (front, rest) = frame.split_at_checked(to_border).unwrap_or((frame, &[]));
    let mut start = front.len();
    let mut count = 0;
    for part in rest.chunks(usize::try_from(SECTOR).unwrap_or(usize::MAX)) {
        count += usize::from(start >= HEAD && is_zero(part));
        start += part.len();
    }
    count
}

/// Whether all bytes are zero. Comparing slices is fast in every build; a loop over bytes is not,
/// and 64 MiB are looked at whenever a log is opened.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| ZEROS.starts_with(chunk))
}
