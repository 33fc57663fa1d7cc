//! A whole cluster in one thread, in a time of its own: the same consensus, log and state as always, on
//! disks that lose what was not synced and a network that delays, holds back and breaks.
//!
//! One seed decides everything. It runs in a process of its own, under a library that answers what
//! would differ between two runs (`shim.c`), so that a seed that failed fails again, event by event.
//!
//! | file | idea |
//! |---|---|
//! | `shim.c`, `child.rs` | chance and time of the process; starting it |
//! | `world.rs` | chance, the record of what happened, the first failure |
//! | `disk.rs`, `state_folder.rs` | what a crash leaves of log and state |
//! | `network.rs` | connections |
//! | `member.rs` | one member: start, work, death |
//! | `client.rs` | what clients do and are told |
//! | `faults.rs` | what goes wrong |
//! | `replacement.rs` | members that leave and others that come in their places |
//! | `exchange.rs` | members that take the place of others in one step |
//! | `run.rs`, `check.rs` | one seed, and what must be true of it |

#[path = "../../../tests/it/cluster/linearizability/checker.rs"]
mod checker;
#[path = "../../../tests/it/cluster/linearizability/operation.rs"]
mod operation;

mod check;
mod child;
mod client;
mod disk;
mod durable;
mod exchange;
mod faults;
mod member;
mod network;
mod replacement;
mod run;
mod state_folder;
mod terms;
mod tests;
mod world;

pub(super) use durable::is_durable;
pub(crate) use network::Road;
use terms::Terms;

use std::sync::atomic::{AtomicBool, Ordering};

static RUNS: AtomicBool = AtomicBool::new(false);

/// Whether this process runs a simulation: nothing may then wait for another thread.
pub(super) fn runs() -> bool {
    RUNS.load(Ordering::Relaxed)
}

/// Whether an entry is sent to the apply thread, quick or not: so both ways are played.
pub(super) fn sends_to_thread(index: u64) -> bool {
    runs() && index % 8 < 4
}
