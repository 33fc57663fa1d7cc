//! The service manager's notify protocol.

mod notify;

pub use notify::Notifier;
