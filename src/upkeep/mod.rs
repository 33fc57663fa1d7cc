//! Jobs that look at the state and propose: ending leases, compacting history, raising the alarm
//! about space, publishing what the member is. All but the last run only while this member leads
//! or concern this member alone; none of them touches the state itself.

mod compaction;
mod deadlines;
mod lessor;
mod metrics;
pub mod publish;
mod quota;

pub use compaction::AutoCompaction;
pub use lessor::{Lessor, LessorError, LessorParts, TimeLeft, min_lease_ttl};
#[cfg(test)]
mod tests;

pub use quota::{LowSpace, QuotaParts, QuotaWatch};
