//! The service manager's notify protocol.
