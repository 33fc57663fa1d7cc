//! Leases as every member knows them: times to live and attached keys. Deadlines are not here, they
//! belong to the leader alone.

mod table;

pub use table::{Lease, LeaseEvent, Leases};

/// The longest time to live a client may ask for, in seconds.
pub const MAX_TTL: i64 = 9_000_000_000;
