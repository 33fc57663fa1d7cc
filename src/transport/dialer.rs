//! Outgoing connections: TCP or Unix socket, with or without TLS.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::stream::{Duplex, Prefixed};
use crate::types::url::Url;

/// Why a connection could not be made; the text names the address and the step.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody answers there.
    #[error("dial {network} {address}: connect: {source}")]
    Connect {
        /// `tcp` or `unix`.
        network: &'static str,
        /// Where to.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Somebody answers, and TLS does not come about.
    #[error("dial {address}: authentication handshake failed: {source}")]
    Handshake {
        /// Where to.
        address: String,
        /// What the TLS library said.
        source: io::Error,
    },
    /// The host is nothing a certificate could be valid for.
    #[error(
        "dial {address}: the host is neither a DNS name nor an address, so TLS cannot verify it"
    )]
    Name {
        /// Where to.
        address: String,
    },
    /// TLS is asked for without anything to trust.
    #[error("dial {address}: the URL asks for TLS and no TLS configuration is there")]
    NoTls {
        /// Where to.
        address: String,
    },
}

/// A two-way byte stream to somewhere.
pub type Connection = Box<dyn Duplex>;

/// Connects to `url`; encrypted when its scheme says so. There is no deadline here.
///
/// # Errors
/// If nobody answers, or the other end is not whom `tls` trusts.
pub async fn dial(url: &Url, tls: Option<&Arc<ClientConfig>>) -> Result<Connection, DialError> {
    let address = url.authority.clone();
    let socket: Box<dyn Duplex> = if url.scheme.is_unix() {
        let fault =
            |source| DialError::Connect { network: "unix", address: address.clone(), source };
        Box::new(UnixStream::connect(&address).await.map_err(fault)?)
    } else {
        let fault =
            |source| DialError::Connect { network: "tcp", address: address.clone(), source };
        let stream = TcpStream::connect(&address).await.map_err(fault)?;
        stream.set_nodelay(true).map_err(fault)?;
        Box::new(stream)
    };
    if !url.scheme.is_tls() {
        return Ok(socket);
    }
    let Some(config) = tls else { return Err(DialError::NoTls { address }) };
    // A Unix socket has no host name; Go verifies against `localhost` there too.
    let host = if url.scheme.is_unix() { "localhost" } else { url.host() };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| DialError::Name { address: address.clone() })?;
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, socket);
    let refused = |source| DialError::Handshake { address: address.clone(), source };
    let stream = handshake.await.map_err(refused)?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Ok(Box::new(stream));
    }
    // With TLS 1.3 the handshake is over before the server has looked at our certificate; its first
    // byte, of the settings every HTTP/2 server begins with, says that it took it.
    let greeted = Prefixed::sniff(stream, 1, |_| false).await.map_err(refused)?;
    if greeted.first_bytes().is_empty() {
        return Err(refused(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(Box::new(greeted))
}
