//! The keyspaces of the state database and their tuning.

use fjall::KeyspaceCreateOptions;
use fjall::config::BlockSizePolicy;

use crate::failpoint::scaled;

/// Part of the state database with its own key order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Revision records of the key-value store.
    Records,
    /// Leases.
    Leases,
    /// Applied log id, revision, compaction marks and the like.
    Meta,
    /// Cluster members, present and removed.
    Members,
    /// Active alarms.
    Alarms,
    /// Users and roles.
    Auth,
}

/// Records arrive in key order and are large; a big buffer means few, non-overlapping tables. Writing
/// one out holds up the log's sync, twice as big twice as long; half as big costs a load of millions
/// of keys a fifth more processor time.
const RECORDS_MEMTABLE: u64 = 32 << 20;
/// Bytes of a block of records, which are read in rows: in blocks of 4 KiB, fjall's default, a range
/// looks up four times as many. A database keeps what it was made with.
const RECORDS_BLOCK: u32 = 16 << 10;
/// Everything else is small; a small buffer lets old journals go early.
const OTHER_MEMTABLE: u64 = 8 << 20;

impl Space {
    /// Every keyspace, in a fixed order.
    pub const ALL: [Self; 6] =
        [Self::Records, Self::Leases, Self::Meta, Self::Members, Self::Alarms, Self::Auth];

    /// The name on disk; changing one is a format change.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Leases => "leases",
            Self::Meta => "meta",
            Self::Members => "members",
            Self::Alarms => "alarms",
            Self::Auth => "auth",
        }
    }

    /// Position in [`Self::ALL`].
    pub(crate) const fn slot(self) -> usize {
        match self {
            Self::Records => 0,
            Self::Leases => 1,
            Self::Meta => 2,
            Self::Members => 3,
            Self::Alarms => 4,
            Self::Auth => 5,
        }
    }

    /// The space at a position of [`Self::ALL`], if there is one.
    pub(crate) fn from_slot(slot: u8) -> Option<Self> {
        Self::ALL.get(usize::from(slot)).copied()
    }

    /// Bytes after which a memory buffer is written out.
    pub(crate) fn buffer_bytes(self) -> u64 {
        scaled(if self == Self::Records { RECORDS_MEMTABLE } else { OTHER_MEMTABLE })
    }

    pub(crate) fn tuning(self) -> KeyspaceCreateOptions {
        let options = KeyspaceCreateOptions::default().max_memtable_size(self.buffer_bytes());
        match self {
            // The key index never asks for a record that does not exist, so filters on the
            // last level would be memory without use.
            Self::Records => options
                .data_block_size_policy(BlockSizePolicy::all(RECORDS_BLOCK))
                .expect_point_read_hits(true),
            _ => options,
        }
    }
}
