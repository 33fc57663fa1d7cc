//! Jobs that look at the state and propose: ending leases, compacting history, raising the alarm
//! about space, watching the disks, comparing members, passing revocation lists on, publishing what the
//! member is. All but the last run only while this member leads or concern this member alone; none of
//! them touches the state itself.

mod alarm;
mod compaction;
mod corruption;
mod deadlines;
pub mod disk;
mod lessor;
mod metrics;
pub mod publish;
mod quota;
mod revocations;

pub use compaction::AutoCompaction;
pub use corruption::{CheckService, Comparing, ComparisonParts, Differs};
pub use lessor::{LeaseService, Lessor, LessorError, LessorParts, TimeLeft, min_lease_ttl};
#[cfg(test)]
mod tests;

pub use disk::{DiskParts, DiskWatch};
pub use quota::{QuotaParts, QuotaWatch};
pub use revocations::{ListService, Passing, PassingParts};
