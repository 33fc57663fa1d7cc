//! Answers stay accounted for until the connection has written them.

use bytes::Bytes;

use crate::api::budget::Share;
use crate::transport::Charge;

/// What bytes are accounted to.
#[derive(Debug)]
pub(super) enum Hold {
    /// The connection.
    Charge(Charge),
    /// The budget of large answers.
    Share(Share),
}

struct Held {
    bytes: Bytes,
    _hold: Hold,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The same bytes; `hold` is given up when the last reference to them is.
pub(super) fn keep(bytes: Bytes, hold: Option<Hold>) -> Bytes {
    match hold {
        Some(hold) => Bytes::from_owner(Held { bytes, _hold: hold }),
        None => bytes,
    }
}
