//! Members among themselves: ways to the others, what is said on them, and who may say it.

mod counted;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod guard;
mod link;
mod metrics;
mod network;
mod probe;
mod receive;
mod removal;
mod send;
mod service;
mod wire;

pub(crate) use link::Links;
pub use link::{PeerChannel, PeerIdentity};
pub(crate) use metrics::PeerMetrics;
pub(crate) use network::Network;
pub use removal::Removal;
pub(crate) use service::Host;
pub use service::PeerService;
