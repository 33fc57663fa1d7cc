//! Words everyone shares: ids, revisions, hex, host names, key ranges, URLs, versions, clocks. No I/O.

pub mod clock;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod hex;
pub mod hosts;
pub mod ids;
pub mod range;
pub mod revision;
pub mod url;
pub mod version;
