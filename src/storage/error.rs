//! What can go wrong with the data directory and the state database.

use std::io;
use std::path::{Path, PathBuf};

use super::verify::is_damage;

/// A fault of the data directory or of the state database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Another process holds the lock file.
    #[error("{} is locked by another process: stop it, or choose another data directory", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The directory was written by a different etcd implementation.
    #[error(
        "{} holds a data directory of the Go etcd ({}), which this etcd cannot read: start with an empty data directory and restore a snapshot into it", dir.display(), found.display()
    )]
    Foreign {
        /// The data directory.
        dir: PathBuf,
        /// The file or folder that gave it away.
        found: PathBuf,
    },
    /// The directory has contents, but no format header.
    #[error(
        "{} has contents but no format header {}: restore the header from a backup, or move the directory away", dir.display(), header.display()
    )]
    Headless {
        /// The folder with contents.
        dir: PathBuf,
        /// Where the header was expected.
        header: PathBuf,
    },
    /// The header names a format version that this build does not know.
    #[error(
        "{} has format version {found}, this build reads version {known}: use the etcd version that wrote it", header.display()
    )]
    UnknownVersion {
        /// The header file.
        header: PathBuf,
        /// The version it names.
        found: u64,
        /// The version this build reads and writes.
        known: u64,
    },
    /// A small file of the data directory does not read back as it was written.
    #[error("{} is damaged ({why}): restore it from a backup, or replace this member", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        why: String,
    },
    /// Something lies in the state database that does not belong there.
    #[error("{} is no part of the state database: move the folder away", path.display())]
    Stray {
        /// The folder.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation, as a verb.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The state database reported an error.
    #[error("state database {}: cannot {what}: {source}{}", dir.display(), advice(source))]
    Engine {
        /// The operation, as a verb.
        what: &'static str,
        /// Its folder.
        dir: PathBuf,
        /// The cause.
        source: fjall::Error,
    },
    /// The state database does not get its memory buffers to disk.
    #[error(
        "state database: {space} is stalled since {seconds} s ({sealed} sealed memtables, {runs} runs in level 0): the disk is too slow or full; restart after checking it"
    )]
    Stalled {
        /// The keyspace that is behind.
        space: &'static str,
        /// How long it was waited for.
        seconds: u64,
        /// Memory buffers waiting to be written.
        sealed: usize,
        /// Sorted runs waiting to be merged.
        runs: usize,
    },
    /// Bulk loading got keys out of order.
    #[error("state database: bulk load of {space} got key number {position} out of order")]
    Unsorted {
        /// The keyspace being loaded.
        space: &'static str,
        /// Position of the offending key in the stream, from 0.
        position: u64,
    },
}

impl StorageError {
    /// An I/O error with what was done to which path, for `map_err`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }

    /// An engine error with what was being done in which folder, for `map_err`.
    pub(crate) fn engine(what: &'static str, dir: &Path) -> impl FnOnce(fjall::Error) -> Self {
        let dir = dir.to_path_buf();
        move |source| Self::Engine { what, dir, source }
    }
}

/// What happened or what to do about it, where the error itself does not tell.
fn advice(source: &fjall::Error) -> &'static str {
    if matches!(source, fjall::Error::Poisoned) {
        "; a table could not be written in the background: the lines before tell why"
    } else if is_damage(source) {
        "; a file of it is damaged or missing: restore the data directory from a snapshot, or replace this member"
    } else {
        ""
    }
}
