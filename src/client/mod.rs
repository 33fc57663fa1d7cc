//! A small gRPC client for the tools and the tests: endpoints with fail-over, TLS, metadata.
//!
//! One HTTP/2 connection at a time serves all calls; when it breaks, the next endpoint that answers
//! takes over. Nothing is retried here except the dialling: only the caller knows what may be sent
//! twice.

mod channel;
mod endpoint;
mod error;

pub use channel::{Client, Options, Transport};
pub use endpoint::{Endpoint, parse_endpoints};
pub use error::ClientError;
