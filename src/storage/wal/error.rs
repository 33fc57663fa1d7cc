//! What can go wrong with the log.

use std::io;
use std::path::{Path, PathBuf};

/// A fault of the Raft log. All of them are fatal for the process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalError {
    /// A segment does not read back as it was written.
    #[error(
        "log segment {} is damaged at byte {offset}: {why}; replace this member, or restore the file from a backup", segment.display()
    )]
    Damaged {
        /// The segment file.
        segment: PathBuf,
        /// Where, in bytes from the start.
        offset: u64,
        /// What was expected and what was found.
        why: String,
    },
    /// A segment file that must be there is not.
    #[error(
        "log folder {} lacks segment {id:016x}.wal ({why}); if the member was started with another --wal-dir, give that one; otherwise replace the member, or restore the file from a backup", dir.display()
    )]
    Missing {
        /// The log folder.
        dir: PathBuf,
        /// Number of the missing segment.
        id: u64,
        /// How it is known.
        why: String,
    },
    /// The folder holds files that are not ours.
    #[error("log folder {} holds {}, which this etcd did not write: choose another folder", dir.display(), found.display())]
    Foreign {
        /// The log folder.
        dir: PathBuf,
        /// The unknown file.
        found: PathBuf,
    },
    /// A file operation failed.
    #[error("log: cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation, as a verb.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl WalError {
    /// An I/O error with what was done to which path, for `map_err`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }
}
