//! A drop-in etcd: the daemon `etcd`, the tools `etcdctl` and `etcdutl`.
//!
//! The house, from top to bottom; imports only go down (`tests/layers.rs` keeps it so):
//!
//! | floor | rooms |
//! |---|---|
//! | 9 | `bin/`: the three programs; `fuzzing`: every decoder, for tests alone |
//! | 8 | [`server`] composition root of the daemon; [`cli`] command-line tools |
//! | 7 | [`api`] gRPC and HTTP faces: decode, check, ask, answer |
//! | 6 | [`bootstrap`] how a node begins; [`upkeep`] jobs that look at state and propose; [`enrol`] how a machine gets its certificates |
//! | 5 | [`consensus`] the only room that says openraft |
//! | 4 | [`watch`] reads history and fans it out; [`client`] small gRPC client |
//! | 3 | [`state`] the replicated state machine |
//! | 2 | [`transport`] sockets and TLS; [`storage`] bytes on disk; [`certs`] certificates; [`tokens`] passwords and tokens |
//! | 1 | [`config`], [`tasks`], [`systemd`], [`telemetry`], [`files`] that are followed, [`failpoint`] where tests let a process die |
//! | 0 | [`types`], [`proto`] |
//!
//! The road of a Put: [`transport`] accepts and decrypts, [`api`] checks, [`consensus`] batches it
//! into a Raft entry and makes the entry durable, [`state`] applies it, [`api`] answers; [`watch`]
//! wakes on the new revision and tells whoever waits for it.

pub mod api;
pub mod bootstrap;
pub mod certs;
pub mod cli;
pub mod client;
pub mod config;
pub mod consensus;
pub mod enrol;
pub mod failpoint;
pub mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod proto;
pub mod server;
pub mod state;
pub mod storage;
pub mod systemd;
pub mod tasks;
pub mod telemetry;
pub mod tokens;
pub mod transport;
pub mod types;
pub mod upkeep;
pub mod watch;
