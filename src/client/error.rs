//! Why there is no client.

use crate::transport::TlsError;
use crate::types::url::UrlError;

/// Why a client could not be made or connected.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is nobody to talk to.
    #[error("no endpoints given: name at least one, such as 127.0.0.1:2379")]
    NoEndpoints,
    /// An endpoint that cannot be read.
    #[error("endpoint {text:?}: {source}")]
    Endpoint {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: UrlError,
    },
    /// The TLS files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No endpoint answered in time; every failure is named.
    #[error("no endpoint answered: {0}")]
    Dial(String),
    /// The server refused the user.
    #[error("{}", .0.message())]
    Authenticate(Box<tonic::Status>),
}
