//! Sets of keys as permissions grant them.

use bytes::Bytes;

use crate::types::range::{UNBOUNDED, next_key};

/// A set of keys: intervals in order that neither overlap nor touch. The end is not in an interval;
/// without one it goes on for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Intervals(Vec<(Bytes, Option<Bytes>)>);

impl Intervals {
    /// The union of intervals given by key and range end.
    pub(super) fn union<'a>(parts: impl Iterator<Item = (&'a Bytes, &'a Bytes)>) -> Self {
        let mut parts: Vec<_> =
            parts.map(|(key, range_end)| (key.clone(), end(key, range_end))).collect();
        parts.retain(|(start, end)| end.as_ref().is_none_or(|end| end > start));
        parts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut merged: Vec<(Bytes, Option<Bytes>)> = Vec::new();
        for (start, end) in parts {
            match merged.last_mut() {
                Some((_, None)) => break,
                Some((_, Some(last))) if start <= *last => {
                    if end.as_ref().is_none_or(|end| end > last) {
                        // Borrowed anew: the pattern holds only the old end.
                        if let Some((_, slot)) = merged.last_mut() {
                            *slot = end;
                        }
                    }
                }
                _ => merged.push((start, end)),
            }
        }
        Self(merged)
    }

    /// Whether every key of a range is in the set. Of a range without keys the first must be, so that
    /// nonsense is refused to those who may not read there.
    pub(super) fn cover(&self, key: &[u8], range_end: &[u8]) -> bool {
        let after = self.0.partition_point(|(start, _)| start.as_ref() <= key);
        let Some((_, until)) = after.checked_sub(1).and_then(|at| self.0.get(at)) else {
            return false;
        };
        let Some(until) = until else { return true };
        if key >= until.as_ref() {
            return false;
        }
        match range_end {
            // The next key after one that is below the end is at most the end.
            [] => true,
            UNBOUNDED => false,
            range_end => range_end <= until.as_ref(),
        }
    }
}

/// Where an interval ends.
fn end(key: &Bytes, range_end: &Bytes) -> Option<Bytes> {
    match range_end.as_ref() {
        [] => Some(next_key(key)),
        UNBOUNDED => None,
        _ => Some(range_end.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(parts: &[(&'static str, &'static str)]) -> Intervals {
        let parts: Vec<(Bytes, Bytes)> =
            parts.iter().map(|(key, end)| ((*key).into(), (*end).into())).collect();
        Intervals::union(parts.iter().map(|(key, end)| (key, end)))
    }

    #[test]
    fn what_overlaps_or_touches_becomes_one() {
        assert_eq!(set(&[("c", "e"), ("a", "c"), ("d", "f")]), set(&[("a", "f")]));
        assert_eq!(set(&[("a", ""), ("a\0", "b")]), set(&[("a", "b")]));
        assert_eq!(set(&[("b", "\0"), ("a", "b"), ("x", "z")]), set(&[("a", "\0")]));
        assert_eq!(set(&[("a", "z"), ("c", "d")]), set(&[("a", "z")]));
        assert_eq!(set(&[("a", "b"), ("c", "d")]).0.len(), 2);
        assert_eq!(set(&[("d", "c")]), Intervals::default(), "an interval without keys");
    }

    #[test]
    fn only_what_is_granted_whole_is_covered() {
        let some = set(&[("a", "c"), ("c", "e"), ("k", ""), ("x", "\0")]);
        for (key, end) in [("a", ""), ("a", "e"), ("b", "d"), ("dz", ""), ("k", ""), ("x", "\0")] {
            assert!(some.cover(key.as_bytes(), end.as_bytes()), "{key:?} to {end:?}");
        }
        for (key, end) in [
            ("e", ""),
            ("a", "e\0"),
            ("d", "k"),
            ("d", "z"),
            ("a", "\0"),
            ("k", "\0"),
            ("k\0", ""),
            ("k", "l"),
            ("A", ""),
            ("A", "b"),
            ("w", "\0"),
        ] {
            assert!(!some.cover(key.as_bytes(), end.as_bytes()), "{key:?} to {end:?}");
        }
        assert!(!Intervals::default().cover(b"a", b""));
        assert!(some.cover(b"k", b"k\0") && some.cover(b"y", b"z"));
        assert!(some.cover(b"d", b"a"), "no keys, and the first would be allowed");
        assert!(!some.cover(b"f", b"a"));
    }

    /// Small keys by the thousand, against looking at each.
    #[test]
    fn merged_sets_say_what_their_parts_say() {
        let keys: Vec<Bytes> = (0..64_u8)
            .map(|n| Bytes::from(if n % 2 == 0 { vec![n / 2] } else { vec![n / 2, 0] }))
            .collect();
        let mut random = 7_u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % below
        };
        for _ in 0..2_000 {
            let parts: Vec<(Bytes, Bytes)> = (0..next(5))
                .map(|_| {
                    (
                        keys[2 + next(62)].clone(),
                        [Bytes::new(), keys[2 + next(62)].clone()][next(2)].clone(),
                    )
                })
                .collect();
            let whole = Intervals::union(parts.iter().map(|(key, end)| (key, end)));
            let granted = |probe: &Bytes| {
                parts.iter().any(|(key, end)| {
                    if end.is_empty() { probe == key } else { key <= probe && probe < end }
                })
            };
            for key in &keys[2..] {
                assert_eq!(whole.cover(key, b""), granted(key), "{key:?} in {parts:?}");
            }
            let (from, to) = (2 + next(61), 2 + next(62));
            if from < to && whole.cover(&keys[from], &keys[to]) {
                assert!(keys[from..to].iter().all(granted), "{from} to {to} in {parts:?}");
            }
        }
    }
}
