//! Logs and metrics.
//!
//! [`logging`] writes etcd's log layouts, [`metrics`] keeps one registry per node. Rooms log through
//! the macros of `tracing` and register their own metrics; nothing here knows what they mean.
//! [`mod@panic`] gives a crash its last words, [`profile`] tells where the processor time goes,
//! [`quiet`] keeps strangers from filling the log.

pub mod logging;
pub mod metrics;
pub mod panic;
pub mod profile;
pub mod quiet;
