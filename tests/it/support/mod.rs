//! What every test stands on: child processes that never outlive it, facts to wait for, a place to
//! find real etcd.

pub(crate) mod http;
pub(crate) mod pki;
pub(crate) mod process;
pub(crate) mod reference;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod wait;
