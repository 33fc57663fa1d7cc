//! A handshake for its own sake: what a server shows and what it makes of us, whether it can be
//! trusted or not. Beside it, the checks of a chain that a handshake would make, one by one.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, verify_server_cert_signed_by_trust_anchor};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as RustlsError, SignatureScheme,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::TlsError;
use super::verify::{AnyServer, signatures_left_to};
use super::{provider, roots};
use crate::config::TlsLimits;
use crate::transport::Material;

/// What an HTTP/2 client says first: the preface and empty settings (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What came of a handshake.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The certificates the server showed, in DER, its own first; also when the handshake failed
    /// later.
    pub chain: Vec<Vec<u8>>,
    /// `TLS 1.3` or `TLS 1.2`.
    pub version: Option<&'static str>,
    /// The cipher suite by its registered name.
    pub suite: Option<String>,
    /// The protocol agreed on inside, such as `h2`.
    pub inside: Option<String>,
    /// Whether the server asked for our certificate.
    pub asks_for_certificate: bool,
    /// Why there was no handshake, or why the server ended the connection right after it.
    pub fault: Option<HandshakeFault>,
}

/// Why a handshake came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// The answer was no TLS.
    Plaintext,
    /// The other side went away without a word.
    Closed,
    /// There was no answer in time.
    Silent,
    /// The other side refuses our certificate, or that there is none; its word for it.
    Certificate(String),
    /// There is no protocol version or suite both sides speak; its word for it.
    Incompatible(String),
    /// We refuse the server's certificate.
    Untrusted(Distrust),
    /// Anything else.
    Other(String),
}

/// Why a server's certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It leads to nobody who is trusted.
    UnknownIssuer,
    /// It is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is for other names, which are these.
    Name(Vec<String>),
    /// It was taken back.
    Revoked,
    /// Anything else, in the library's words.
    Other(String),
}

/// Makes a handshake on `stream`, asking for `name`, and shows the certificate of `material`, if it
/// has one. The server is believed whatever it shows: this is for looking at it.
pub async fn probe(
    stream: TcpStream,
    name: ServerName<'static>,
    material: Option<&Material>,
    patience: Duration,
) -> Result<Seen, TlsError> {
    let noted = Arc::new(Mutex::new(Seen::default()));
    let config = looking(&noted, material)?;
    let handshake = shake(TlsConnector::from(Arc::new(config)), name, stream, &noted);
    let ended = tokio::time::timeout(patience, handshake).await;
    let mut seen = noted.lock().clone();
    seen.fault = match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(explain(&error)),
        Err(_) => Some(HandshakeFault::Silent),
    };
    Ok(seen)
}

fn looking(
    noted: &Arc<Mutex<Seen>>,
    material: Option<&Material>,
) -> Result<ClientConfig, TlsError> {
    let limits = TlsLimits::default();
    let provider = provider::choose(&limits);
    let any = AnyServer(Arc::clone(&provider));
    let onlooker = Onlooker { any, noted: Arc::clone(noted) };
    let key = material.and_then(Material::shown);
    let shows = Shows { key, noted: Arc::clone(noted) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&provider::versions(&limits)?)
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(onlooker))
        .with_client_cert_resolver(Arc::new(shows));
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn shake(
    connector: TlsConnector,
    name: ServerName<'static>,
    stream: TcpStream,
    noted: &Mutex<Seen>,
) -> io::Result<()> {
    let mut stream = connector.connect(name, stream).await?;
    let http2 = {
        let (_, connection) = stream.get_ref();
        let mut seen = noted.lock();
        seen.version = connection.protocol_version().map(|version| match version {
            rustls::ProtocolVersion::TLSv1_2 => "TLS 1.2",
            _ => "TLS 1.3",
        });
        let suite = connection.negotiated_cipher_suite().map(|suite| provider::go_name(&suite));
        seen.suite = suite;
        let inside = connection.alpn_protocol();
        seen.inside = inside.map(|inside| String::from_utf8_lossy(inside).into_owned());
        inside == Some(b"h2")
    };
    if http2 {
        // With TLS 1.3 the handshake is over before the server has looked at our certificate. Its
        // first byte afterwards says that it took it.
        stream.write_all(PREFACE).await?;
        stream.flush().await?;
        if stream.read(&mut [0]).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    // Politeness only: what was to be seen was seen.
    let _ = stream.shutdown().await;
    Ok(())
}

pub(super) fn explain(error: &io::Error) -> HandshakeFault {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()) else {
        let closed = [
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::BrokenPipe,
        ];
        return if closed.contains(&error.kind()) {
            HandshakeFault::Closed
        } else {
            HandshakeFault::Other(error.to_string())
        };
    };
    match cause {
        RustlsError::InvalidMessage(_) => HandshakeFault::Plaintext,
        RustlsError::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => HandshakeFault::Certificate(format!("{alert:?}")),
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity => {
                HandshakeFault::Incompatible(format!("{alert:?}"))
            }
            other => HandshakeFault::Other(format!("the server's alert was {other:?}")),
        },
        RustlsError::PeerIncompatible(why) => HandshakeFault::Incompatible(format!("{why:?}")),
        RustlsError::InvalidCertificate(fault) => HandshakeFault::Untrusted(distrust(fault)),
        other => HandshakeFault::Other(other.to_string()),
    }
}

