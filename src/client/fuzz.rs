//! The reader of DNS answers for hostile bytes, and answers to begin with.

use super::message::{answer, question};
use crate::types::fuzz::Seed;

const NAME: &str = "_etcd-client._tcp.example.org";

/// One answer to a question with number zero.
pub(crate) fn dns(bytes: &[u8]) {
    let _ = question(0, NAME).map(|question| answer(&question, bytes));
}

/// An answer with a service whose name points back.
pub(crate) fn seeds() -> Vec<Seed> {
    let question = question(0, NAME).unwrap_or_default();
    let mut bytes = vec![0, 0, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    bytes.extend(question.get(12..).unwrap_or_default());
    bytes.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 10, 0, 1, 0, 1, 9, 0x4b]);
    bytes.extend([1, b'a', 0xc0, 30]);
    vec![Seed::new("dns", "service", bytes)]
}
