//! Everything about sockets and TLS: material and its live renewal, listeners, handshakes with a
//! deadline, HTTP/1.1 and HTTP/2 on one port, the identity of the peer.
//!
//! Nothing here knows what is served: a service goes in, requests with an [`Identity`] come out.

mod credentials;
mod dialer;
mod ends;
mod error;
mod expiry;
mod forward;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gather;
mod handshake;
mod identity;
mod inherited;
mod limits;
mod listener;
mod material;
mod memory;
mod metrics;
mod pem;
mod pings;
mod pinned;
mod probe;
mod provider;
mod revocations;
mod roots;
mod serve;
mod source;
mod stream;
mod together;
mod verify;

pub use credentials::{Credentials, Live};
pub use dialer::{Connection, DialError, dial, dial_as, dial_with, greet};
pub use error::{BindError, TlsError};
pub use expiry::Expiry;
pub(crate) use forward::forward_ends;
pub use gather::{Gathered, Outbox, gather};
pub use identity::{Identity, PeerCertificate};
pub use inherited::Inherited;
pub use limits::Limits;
pub use listener::{BindOptions, Bound, bind, bind_all, bind_or_take};
pub use material::Material;
pub use memory::{Account, Charge, Full, Memory, MemoryLimits};
pub use metrics::Metrics;
pub use pinned::{Pin, pinned};
pub use probe::{
    ChainFault, Distrust, HandshakeFault, Seen, probe, speaks_plaintext, verify_chain,
};
pub use provider::{Sha256, random, sha256, signed_by};
pub use revocations::{ListRefused, MAX_LIST_BYTES, RevocationList, Signed};
pub use serve::{Serving, serve};
pub use stream::Duplex;
