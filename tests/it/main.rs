//! The behavioural suite: real processes, real sockets, real certificates. Scenarios under `compat`
//! are played on real etcd as well, when `ETCD_REFERENCE_DIR` names a folder that holds it.

mod compat;
mod ctl;
mod durability;
mod support;
mod systemd;
mod tls;
mod transport;
mod tutorial;
