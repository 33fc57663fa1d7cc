//! Sorted keys packed into one buffer: the shared prefix once, then what each key adds to it.

use std::ops::Range;

/// Where a key ends in the buffer, with the first bytes of what it adds: most searches are decided
/// by the heads, which lie side by side, without touching the keys themselves.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    head: u32,
    end: u32,
}

/// Keys in ascending order, each one different.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    bytes: Vec<u8>,
    marks: Vec<Mark>,
    prefix: u32,
}

/// Room left when a buffer grows: nodes are many and small, doubling would waste a third of them.
const SLACK: usize = 4;

/// How many leading bytes two keys share.
pub(super) fn shared(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

fn head(suffix: &[u8]) -> u32 {
    if let Some(first) = suffix.first_chunk::<4>() {
        return u32::from_be_bytes(*first);
    }
    let mut first = [0; 4];
    first[..suffix.len()].copy_from_slice(suffix);
    u32::from_be_bytes(first)
}

/// Positions fit: a node is split at a few ten thousand bytes, unless it is one key, and a key
/// arrives in one message.
const fn position(at: usize) -> u32 {
    at as u32
}

impl Keys {
    pub(super) fn with_capacity(keys: usize) -> Self {
        Self { marks: Vec::with_capacity(keys), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Bytes held beside the prefix. These, splitting can make fewer.
    pub(super) fn spread(&self) -> usize {
        self.bytes.len() - self.prefix as usize
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.bytes[..self.prefix as usize]
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(self.prefix, |before| self.marks[before].end) as usize
    }

    /// What the key adds to the prefix.
    pub(super) fn suffix(&self, at: usize) -> &[u8] {
        &self.bytes[self.start(at)..self.marks[at].end as usize]
    }

    /// The whole key.
    pub(super) fn key(&self, at: usize) -> Vec<u8> {
        [self.prefix(), self.suffix(at)].concat()
    }

    /// Length of the whole key.
    pub(super) fn key_len(&self, at: usize) -> usize {
        self.prefix as usize + self.suffix(at).len()
    }

    /// The position of `key`, or the one it would be inserted at.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let Some(suffix) = key.strip_prefix(self.prefix()) else {
            return Err(if key < self.prefix() { 0 } else { self.len() });
        };
        let head = head(suffix);
        let low = self.marks.partition_point(|mark| mark.head < head);
        let (mut low, mut high) =
            (low, low + self.marks[low..].partition_point(|mark| mark.head == head));
        while low < high {
            let middle = low.midpoint(high);
            match self.suffix(middle).cmp(suffix) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// How many keys are below `key`.
    pub(super) fn below(&self, key: &[u8]) -> usize {
        self.search(key).unwrap_or_else(|at| at)
    }

    /// How many keys are at or below `key`.
    pub(super) fn up_to(&self, key: &[u8]) -> usize {
        self.search(key).map_or_else(|at| at, |at| at + 1)
    }

    /// Bytes held beside the prefix if `key` were added: one that does not share the prefix makes
    /// every other longer.
    pub(super) fn spread_with(&self, key: &[u8]) -> usize {
        let common = shared(self.prefix(), key);
        self.spread() + (self.prefix as usize - common) * self.len() + key.len() - common
    }

    /// Inserts a key where [`Self::search`] said.
    pub(super) fn insert(&mut self, at: usize, key: &[u8]) {
        if self.marks.is_empty() {
            self.bytes.clear();
            self.bytes.extend_from_slice(key);
            self.prefix = position(key.len());
            self.marks.push(Mark { head: 0, end: self.prefix });
            return;
        }
        let common = shared(self.prefix(), key);
        if common < self.prefix as usize {
            *self = Self::pack(&[(self, 0..self.len())], common, SLACK);
        }
        let suffix = &key[common..];
        let (start, old) = (self.start(at), self.bytes.len());
        reserve(&mut self.bytes, suffix.len() * SLACK, suffix.len());
        self.bytes.resize(old + suffix.len(), 0);
        self.bytes.copy_within(start..old, start + suffix.len());
        self.bytes[start..start + suffix.len()].copy_from_slice(suffix);
        for mark in &mut self.marks[at..] {
            mark.end += position(suffix.len());
        }
        reserve(&mut self.marks, SLACK, 1);
        self.marks.insert(at, Mark { head: head(suffix), end: position(start + suffix.len()) });
    }

    /// Removes the key at a position.
    pub(super) fn remove(&mut self, at: usize) {
        let range = self.start(at)..self.marks[at].end as usize;
        let gone = position(range.len());
        self.bytes.drain(range);
        self.marks.remove(at);
        for mark in &mut self.marks[at..] {
            mark.end -= gone;
        }
    }

    /// New keys from runs of old ones, in ascending order, with the longest prefix they share.
    pub(super) fn gather(parts: &[(&Self, Range<usize>)]) -> Self {
        Self::pack(parts, Self::common(parts), 0)
    }

    /// Bytes that [`Self::gather`] would hold beside the prefix.
    pub(super) fn gathered(parts: &[(&Self, Range<usize>)]) -> usize {
        let common = Self::common(parts);
        let keys = parts
            .iter()
            .flat_map(|(keys, range)| range.clone().map(move |at| keys.key_len(at) - common));
        keys.sum()
    }

    fn common(parts: &[(&Self, Range<usize>)]) -> usize {
        let mut filled = parts.iter().filter(|(_, range)| !range.is_empty());
        let Some((first, range)) = filled.next() else { return 0 };
        let (last, end) =
            filled.next_back().map_or((first, range.end), |(last, end)| (last, end.end));
        shared(&first.key(range.start), &last.key(end - 1))
    }

    fn pack(parts: &[(&Self, Range<usize>)], common: usize, slack: usize) -> Self {
        let count = parts.iter().map(|(_, range)| range.len()).sum::<usize>();
        let mut packed = Self::with_capacity(count + slack);
        for (keys, range) in parts {
            // Either the old prefix reaches beyond the new one, or the other way round.
            let (more, skip) = match keys.prefix().get(common..) {
                Some(more) => (more, 0),
                None => (&[][..], common - keys.prefix().len()),
            };
            if packed.marks.is_empty() && !range.is_empty() {
                let first = keys.key(range.start);
                let size = keys.bytes.len() + (more.len() * range.len());
                packed.bytes.reserve_exact(size.max(first.len()));
                packed.bytes.extend_from_slice(&first[..common]);
                packed.prefix = position(common);
            }
            for at in range.clone() {
                let start = packed.bytes.len();
                packed.bytes.extend_from_slice(more);
                packed.bytes.extend_from_slice(&keys.suffix(at)[skip..]);
                let head = head(&packed.bytes[start..]);
                packed.marks.push(Mark { head, end: position(packed.bytes.len()) });
            }
        }
        if slack == 0 {
            packed.bytes.shrink_to_fit();
        }
        packed
    }

    /// Gives unused room back.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// The position that halves the bytes, so that both sides hold at least one key.
    pub(super) fn halfway(&self) -> usize {
        let half = self.prefix as usize + self.spread() / 2;
        let at = self.marks.partition_point(|mark| (mark.end as usize) <= half);
        at.clamp(1, (self.len() - 1).max(1))
    }

    /// The shortest key above everything in `left` and not above anything in `right`.
    pub(super) fn separator(left: &Self, right: &Self) -> Vec<u8> {
        let mut key = right.key(0);
        key.truncate(shared(&left.key(left.len() - 1), &key) + 1);
        key
    }
}

/// Makes room for `need` more elements, and for `ahead` more when it has to grow at all.
pub(super) fn reserve<T>(buffer: &mut Vec<T>, ahead: usize, need: usize) {
    if buffer.capacity() - buffer.len() < need {
        buffer.reserve_exact(ahead.max(need));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(list: &[&[u8]]) -> Keys {
        let mut keys = Keys::default();
        for key in list {
            let Err(at) = keys.search(key) else { continue };
            keys.insert(at, key);
        }
        keys
    }

    fn unpacked(keys: &Keys) -> Vec<Vec<u8>> {
        (0..keys.len()).map(|at| keys.key(at)).collect()
    }

    #[test]
    fn keys_that_are_prefixes_or_zeros_of_each_other_stay_apart() {
        let mut list: Vec<&[u8]> = vec![
            b"",
            b"\0",
            b"\0\0",
            b"a",
            b"a\0",
            b"a\0\0\0\0",
            b"ab",
            b"\xff",
            b"\xff\xff\xff\xff\xff",
        ];
        list.reverse();
        let keys = packed(&list);
        list.sort_unstable();
        assert_eq!(unpacked(&keys), list);
        for (at, key) in list.iter().enumerate() {
            assert_eq!(keys.search(key), Ok(at));
        }
        assert_eq!(keys.search(b"a\0\0"), Err(5));
    }

    #[test]
    fn the_prefix_is_stored_once_and_shrinks_for_a_stranger() {
        let mut keys = packed(&[b"/registry/pods/a", b"/registry/pods/b", b"/registry/pods/c"]);
        assert_eq!((keys.prefix(), keys.spread()), (&b"/registry/pods/"[..], 3));
        assert_eq!(keys.spread_with(b"/reg"), 3 * 12);
        keys.insert(0, b"/reg");
        assert_eq!((keys.prefix(), keys.spread()), (&b"/reg"[..], 3 * 12));
        keys.remove(0);
        assert_eq!(keys.search(b"/registry/pods/b"), Ok(1));
        assert_eq!(Keys::gather(&[(&keys, 0..3)]).prefix(), b"/registry/pods/");
    }

    #[test]
    fn separators_are_as_short_as_can_be_and_never_empty() {
        let (left, right) = (packed(&[b"", b"abc"]), packed(&[b"abd99", b"b"]));
        assert_eq!(Keys::separator(&left, &right), b"abd");
        assert_eq!(Keys::separator(&packed(&[b""]), &packed(&[b"\0"])), b"\0");
        let joined = Keys::gather(&[(&left, 1..2), (&right, 0..1)]);
        assert_eq!((joined.prefix(), joined.spread()), (&b"ab"[..], 4));
        assert_eq!(Keys::gathered(&[(&left, 1..2), (&right, 0..1)]), 4);
    }
}
