//! Making certificates and keeping them on disk: an authority, leaves, revocation lists, and the
//! self-signed pair behind `--auto-tls`. Nothing here opens sockets or reads configuration.

mod authority;
mod auto;
mod issue;
mod store;

pub use authority::Authority;
pub use auto::{Pair, ensure_self_signed};
pub use issue::{Issued, Leaf, Purpose, Secret, Validity};
pub use store::{write_certificate, write_key};

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
    /// A moment outside what certificates can express.
    #[error("cannot make a certificate for {subject:?}: validity is out of range")]
    Validity {
        /// Whom it was for.
        subject: String,
    },
}
