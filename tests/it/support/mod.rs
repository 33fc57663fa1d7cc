//! What every test stands on: child processes that never outlive it, clusters of them, facts to wait
//! for, a place to find real etcd.

pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod http;
pub(crate) mod manager;
pub(crate) mod own_network;
pub(crate) mod pki;
pub(crate) mod preload;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod reference;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod terminal;
pub(crate) mod wait;
