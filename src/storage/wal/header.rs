//! The first block of a segment: which segment it is, and all that earlier segments would tell.
//!
//! Because vote, committed mark and extent are repeated here, older segments can be removed as
//! soon as none of their entries is alive.
//!
//! The checksum covers the whole block, and no sector of it is zero: a zero sector proves that the
//! block was never written completely, anything else that is wrong with it is damage.

use bytes::{Buf, BufMut, Bytes, TryGetError};

use super::extent::Extent;
use super::frame::{SECTOR, is_zero};
use super::types::LogPos;

/// Bytes before the first frame.
pub(crate) const BLOCK: usize = 4096;
const MAGIC: &[u8; 8] = b"etcd-wal";
/// The format this build reads and writes.
const VERSION: u32 = 1;
/// What the block is filled up with, up to the checksum.
const FILL: u8 = 0xEE;
const CHECKED: usize = BLOCK - 4;

const UNZEROED: u32 = 1;
const VOTE: u32 = 2;
const COMMITTED: u32 = 4;
const PURGED: u32 = 8;
const BOUNDS: u32 = 16;

/// The contents of a segment's first block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: u64,
    /// Size of the file, which never changes.
    pub(crate) size: u64,
    /// The space was reserved, but not written with zeros: appends are slower.
    pub(crate) unzeroed: bool,
    /// Seq of the first frame.
    pub(crate) first_seq: u64,
    pub(crate) marks: Marks,
}

/// What the log says besides its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) extent: Extent,
    pub(crate) vote: Option<Bytes>,
    pub(crate) committed: Option<Bytes>,
}

/// Above every number that is ever reached. Whoever counts on from a number below it need not look out
/// for the end of numbers.
const LIMIT: u64 = 1 << 63;

/// Why a block is not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// All zero: a prepared segment that was never used.
    Blank,
    /// Written by a different version of this format.
    Version(u32),
    /// Neither.
    Bad,
}

impl Header {
    /// The block as written at the start of the segment.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Marks { extent, vote, committed } = &self.marks;
        let flags = [
            (self.unzeroed, UNZEROED),
            (vote.is_some(), VOTE),
            (committed.is_some(), COMMITTED),
            (extent.purged.is_some(), PURGED),
            (extent.bounds.is_some(), BOUNDS),
        ];
        let flags = flags.into_iter().filter(|(set, _)| *set).fold(0, |sum, (_, bit)| sum | bit);
        let (first, next) = extent.bounds.unwrap_or_default();
        let mut block = Vec::with_capacity(BLOCK);
        block.put_slice(MAGIC);
        block.put_u32_le(VERSION);
        block.put_u32_le(flags);
        for number in [self.id, self.size, self.first_seq, first, next] {
            block.put_u64_le(number);
        }
        block.put_u64_le(extent.purged.as_ref().map_or(0, |pos| pos.index));
        for bytes in [extent.purged.as_ref().map(|pos| &pos.id), vote.as_ref(), committed.as_ref()]
        {
            let bytes = bytes.map_or(&[][..], |bytes| bytes);
            block.put_u16_le(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
            block.put_slice(bytes);
        }
        block.resize(CHECKED, FILL);
        block.put_u32_le(crc32c::crc32c(&block));
        block
    }

    /// Reads a block.
    pub(crate) fn decode(block: &[u8]) -> Result<Self, NoHeader> {
        if is_zero(block) {
            return Err(NoHeader::Blank);
        }
        let (covered, mut sum) = block.split_at_checked(CHECKED).ok_or(NoHeader::Bad)?;
        let mut body = covered.strip_prefix(MAGIC).ok_or(NoHeader::Bad)?;
        // The version comes before the checksum: another one may check itself differently.
        let version = body.try_get_u32_le().map_err(|_| NoHeader::Bad)?;
        if version != VERSION {
            return Err(NoHeader::Version(version));
        }
        if sum.try_get_u32_le().ok() != Some(crc32c::crc32c(covered)) {
            return Err(NoHeader::Bad);
        }
        decode_body(body).ok().filter(Self::is_possible).ok_or(NoHeader::Bad)
    }

    /// Whether a log can be in such a state, whatever the checksum says.
    fn is_possible(&self) -> bool {
        let Extent { purged, bounds } = &self.marks.extent;
        let (first, next) = bounds.unwrap_or_default();
        let purged = purged.as_ref().map_or(0, |pos| pos.index);
        first <= next && [self.id, self.first_seq, next, purged].iter().all(|n| *n < LIMIT)
    }

    /// Makes the checksum of a block right, so that a target of hostile bytes gets past it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn seal(block: &mut [u8]) {
        if let Some((covered, [a, b, c, d])) = block.split_at_mut_checked(CHECKED) {
            [*a, *b, *c, *d] = crc32c::crc32c(covered).to_le_bytes();
        }
    }

    /// Whether a block that is no header is one that was written in part only.
    pub(crate) fn is_unfinished(block: &[u8]) -> bool {
        block.chunks(SECTOR as usize).any(is_zero)
    }
}

fn decode_body(mut body: &[u8]) -> Result<Header, TryGetError> {
    let body = &mut body;
    let flags = body.try_get_u32_le()?;
    let has = |bit: u32| flags & bit != 0;
    let (id, size, first_seq) =
        (body.try_get_u64_le()?, body.try_get_u64_le()?, body.try_get_u64_le()?);
    let bounds = (body.try_get_u64_le()?, body.try_get_u64_le()?);
    let purged_index = body.try_get_u64_le()?;
    let purged_id = take_bytes(body)?;
    let (vote, committed) = (take_bytes(body)?, take_bytes(body)?);
    let purged = has(PURGED).then_some(LogPos { index: purged_index, id: purged_id });
    let extent = Extent { purged, bounds: has(BOUNDS).then_some(bounds) };
    let marks = Marks {
        extent,
        vote: has(VOTE).then_some(vote),
        committed: has(COMMITTED).then_some(committed),
    };
    Ok(Header { id, size, unzeroed: has(UNZEROED), first_seq, marks })
}

fn take_bytes(body: &mut &[u8]) -> Result<Bytes, TryGetError> {
    let len = usize::from(body.try_get_u16_le()?);
    let available = body.len();
    let bytes = body.split_off(..len).ok_or(TryGetError { requested: len, available })?;
    Ok(Bytes::copy_from_slice(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its checksum is right; opening such a log would panic, or never end.
    #[test]
    fn a_header_no_log_can_have_is_refused() {
        let bounds = |bounds| Marks {
            extent: Extent { purged: None, bounds: Some(bounds) },
            ..Marks::default()
        };
        let good =
            Header { id: 1, size: 8192, unzeroed: false, first_seq: 1, marks: bounds((3, 5)) };
        assert_eq!(Header::decode(&good.encode()).as_ref(), Ok(&good));
        for bad in [
            Header { marks: bounds((5, 3)), ..good.clone() },
            Header { marks: bounds((3, u64::MAX)), ..good.clone() },
            Header { id: u64::MAX, ..good.clone() },
            Header { first_seq: u64::MAX, ..good },
        ] {
            assert_eq!(Header::decode(&bad.encode()), Err(NoHeader::Bad), "{bad:?}");
        }
    }
}
