//! The pieces in which a state travels from one member to another.
//!
//! Each piece can be read by itself and says which image and which place it belongs to, so that a
//! transfer that broke off goes on where it stopped.
//!
//! ```text
//! piece    version 1 u8 | kind u8 | image u64 | number u64 | CRC-32C of the rest u32 | body
//! kind 1   pairs, ascending: space u8 | key length u16 | value length u32 | key | value
//! kind 2   the end: pieces u64 | pairs u64 | sum u64
//! ```
//!
//! Numbers are little-endian and count from zero. The sum is a hash chained over the bodies of all
//! pieces before the end; the pieces it counts include the end.

use bytes::{Buf, Bytes};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::storage::engine::Space;

/// Bytes at which a piece is closed. A pair that is larger has a piece of its own.
pub(super) const TARGET: usize = 1 << 20;

const VERSION: u8 = 1;
const PAIRS: u8 = 1;
const END: u8 = 2;
/// Version, kind, image, number.
const NAMED: usize = 18;
const HEAD: usize = NAMED + 4;
/// What precedes key and value of a pair.
const PAIR: usize = 7;

/// What the end of an image says about the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) pieces: u64,
    pub(super) pairs: u64,
    pub(super) sum: u64,
}

/// What a piece holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Pairs; [`pairs`] reads them.
    Pairs(Bytes),
    /// Nothing any more.
    End(Totals),
}

/// A piece whose checksum was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) image: u64,
    pub(super) number: u64,
    pub(super) body: Body,
}