fn distrust(fault: &CertificateError) -> Distrust {
    match fault {
        // An authority that was made anew has its name and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::UnknownIssuer,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Distrust::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Distrust::NotYetValid
        }
        CertificateError::NotValidForName => Distrust::Name(Vec::new()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            // The library wraps each in its kind, such as `DnsName("…")`.
            let bare = |name: &String| {
                let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner);
                inner.trim_end_matches(')').trim_matches('"').to_owned()
            };
            Distrust::Name(presented.iter().map(bare).collect())
        }
        CertificateError::Revoked => Distrust::Revoked,
        other => Distrust::Other(other.to_string()),
    }
}

/// Whether a server answers a request in plaintext, within `patience`.
pub async fn speaks_plaintext(mut stream: TcpStream, patience: Duration) -> bool {
    let ask = async {
        stream.write_all(b"GET /version HTTP/1.0\r\n\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        // A TLS server's answer to plaintext is plaintext too, and refuses.
        let mut line = [0; 7];
        stream.read_exact(&mut line).await?;
        io::Result::Ok(&answer == b"HTTP/" && !line.ends_with(b" 400"))
    };
    matches!(tokio::time::timeout(patience, ask).await, Ok(Ok(true)))
}

/// Why a chain is not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// It leads to nobody in the file.
    UnknownIssuer,
    /// One of its certificates is not valid at that moment.
    Dates,
    /// It is not for this purpose.
    Purpose,
    /// Anything else; of the file, or in the library's words.
    Other(String),
}

/// Whether a chain leads to an authority in `ca_file` at `now`, Unix seconds, and is good for
/// serving (or, if `client`, for connecting). The name is not looked at.
///
/// # Errors
/// What is wrong with it, or with the file of authorities.
pub fn verify_chain(
    chain: &[Vec<u8>],
    ca_file: &Path,
    client: bool,
    now: i64,
) -> Result<(), ChainFault> {
    let other = |text: String| ChainFault::Other(text);
    let roots = roots::from_file(ca_file).map_err(|error| other(error.to_string()))?;
    let provider = provider::choose(&TlsLimits::default());
    let mut chain = chain.iter().map(|der| CertificateDer::from(der.as_slice()));
    let leaf = chain.next().ok_or_else(|| other("no certificate was shown".to_owned()))?;
    let others: Vec<CertificateDer<'_>> = chain.collect();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.max(0).cast_unsigned()));
    if client {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
        let verifier = verifier.map_err(|error| other(error.to_string()))?;
        return verifier.verify_client_cert(&leaf, &others, now).map(|_| ()).map_err(sort);
    }
    let parsed = ParsedCertificate::try_from(&leaf).map_err(sort)?;
    let algorithms = provider.signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &others, now, algorithms)
        .map_err(sort)
}

fn sort(error: RustlsError) -> ChainFault {
    match error {
        RustlsError::InvalidCertificate(fault) => match fault {
            CertificateError::UnknownIssuer => ChainFault::UnknownIssuer,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => ChainFault::Dates,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                ChainFault::Purpose
            }
            fault => ChainFault::Other(fault.to_string()),
        },
        error => ChainFault::Other(error.to_string()),
    }
}

/// Believes everybody and writes down what was shown.
#[derive(Debug)]
struct Onlooker {
    any: AnyServer,
    noted: Arc<Mutex<Seen>>,
}

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        let chain = std::iter::once(leaf).chain(others).map(|der| der.to_vec()).collect();
        self.noted.lock().chain = chain;
        Ok(ServerCertVerified::assertion())
    }

    signatures_left_to!(any);
}

/// Shows a certificate, if there is one, and writes down that it was asked for.
#[derive(Debug)]
struct Shows {
    key: Option<Arc<CertifiedKey>>,
    noted: Arc<Mutex<Seen>>,
}

impl ResolvesClientCert for Shows {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.noted.lock().asks_for_certificate = true;
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}
