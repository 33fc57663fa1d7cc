//! The data directory's decoder for hostile bytes.

use std::path::Path;

use super::format::{self, Phase};
use crate::types::fuzz::Seed;

/// The header file: what reads as one is written the same.
pub(crate) fn format(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(phase) = format::decode(Path::new("header"), &text) {
        assert_eq!(format::decode(Path::new("header"), &format::encode(&phase)).ok(), Some(phase));
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    let header = |phase| format::encode(&phase).into_bytes();
    vec![
        Seed::new("data_dir", "starting", header(Phase::Starting)),
        Seed::new("data_dir", "started", header(Phase::Started(b"member=1 cluster=2".to_vec()))),
    ]
}
