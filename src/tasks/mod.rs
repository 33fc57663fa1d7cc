//! Supervised tasks and the order they stop in.
//!
//! Every task and thread of the daemon is started by a [`Supervisor`]: it has a name, belongs to a
//! [`Stage`], is told to stop through a [`Stop`], and is named in the log when it overruns the
//! deadline of its stage. A panic or a storage fault in any of them is a fault of the whole process.
//! [`Signals`] turns the signals of the operating system into values.

mod signals;
mod stop;
mod supervisor;

pub use signals::{Signal, Signals};
pub use stop::Stop;
pub use supervisor::{Stage, Supervisor};
