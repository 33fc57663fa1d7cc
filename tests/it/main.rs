//! The behavioural suite: real processes, real sockets, real certificates. Scenarios under `compat`
//! are played on real etcd as well, when `ETCD_REFERENCE_DIR` names a folder that holds it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; helpers outside of #[test] functions are part of the tests"
)]

mod alerts;
mod auth;
mod cert;
mod cluster;
mod compat;
mod config;
mod ctl;
mod ctl_connect;
mod ctl_discovery;
mod ctl_tools;
mod differential;
mod durability;
mod first_start;
mod hardening;
mod hostile;
mod pings;
mod service;
mod support;
mod systemd;
mod tls;
mod transport;
mod tutorial;
mod unit;
mod unwell;
mod upkeep;
