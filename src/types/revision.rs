//! Revisions and their byte form.

/// A position in the history of the store: `main` counts write transactions, `sub` the changes
/// inside one. Clients only ever see `main`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The write transaction.
    pub main: i64,
    /// The change inside it, from zero.
    pub sub: i64,
}

/// Length of the byte form of a revision.
pub const REVISION_BYTES: usize = 17;
/// Length of the byte form of a revision that deleted its key.
pub const TOMBSTONE_BYTES: usize = REVISION_BYTES + 1;
const SEPARATOR: u8 = b'_';
const TOMBSTONE: u8 = b't';

impl Revision {
    /// A revision from its two parts.
    pub const fn new(main: i64, sub: i64) -> Self {
        Self { main, sub }
    }

    /// etcd's byte form: big-endian main, `_`, big-endian sub. Sorts like the revision itself, and is
    /// what `HashKV` hashes.
    pub fn to_bytes(self) -> [u8; REVISION_BYTES] {
        let mut bytes = [SEPARATOR; REVISION_BYTES];
        bytes[..8].copy_from_slice(&self.main.to_be_bytes());
        bytes[9..].copy_from_slice(&self.sub.to_be_bytes());
        bytes
    }

    /// The byte form of a revision that deleted its key: as [`Self::to_bytes`] with a `t` behind it.
    pub fn to_tombstone_bytes(self) -> [u8; TOMBSTONE_BYTES] {
        let mut bytes = [TOMBSTONE; TOMBSTONE_BYTES];
        bytes[..REVISION_BYTES].copy_from_slice(&self.to_bytes());
        bytes
    }

    /// Reads either byte form; the flag says whether it was a tombstone. `None` if it is neither.
    pub fn from_bytes(bytes: &[u8]) -> Option<(Self, bool)> {
        let tombstone = match bytes.get(REVISION_BYTES..) {
            Some([]) => false,
            Some([TOMBSTONE]) => true,
            _ => return None,
        };
        let main = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
        let sub = i64::from_be_bytes(bytes.get(9..REVISION_BYTES)?.try_into().ok()?);
        (bytes.get(8) == Some(&SEPARATOR)).then_some((Self { main, sub }, tombstone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_forms_read_back_and_nothing_else_does() {
        let revision = Revision::new(7, 3);
        assert_eq!(Revision::from_bytes(&revision.to_bytes()), Some((revision, false)));
        assert_eq!(Revision::from_bytes(&revision.to_tombstone_bytes()), Some((revision, true)));
        assert_eq!(Revision::from_bytes(b"short"), None);
        let mut wrong = revision.to_bytes();
        wrong[8] = b'-';
        assert_eq!(Revision::from_bytes(&wrong), None);
    }

    #[test]
    fn byte_form_sorts_like_the_revision() {
        assert!(Revision::new(1, 9).to_bytes() < Revision::new(2, 0).to_bytes());
        assert!(Revision::new(255, 0).to_bytes() < Revision::new(256, 0).to_bytes());
    }
}
