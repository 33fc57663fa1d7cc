//! The words of the log's interface.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

/// A place in the log: the index and the opaque, encoded log id that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPos {
    /// Position in the log.
    pub index: u64,
    /// Encoded log id, at most [`MAX_ID`] bytes.
    pub id: Bytes,
}

/// One log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Position in the log; entries are appended without gaps.
    pub index: u64,
    /// Encoded log id, at most [`MAX_ID`] bytes.
    pub id: Bytes,
    /// Contents, at most [`MAX_PAYLOAD`] bytes.
    pub payload: Bytes,
}

/// Longest encoded log id, in bytes.
pub const MAX_ID: usize = 255;
/// Longest vote or committed mark, in bytes.
pub const MAX_MARK: usize = 512;
/// Longest payload of one entry, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 30;

/// What one write and fdatasync did, for metrics.
#[derive(Clone, Copy, Debug)]
pub struct Synced {
    /// How long the write took.
    pub wrote: Duration,
    /// How long the fdatasync took; zero when fsync is switched off.
    pub took: Duration,
    /// Bytes written before it.
    pub bytes: u64,
}

/// Called on the sync thread after every fdatasync; must not block.
pub type Observer = Arc<dyn Fn(Synced) + Send + Sync>;

/// How to open the log.
#[derive(Clone)]
pub struct WalOptions {
    /// Size of a segment file in bytes; at least [`MIN_SEGMENT`].
    pub segment_bytes: u64,
    /// Memory for the newest entries, in bytes.
    pub cache_bytes: usize,
    /// Whether to fdatasync. Without, a power cut loses or damages acknowledged entries.
    pub fsync: bool,
    /// Refuse to create a log where there is none: the member has been started before.
    pub must_exist: bool,
    /// After so long without work a small unsynced frame confirms what is on disk, which lets a
    /// later open tell damage to the last batch from an unfinished write; `None` for never.
    pub confirm_after: Option<Duration>,
    /// Receives the figures of each fdatasync.
    pub observer: Option<Observer>,
}

/// Smallest segment size, in bytes.
pub const MIN_SEGMENT: u64 = 8 << 10;

impl Default for WalOptions {
    /// Segments of 64 MiB as etcd has them, 32 MiB of newest entries in memory: several times
    /// what followers that keep up are behind.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            cache_bytes: 32 << 20,
            fsync: true,
            must_exist: false,
            confirm_after: Some(Duration::from_millis(100)),
            observer: None,
        }
    }
}

/// What a log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The newest vote.
    pub vote: Option<Bytes>,
    /// A recent committed mark, not always the newest.
    pub committed: Option<Bytes>,
    /// The newest purged entry.
    pub purged: Option<LogPos>,
    /// Index of the oldest entry, or of the next one to append if there is none.
    pub first: u64,
    /// The newest entry; the purged one if the log is empty.
    pub last: Option<LogPos>,
    /// An unfinished write at the end that was never acknowledged and has been erased.
    pub torn: Option<Torn>,
}

/// Where an unfinished write was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment file.
    pub segment: PathBuf,
    /// Where the unfinished write begins, in bytes.
    pub offset: u64,
    /// How many bytes were erased.
    pub bytes: u64,
}

/// Which entries the log holds, including those not yet on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions {
    /// The newest purged entry.
    pub purged: Option<LogPos>,
    /// Index of the oldest entry, or of the next one to append if there is none.
    pub first: u64,
    /// The newest entry; the purged one if the log is empty.
    pub last: Option<LogPos>,
}
