//! A small gRPC client for the tools and the tests: endpoints with fail-over, TLS, metadata.
//!
//! One HTTP/2 connection at a time serves all calls of a client. It begins with any of the endpoints, so
//! that clients spread over all of them, and goes to the first that answers; when it breaks, another
//! takes over. Nothing is retried here except the dialling: only the caller knows what may be sent
//! twice.

mod channel;
mod dialer;
mod dns;
mod endpoint;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod message;

pub use channel::{Client, Options, Transport};
pub use dialer::Failed;
pub use dns::Resolver;
pub use endpoint::{Endpoint, parse_endpoints};
pub use error::ClientError;
pub use message::Service;
