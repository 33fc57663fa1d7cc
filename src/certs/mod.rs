//! Making certificates and keeping them on disk: authorities, leaves, requests, revocation lists,
//! the directory that holds them all, and the self-signed pair behind `--auto-tls`. Nothing here
//! opens sockets or reads configuration.

mod authority;
mod auto;
mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod issue;
mod key;
mod names;
mod pki;
mod request;
mod revocation;
mod store;

pub use authority::Authority;
pub use auto::{Pair, ensure_self_signed};
pub use facts::Facts;
pub use issue::{Issued, Leaf, Purpose, Validity};
pub use key::{Key, Secret};
pub use names::{full_name, host_name, own_names};
pub use pki::{
    Action, Files, INSECURE, Layout, Lives, Phase, Pki, Side, Step, Trusted, check_name, make_dir,
    sibling,
};
pub use request::Request;
pub use revocation::{RevocationList, Revoked};
pub use store::{New, Owner, read, write_all, write_certificate, write_key};

use std::path::PathBuf;

/// Why a certificate could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// The generator refuses, for example a host name it cannot encode.
    #[error("cannot make a certificate for {subject:?}: {source}")]
    Generate {
        /// Whom it was for.
        subject: String,
        /// What the generator said.
        source: rcgen::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}; check that the directory exists and may be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; check the path and that this user may read it")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is read but does not hold what it should.
    #[error("{what}: {detail}")]
    Content {
        /// Which file, or where else it is from.
        what: String,
        /// What was found instead and what to do.
        detail: String,
    },
    /// A moment outside what certificates can express.
    #[error("cannot make a certificate for {subject:?}: validity is out of range")]
    Validity {
        /// Whom it was for.
        subject: String,
    },
    /// The file is there and was not to be replaced.
    #[error("{path} is there already and {detail}")]
    Exists {
        /// The file.
        path: PathBuf,
        /// Why it is in the way, and what to do.
        detail: String,
    },
    /// The authority's key is not here.
    #[error("{path} is not here, so nothing can be signed: {detail}")]
    NoAuthority {
        /// The file of the key or the certificate.
        path: PathBuf,
        /// What to do.
        detail: String,
    },
    /// The name is no file name or no common name.
    #[error("{name:?} cannot be the name of a certificate: {detail}")]
    Name {
        /// The name.
        name: String,
        /// The rule it breaks.
        detail: &'static str,
    },
}
