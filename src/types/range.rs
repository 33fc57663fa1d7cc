//! Key intervals with etcd's conventions.

use bytes::Bytes;

/// A set of neighbouring keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyRange {
    /// Exactly this key.
    Single(Bytes),
    /// Keys at or above the first and below the second; empty when the second is not above.
    Between(Bytes, Bytes),
    /// Keys at or above this one.
    From(Bytes),
}

/// The `range_end` that means "no upper bound".
pub const UNBOUNDED: &[u8] = b"\0";

impl KeyRange {
    /// Reads the `key` and `range_end` of a request. The caller has refused an empty key.
    pub fn new(key: Bytes, range_end: Bytes) -> Self {
        if range_end.is_empty() {
            Self::Single(key)
        } else if range_end == UNBOUNDED {
            Self::From(key)
        } else {
            Self::Between(key, range_end)
        }
    }

    /// Every key that starts with `prefix`; every key at all when the prefix is empty or all `0xff`.
    pub fn prefix(prefix: Bytes) -> Self {
        match prefix_end(&prefix) {
            Some(end) => Self::Between(prefix, end),
            None => Self::From(prefix),
        }
    }

    /// The lowest key the range may hold.
    pub fn start(&self) -> &Bytes {
        match self {
            Self::Single(key) | Self::Between(key, _) | Self::From(key) => key,
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Single(only) => key == only,
            Self::Between(start, end) => start <= key && key < end,
            Self::From(start) => start <= key,
        }
    }

    /// Whether `key` lies beyond every key of the range.
    pub fn ends_before(&self, key: &[u8]) -> bool {
        match self {
            Self::Single(only) => key > only,
            Self::Between(_, end) => key >= end,
            Self::From(_) => false,
        }
    }
}

/// The very next key.
pub fn next_key(key: &[u8]) -> Bytes {
    [key, b"\0"].concat().into()
}

/// The first key above every key that starts with `prefix`; `None` when there is no such key.
pub fn prefix_end(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &'static str, end: &'static str) -> KeyRange {
        KeyRange::new(key.into(), end.into())
    }

    #[test]
    fn conventions_of_key_and_range_end() {
        assert!(range("a", "").contains(b"a") && !range("a", "").contains(b"aa"));
        assert!(range("a", "c").contains(b"bz") && !range("a", "c").contains(b"c"));
        assert!(range("b", "\0").contains(b"zz") && !range("b", "\0").contains(b"a"));
        assert!(!range("c", "a").contains(b"b"));
        assert!(range("a", "c").ends_before(b"c") && !range("a", "\0").ends_before(b"zz"));
    }

    #[test]
    fn prefixes_end_at_the_next_key_that_does_not_share_them() {
        assert_eq!(prefix_end(b"ab"), Some("ac".into()));
        assert_eq!(prefix_end(b"a\xff"), Some("b".into()));
        assert_eq!(prefix_end(b"\xff\xff"), None);
        assert!(KeyRange::prefix("ab".into()).contains(b"abc"));
    }
}