/// Why bytes are no piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceFault {
    /// It ends too early.
    #[error("it is {got} bytes long, expected at least {expected}")]
    Short {
        /// Bytes it should have.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// A release with another form of pieces wrote it.
    #[error("it has format {got}, this release reads format {VERSION}")]
    Version {
        /// The format it names.
        got: u8,
    },
    /// It is not as it was sent.
    #[error("its checksum is {got:08x}, expected {expected:08x}")]
    Checksum {
        /// The checksum it carries.
        expected: u32,
        /// The checksum of its bytes.
        got: u32,
    },
    /// Its checksum is right, and still it makes no sense.
    #[error("it cannot be read: {0}")]
    Senseless(&'static str),
}

/// The next link of the chain over all bodies.
pub(super) fn chain(sum: u64, body: &[u8]) -> u64 {
    xxh3_64_with_seed(body, sum)
}

/// A piece being filled with pairs.
pub(super) struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// An empty piece.
    pub(super) fn new(image: u64, number: u64) -> Self {
        let mut bytes = Vec::with_capacity(TARGET + HEAD);
        head(&mut bytes, PAIRS, image, number);
        Self { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == HEAD
    }

    /// Whether another pair of this size fits; into an empty piece any does.
    pub(super) fn has_room(&self, key: &[u8], value: &[u8]) -> bool {
        self.is_empty() || self.bytes.len() + PAIR + key.len() + value.len() <= TARGET
    }

    /// Adds a pair. `None` if it is longer than a pair can be.
    pub(super) fn push(&mut self, space: Space, key: &[u8], value: &[u8]) -> Option<()> {
        let key_length = u16::try_from(key.len()).ok()?;
        let value_length = u32::try_from(value.len()).ok()?;
        self.bytes.push(u8::try_from(space.slot()).ok()?);
        self.bytes.extend_from_slice(&key_length.to_le_bytes());
        self.bytes.extend_from_slice(&value_length.to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        Some(())
    }

    /// The next link of the chain after `sum`.
    pub(super) fn chain(&self, sum: u64) -> u64 {
        chain(sum, self.bytes.get(HEAD..).unwrap_or_default())
    }

    pub(super) fn finish(self) -> Bytes {
        seal(self.bytes)
    }
}

/// The piece after the last pairs.
pub(super) fn end(image: u64, number: u64, totals: Totals) -> Bytes {
    let mut bytes = Vec::with_capacity(HEAD + 24);
    head(&mut bytes, END, image, number);
    for total in [totals.pieces, totals.pairs, totals.sum] {
        bytes.extend_from_slice(&total.to_le_bytes());
    }
    seal(bytes)
}

fn head(bytes: &mut Vec<u8>, kind: u8, image: u64, number: u64) {
    bytes.extend_from_slice(&[VERSION, kind]);
    bytes.extend_from_slice(&image.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&[0; HEAD - NAMED]);
}

fn seal(mut bytes: Vec<u8>) -> Bytes {
    let sum = checksum(&bytes).to_le_bytes();
    if let Some(place) = bytes.get_mut(NAMED..HEAD) {
        place.copy_from_slice(&sum);
    }
    bytes.into()
}

/// Over everything but its own place.
fn checksum(bytes: &[u8]) -> u32 {
    let named = crc32c::crc32c(bytes.get(..NAMED).unwrap_or_default());
    crc32c::crc32c_append(named, bytes.get(HEAD..).unwrap_or_default())
}

impl Piece {
    /// Reads a piece; its body shares the memory.
    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, PieceFault> {
        let short = PieceFault::Short { expected: HEAD, got: bytes.len() };
        let Some((&[version, kind, ref rest @ ..], _)) = bytes.split_first_chunk::<HEAD>() else {
            return Err(short);
        };
        if version != VERSION {
            return Err(PieceFault::Version { got: version });
        }
        let (image, rest) = rest.split_first_chunk::<8>().ok_or(short)?;
        let (number, sum) = rest.split_first_chunk::<8>().ok_or(short)?;
        let expected = u32::from_le_bytes(sum.try_into().map_err(|_| short)?);
        let got = checksum(&bytes);
        if expected != got {
            return Err(PieceFault::Checksum { expected, got });
        }
        let (image, number) = (u64::from_le_bytes(*image), u64::from_le_bytes(*number));
        bytes.advance(HEAD);
        let body = match kind {
            PAIRS => Body::Pairs(bytes),
            END => Body::End(totals(&bytes)?),
            _ => return Err(PieceFault::Senseless("it is of an unknown kind")),
        };
        Ok(Self { image, number, body })
    }
}

fn totals(body: &[u8]) -> Result<Totals, PieceFault> {
    let wrong = PieceFault::Senseless("its totals have another length");
    let (pieces, rest) = body.split_first_chunk::<8>().ok_or(wrong)?;
    let (pairs, rest) = rest.split_first_chunk::<8>().ok_or(wrong)?;
    let sum: [u8; 8] = rest.try_into().map_err(|_| wrong)?;
    Ok(Totals {
        pieces: u64::from_le_bytes(*pieces),
        pairs: u64::from_le_bytes(*pairs),
        sum: u64::from_le_bytes(sum),
    })
}

/// The pairs of a body; after an error there are no more.
pub(super) fn pairs(body: Bytes) -> Pairs {
    Pairs { rest: body }
}

pub(super) struct Pairs {
    rest: Bytes,
}

impl Pairs {
    fn pair(&mut self) -> Result<(Space, Bytes, Bytes), PieceFault> {
        let cut = PieceFault::Senseless("a pair is cut off");
        let (&[space, k0, k1, v0, v1, v2, v3], rest) =
            self.rest.split_first_chunk::<PAIR>().ok_or(cut)?;
        let space = Space::from_slot(space).ok_or(PieceFault::Senseless("an unknown space"))?;
        let key = usize::from(u16::from_le_bytes([k0, k1]));
        let value = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
        if key == 0 {
            return Err(PieceFault::Senseless("a key is empty"));
        }
        if rest.len().checked_sub(key).is_none_or(|left| left < value) {
            return Err(cut);
        }
        let mut pair = self.rest.split_to(PAIR + key + value);
        pair.advance(PAIR);
        let key = pair.split_to(key);
        Ok((space, key, pair))
    }
}

impl Iterator for Pairs {
    type Item = Result<(Space, Bytes, Bytes), PieceFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let pair = self.pair();
        if pair.is_err() {
            self.rest.clear();
        }
        Some(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Bytes {
        let mut piece = Builder::new(7, 3);
        piece.push(Space::Records, b"a", b"one").unwrap();
        piece.push(Space::Alarms, b"b", b"").unwrap();
        piece.finish()
    }

    #[test]
    fn what_is_written_reads_back() {
        let Piece { image: 7, number: 3, body: Body::Pairs(body) } =
            Piece::decode(sample()).unwrap()
        else {
            panic!("another piece");
        };
        let read: Vec<_> = pairs(body).map(Result::unwrap).collect();
        let pair = |space, key: &'static str, value: &'static str| {
            (space, Bytes::from(key), Bytes::from(value))
        };
        assert_eq!(read, [pair(Space::Records, "a", "one"), pair(Space::Alarms, "b", "")]);
        let totals = Totals { pieces: 5, pairs: 2, sum: 9 };
        let read = Piece::decode(end(7, 4, totals)).unwrap();
        assert_eq!(read, Piece { image: 7, number: 4, body: Body::End(totals) });
    }

    #[test]
    fn any_flipped_byte_and_any_cut_is_found() {
        let whole = sample();
        for at in 0..whole.len() {
            let mut flipped = whole.to_vec();
            flipped[at] ^= 1 << (at % 8);
            assert!(Piece::decode(flipped.into()).is_err(), "byte {at}");
            assert!(Piece::decode(whole.slice(..at)).is_err(), "cut at {at}");
        }
        assert!(Piece::decode([&whole[..], &[0]].concat().into()).is_err(), "a byte too many");
    }

    #[test]
    fn format_one_is_what_it_always_was() {
        let head = [&[1, 1][..], &7_u64.to_le_bytes(), &3_u64.to_le_bytes()].concat();
        let body = [&[0, 1, 0, 3, 0, 0, 0][..], b"aone", &[4, 1, 0, 0, 0, 0, 0], b"b"].concat();
        let sum = crc32c::crc32c(&[&head[..], &body].concat()).to_le_bytes();
        assert_eq!(sample(), [&head[..], &sum, &body].concat());
    }

    #[test]
    fn pairs_that_make_no_sense_are_refused() {
        for body in [
            &[6, 1, 0, 0, 0, 0, 0, 1][..],
            &[0, 0, 0, 0, 0, 0, 0],
            &[0, 2, 0, 0, 0, 0, 0, 1],
            &[0, 1, 0, 255, 255, 255, 255, 1],
            &[0, 1],
        ] {
            let read: Vec<_> = pairs(Bytes::copy_from_slice(body)).collect();
            assert!(matches!(read[..], [Err(PieceFault::Senseless(_))]), "{body:?}: {read:?}");
        }
    }
}
