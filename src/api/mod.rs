//! The gRPC and HTTP faces: decode, check, ask, answer. No rules of its own.
//!
//! A gRPC request passes [`grpc::Grpc`] (metadata, limits, counters), a function of its service
//! module (check, ask the rooms below), [`header`] and [`status`], which alone know what etcd's
//! headers and errors look like. [`service`] puts both faces behind one port.

pub mod backend;
mod budget;
pub mod check;
mod facts;
pub mod grpc;
pub mod header;
pub mod http;
pub mod method;
mod metrics;
pub mod peer;
pub mod service;
pub mod status;

pub use backend::{Backend, Health, Limits};
pub use service::Service;
