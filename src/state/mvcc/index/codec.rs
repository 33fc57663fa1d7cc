//! Keys and their records as bytes: small numbers take one byte, a key only what it does not share
//! with the one before it.

use super::KeyMeta;
use super::keys::shared;
use super::past::Record;
use super::slot::{Slot, Write};
use crate::types::revision::Revision;

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Small numbers of either sign become small numbers without one.
fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Appends a key, written as its difference to `last`, and everything known about it.
pub(super) fn put_entry(out: &mut Vec<u8>, last: &[u8], key: &[u8], slot: &Slot) {
    let common = shared(last, key);
    put_number(out, common as u64);
    put_number(out, (key.len() - common) as u64);
    out.extend_from_slice(&key[common..]);
    let mut records: Vec<Record> = slot.newest_first().collect();
    records.reverse();
    put_number(out, records.len() as u64);
    let mut before = 0;
    for record in records {
        put_signed(out, record.main.wrapping_sub(before));
        put_number(out, (u64::from(record.sub) << 1) | u64::from(record.tombstone));
        before = record.main;
    }
    if let Some(meta) = slot.meta() {
        put_signed(out, before.wrapping_sub(meta.create));
        put_signed(out, meta.version);
        put_signed(out, meta.lease);
    }
}

/// Bytes still to be read. Every read is checked: they may be damaged.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn remaining(&self) -> usize {
        self.0.len()
    }

    fn bytes(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// Reads what [`put_entry`] wrote; `key` holds the last key before and this one after. `None`
    /// when the bytes are not such an entry.
    pub(super) fn entry(&mut self, key: &mut Vec<u8>) -> Option<Slot> {
        let common = usize::try_from(self.number()?).ok().filter(|common| *common <= key.len())?;
        let length = self.number()?;
        let rest = self.bytes(length)?;
        key.truncate(common);
        key.extend_from_slice(rest);
        let mut records = self.records()?;
        let newest = records.pop()?;
        records.shrink_to_fit();
        let write = if newest.tombstone {
            Write::Delete(newest.revision())
        } else {
            let create = newest.main.wrapping_sub(self.signed()?);
            let meta = KeyMeta {
                create,
                modified: newest.revision(),
                version: self.signed().filter(|version| *version > 0)?,
                lease: self.signed()?,
            };
            Write::Restore(meta)
        };
        Some(Slot::with_past(write, records))
    }

    fn records(&mut self) -> Option<Vec<Record>> {
        let count = usize::try_from(self.number()?).ok()?;
        // A record takes two bytes at least; a wrong count must not allocate for what is not there.
        let mut records = Vec::with_capacity(count.min(self.remaining() / 2));
        let mut last = Revision::new(0, -1);
        for _ in 0..count {
            let main = last.main.wrapping_add(self.signed()?);
            let packed = self.number()?;
            let at = Revision::new(main, i64::try_from(packed >> 1).ok()?);
            if at <= last || at.sub > i64::from(u32::MAX) {
                return None;
            }
            records.push(Record::new(at, packed & 1 == 1));
            last = at;
        }
        Some(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_size_read_back() {
        let list = [0, 1, 63, 64, -1, -64, -65, i64::MAX, i64::MIN, 1 << 40];
        let mut out = Vec::new();
        list.iter().for_each(|number| put_signed(&mut out, *number));
        let mut reader = Reader::new(&out);
        list.iter().for_each(|number| assert_eq!(reader.signed(), Some(*number)));
        assert_eq!((reader.number(), Reader::new(&[0xff; 10]).number()), (None, None));
    }

    #[test]
    fn an_entry_cut_anywhere_is_refused() {
        let at = |main| Revision::new(main, 3);
        let mut slot = Slot::new(Write::Put { at: at(1 << 33), lease: -5 });
        slot.write(Write::Delete(at(1 << 34)));
        slot.write(Write::Put { at: at(1 << 35), lease: 9 });
        let mut out = Vec::new();
        put_entry(&mut out, b"/a/b", b"/a/c/d", &slot);
        let mut key = b"/a/b".to_vec();
        let back = Reader::new(&out).entry(&mut key).unwrap();
        assert_eq!((key.as_slice(), back.meta()), (&b"/a/c/d"[..], slot.meta()));
        assert!(back.newest_first().eq(slot.newest_first()));
        for cut in 0..out.len() {
            assert!(Reader::new(&out[..cut]).entry(&mut b"/a/b".to_vec()).is_none(), "{cut}");
        }
        // Shares more with the key before it than that key has.
        assert!(Reader::new(&out).entry(&mut b"/".to_vec()).is_none());
    }
}
