//! What other members tell over HTTP, for hostile bytes.

use super::probe::{Told, Versions};

/// The members and the versions a member tells.
pub(crate) fn told(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Vec<Told>>(bytes);
    let _ = serde_json::from_slice::<Versions>(bytes);
}
