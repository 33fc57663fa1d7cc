//! How a machine gets its certificates from the one that has the authorities.
//!
//! The [`Issuer`] is a process of its own beside that directory, so that no key of an authority is
//! ever in a process that serves clients. Whoever asks knows it by the pin of its root, from a
//! [`Token`] a person carried over or from a file left by that token ([`Known`]); a token allows a
//! certificate once, and a certificate allows its own renewal.

mod asker;
mod attempts;
mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod issuer;
mod known;
mod members;
mod own;
mod records;
mod renewal;
mod reports;
mod service;
mod sign;
mod token;

pub use asker::{AskError, Asker, Enrolled, Trust, Wanted};
pub use follow::{Following, take_trust};
pub use issuer::{Issuer, IssuerError, Parts};
pub use known::Known;
pub use members::{Cluster, NotYet};
pub use own::ensure_own;
pub use records::{Membership, Record, Role, Tokens};
pub use renewal::{is_of_other, renew_pair};
pub use reports::{Report, Reports};
pub use token::{Token, TokenError};

/// The name an issuer's certificate carries, and nobody else's: a joining machine asks for it, so
/// that a member cannot pass for the issuer with its own certificate of the same root. RFC 2606 keeps
/// such names from ever being anybody's address.
pub const ISSUER_NAME: &str = "issuer.etcd.invalid";

/// Where an issuer listens if nothing else is said.
pub const PORT: u16 = 2382;

/// Largest message either side takes, in bytes: a few certificates and revocation lists.
const MOST_BYTES: usize = 4 << 20;
/// Largest request the issuer takes: it holds two requests for certificates at most.
const MOST_REQUEST_BYTES: usize = 64 << 10;

/// What a renewal signs, beside the purpose, so that no other signature of the key fits: the
/// certificate there is, and the request for the new one.
fn renewal_text(certificate: &[u8], request: &str) -> Vec<u8> {
    signed_text(b"etcd certificate renewal 1\0", &[certificate, request.as_bytes()])
}

/// What a report signs: who goes by which generation, and what it shows.
fn report_text(member: u64, generation: u64, certificates: &[&[u8]]) -> Vec<u8> {
    let (member, generation) = (member.to_be_bytes(), generation.to_be_bytes());
    let parts = [&[&member[..], &generation[..]], certificates].concat();
    signed_text(b"etcd trust report 1\0", &parts)
}

fn signed_text(purpose: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut text = purpose.to_vec();
    for part in parts {
        text.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        text.extend(*part);
    }
    text
}
