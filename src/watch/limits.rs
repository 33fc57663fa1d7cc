//! How much watchers may take, and why each bound is where it is.

/// Watchers on one stream. Busy operators hold some thousands; etcd has no bound, which lets one
/// client exhaust the server.
pub const WATCHERS_PER_STREAM: usize = 65_536;

/// What a watcher takes beside the keys of its range: its rows in the tables of the hub. Whoever owns
/// the stream charges this to the connection, which bounds the watchers of a client and of all.
pub const WATCHER_BYTES: usize = 512;

/// Bytes of keys and range ends held for the watchers of one stream. Keys may be as long as a
/// request, so a count alone bounds nothing.
pub const RANGE_BYTES_PER_STREAM: usize = 32 << 20;

/// Responses waiting on one stream before its watchers fall behind. What they weigh is bounded by
/// bytes; this bounds their number, and is large enough that a stream with thousands of watchers
/// need not catch up in thousands of rounds.
pub const QUEUED_RESPONSES: usize = 1_024;

/// Bytes of events waiting on one stream before its watchers fall behind. One response may be
/// larger: an empty queue takes any.
pub const QUEUED_BYTES: usize = 4 << 20;

/// Bytes of events waiting on all streams together. Above it only empty queues take a response, so
/// that slow readers cannot add up to the memory of the machine.
pub const QUEUED_BYTES_IN_ALL: usize = 256 << 20;

/// Watchers served by one catch-up round: they share one read of history.
pub const COHORT: usize = 512;

/// Revisions looked at in one catch-up round from memory, under the lock of the table.
pub const WINDOW: usize = 2_048;

/// Revisions in one catch-up response, as in etcd.
pub const REPLAYED_REVISIONS: usize = 1_000;

/// Bytes of events read from history in one round. At least one revision is always read.
pub const REPLAYED_BYTES: usize = 2 << 20;
