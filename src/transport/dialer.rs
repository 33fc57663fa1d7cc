//! Outgoing connections: TCP or Unix socket, with or without TLS.

use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::credentials::Credentials;
use super::forward::forward_writes;
use super::identity::serials;
use super::probe::{HandshakeFault, PREFACE, explain};
use super::stream::{Duplex, Prefixed};
use crate::types::url::Url;

/// A frame's head, and the type in it that a server's first frame has (RFC 9113, sections 3.4 and 4.1).
const FRAME_HEAD: usize = 9;
const SETTINGS: u8 = 4;

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
    /// Somebody answers, and not in HTTP/2.
    #[error("dial {address}: no HTTP/2 server: {source}")]
    Greeting {
        /// Where to.
        address: String,
        /// What came instead.
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

impl DialError {
    /// Why there was no handshake; `None` if it did not come to one.
    pub fn handshake(&self) -> Option<HandshakeFault> {
        match self {
            Self::Handshake { source, .. } => Some(explain(source)),
            _ => None,
        }
    }
}

/// A two-way byte stream to somewhere.
pub type Connection = Box<dyn Duplex>;

/// Connects to `url`; encrypted when its scheme says so. There is no deadline here.
///
/// # Errors
/// If nobody answers, or the other end is not whom `tls` trusts.
pub async fn dial(url: &Url, tls: Option<&Arc<ClientConfig>>) -> Result<Connection, DialError> {
    dial_as(url, tls, None).await
}

/// As [`dial`], with another name than the URL's for the certificate to be valid for.
///
/// # Errors
/// If nobody answers, or the other end is not whom `tls` trusts.
pub async fn dial_as(
    url: &Url,
    tls: Option<&Arc<ClientConfig>>,
    name: Option<&str>,
) -> Result<Connection, DialError> {
    connect(url, tls, name).await.map(|(connection, _)| connection)
}

/// Makes sure that a server in plaintext answers, on a connection of its own: such a server says nothing
/// before it is asked, and what is sent to one that hangs it may still do later. With TLS the handshake
/// tells.
///
/// # Errors
/// If nobody answers, or not in HTTP/2.
pub async fn greet(url: &Url) -> Result<(), DialError> {
    let (mut connection, _) = connect(url, None, None).await?;
    let exchange = async {
        connection.write_all(PREFACE).await?;
        let mut head = [0; FRAME_HEAD];
        connection.read_exact(&mut head).await?;
        if head.get(3) == Some(&SETTINGS) {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::InvalidData))
        }
    };
    let address = url.authority.clone();
    exchange.await.map_err(|source| DialError::Greeting { address, source })
}

/// As [`dial`], with the credentials of this moment; the connection breaks when a certificate the other
/// end showed is revoked.
///
/// # Errors
/// If nobody answers, or the other end is not whom the credentials trust.
pub async fn dial_with(url: &Url, held: Option<&Credentials>) -> Result<Connection, DialError> {
    let Some(held) = held else { return dial(url, None).await };
    held.refresh();
    let (connection, serials) = connect(url, held.live().client.as_ref(), None).await?;
    if serials.is_empty() {
        return Ok(connection);
    }
    let held = held.clone();
    let revoked = async move { held.until_revoked(&serials).await };
    Ok(Box::new(Breakable { inner: connection, revoked: Box::pin(revoked) }))
}

/// Connects, and tells the serial numbers of the certificates the other end showed.
async fn connect(
    url: &Url,
    tls: Option<&Arc<ClientConfig>>,
    name: Option<&str>,
) -> Result<(Connection, Vec<Vec<u8>>), DialError> {
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
        return Ok((socket, Vec::new()));
    }
    let Some(config) = tls else { return Err(DialError::NoTls { address }) };
    // A Unix socket has no host name; Go verifies against `localhost` there too.
    let host = name.unwrap_or(if url.scheme.is_unix() { "localhost" } else { url.host() });
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| DialError::Name { address: address.clone() })?;
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, socket);
    let refused = |source| DialError::Handshake { address: address.clone(), source };
    let stream = handshake.await.map_err(refused)?;
    let serials = stream.get_ref().1.peer_certificates().map(serials).unwrap_or_default();
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Ok((Box::new(stream), serials));
    }
    // With TLS 1.3 the handshake is over before the server has looked at our certificate; its first
    // byte, of the settings every HTTP/2 server begins with, says that it took it.
    let greeted = Prefixed::sniff(stream, 1, |_| false).await.map_err(refused)?;
    if greeted.first_bytes().is_empty() {
        return Err(refused(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok((Box::new(greeted), serials))
}

/// A stream that breaks when a certificate its other end showed is revoked.
struct Breakable {
    inner: Connection,
    /// Ends with the serial number.
    revoked: Pin<Box<dyn Future<Output = String> + Send>>,
}

impl AsyncRead for Breakable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever holds a connection reads it all the time, so this is where it is noticed.
        if let Poll::Ready(serial) = self.revoked.as_mut().poll(context) {
            // Asked again, it must not be polled any more.
            self.revoked = Box::pin(ready(serial.clone()));
            let text = format!("certificate serial {serial} revoked");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, text)));
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Breakable {
    forward_writes!();
}
