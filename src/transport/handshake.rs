//! From an accepted socket to a stream that speaks HTTP: looks at the first bytes, encrypts,
//! identifies the peer, and says what went wrong otherwise.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error as RustlsError, PeerIncompatible};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::credentials::Credentials;
use super::identity::{Identity, PeerCertificate, serials};
use super::stream::{Prefixed, Stream};
use super::{source, verify};

/// First byte of every TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;
/// HTTP/2 begins with these; no HTTP/1 method does.
const HTTP2: &[u8] = b"PRI ";
const ANSWER_TO_PLAINTEXT: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; \
    charset=utf-8\r\nConnection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.0 and 1.1.
    Http1,
    /// HTTP/2, and so gRPC.
    Http2,
}

/// A connection ready to be served.
pub(super) struct Ready {
    pub(super) stream: Prefixed<Stream>,
    pub(super) protocol: Protocol,
    pub(super) identity: Identity,
    /// Serial numbers of the certificates it showed.
    pub(super) serials: Vec<Vec<u8>>,
    /// Whether a TLS handshake was made.
    pub(super) encrypted: bool,
}

/// Why a connection came to nothing.
#[derive(Debug)]
pub(super) struct Rejected {
    /// One word of a fixed set, for metrics.
    pub(super) reason: &'static str,
    /// The whole story, for the log.
    pub(super) error: String,
    /// The name the client asked for.
    pub(super) server_name: String,
    /// The certificate it presented.
    pub(super) certificate: Option<Arc<PeerCertificate>>,
}

impl Rejected {
    pub(super) fn new(reason: &'static str, error: impl Into<String>) -> Self {
        Self { reason, error: error.into(), server_name: String::new(), certificate: None }
    }
}

/// What may be spoken on a socket.
#[derive(Clone)]
pub(super) struct Terms {
    /// Unencrypted connections are served.
    pub(super) plain: bool,
    /// Encrypted ones are, with these.
    pub(super) credentials: Option<Credentials>,
}

/// Greets a new connection within `patience`.
pub(super) async fn greet(
    stream: Stream,
    remote: Arc<str>,
    terms: &Terms,
    patience: Duration,
) -> Result<Ready, Rejected> {
    match tokio::time::timeout(patience, greet_unhurried(stream, remote, terms)).await {
        Ok(result) => result,
        Err(_) => Err(Rejected::new(
            "timeout",
            format!("no complete handshake or request line within {patience:?}"),
        )),
    }
}

/// Waits for a client that does not begin to speak; for ever if it does.
pub(super) async fn silent(patience: Duration, begun: oneshot::Receiver<()>) -> Rejected {
    match tokio::time::timeout(patience, begun).await {
        Ok(_) => pending().await,
        Err(_) => {
            Rejected::new("timeout", format!("no HTTP/2 within {patience:?} of the handshake"))
        }
    }
}

async fn greet_unhurried(
    stream: Stream,
    remote: Arc<str>,
    terms: &Terms,
) -> Result<Ready, Rejected> {
    let is_tls = |seen: &[u8]| seen.first() == Some(&TLS_HANDSHAKE);
    let stream = Prefixed::sniff(stream, HTTP2.len(), is_tls).await.map_err(|e| lost(&e))?;
    match &terms.credentials {
        _ if stream.first_bytes().is_empty() => Err(Rejected::new("closed", "EOF")),
        Some(credentials) if is_tls(stream.first_bytes()) => {
            encrypt(stream, remote, credentials).await
        }
        _ if !terms.plain => Err(refuse_plaintext(stream).await),
        None if is_tls(stream.first_bytes()) => Err(Rejected::new(
            "tls_on_plaintext",
            "client sent a TLS handshake to a plaintext listener; use http:// in the client's endpoint, \
             or give the listener an https:// URL and certificates",
        )),
        _ => {
            let protocol = by_first_bytes(&stream);
            let identity = Identity { certificate: None, remote, tls: false };
            Ok(Ready { stream, protocol, identity, serials: Vec::new(), encrypted: false })
        }
    }
}

fn by_first_bytes<S: tokio::io::AsyncRead + Unpin>(stream: &Prefixed<S>) -> Protocol {
    if stream.first_bytes().starts_with(HTTP2) { Protocol::Http2 } else { Protocol::Http1 }
}

async fn refuse_plaintext(mut stream: Prefixed<Stream>) -> Rejected {
    let http2 = by_first_bytes(&stream) == Protocol::Http2;
    if !http2 {
        // Best effort: the peer may be gone already, and is refused either way.
        let _ = stream.write_all(ANSWER_TO_PLAINTEXT).await;
        let _ = stream.shutdown().await;
    }
    Rejected::new(
        "plaintext",
        "tls: first record does not look like a TLS handshake: client speaks plaintext to a TLS \
         listener; use https:// in its endpoint",
    )
}

async fn encrypt(
    stream: Prefixed<Stream>,
    remote: Arc<str>,
    credentials: &Credentials,
) -> Result<Ready, Rejected> {
    credentials.refresh();
    let config =
        credentials.server().map_err(|e| Rejected::new("no_certificate", e.to_string()))?;
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    let start = hello.await.map_err(|error| failed(&error))?;
    let server_name = start.client_hello().server_name().unwrap_or_default().to_owned();
    let (result, shown) = verify::watching(start.into_stream(config)).await;
    let tls = result.map_err(|error| Rejected {
        error: shown.refusal.unwrap_or_else(|| match alert(&error) {
            Some(alert) => distrusted(alert, &error, &server_name, credentials),
            None => tell(&error),
        }),
        certificate: shown.certificate.clone(),
        server_name: server_name.clone(),
        ..failed(&error)
    })?;
    let certificate = match shown.certificate {
        Some(certificate) => Some(certificate),
        None => presented(&tls)?,
    };
    if let Some(certificate) = certificate.as_ref().filter(|_| credentials.verifies_source()) {
        source::check(certificate, &remote).await.map_err(|error| Rejected {
            certificate: Some(Arc::clone(certificate)),
            server_name: server_name.clone(),
            ..Rejected::new("source", error)
        })?;
    }
    let identity = Identity { certificate, remote, tls: true };
    let serials = tls.get_ref().1.peer_certificates().map(serials).unwrap_or_default();
    let negotiated = tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let (least, by_alpn) = match negotiated.as_deref() {
        Some(b"h2") => (0, Some(Protocol::Http2)),
        Some(_) => (0, Some(Protocol::Http1)),
        // Clients without ALPN are served by what they say.
        None => (HTTP2.len(), None),
    };
    let stream: Stream = Box::new(tls);
    let stream = Prefixed::sniff(stream, least, |_| false).await.map_err(|error| failed(&error))?;
    let protocol = by_alpn.unwrap_or_else(|| by_first_bytes(&stream));
    Ok(Ready { stream, protocol, identity, serials, encrypted: true })
}

/// The certificate of a session that was taken up again, when the verifier was not asked.
fn presented<S>(tls: &TlsStream<S>) -> Result<Option<Arc<PeerCertificate>>, Rejected> {
    let Some(leaf) = tls.get_ref().1.peer_certificates().and_then(<[_]>::first) else {
        return Ok(None);
    };
    match PeerCertificate::from_der(leaf) {
        Ok(certificate) => Ok(Some(Arc::new(certificate))),
        Err(error) => Err(Rejected::new("other", error)),
    }
}

fn lost(error: &io::Error) -> Rejected {
    Rejected::new("closed", error.to_string())
}

fn failed(error: &io::Error) -> Rejected {
    Rejected::new(reason(error), tell(error))
}

/// The fault in the words of Go's library, which operators search for, and what to do about it.
fn tell(error: &io::Error) -> String {
    let known = match reason(error) {
        "no_certificate" => {
            "tls: client didn't provide a certificate (certificate required); give it one (--cert, --key)"
        }
        "unknown_ca" => {
            "tls: failed to verify certificate: x509: certificate signed by an unknown authority; the \
             client's issuer is not in --trusted-ca-file"
        }
        "expired" => {
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid; issue \
             the client a new one"
        }
        "not_yet_valid" => {
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid; compare \
             the clocks of both machines"
        }
        "purpose" => {
            "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage; it \
             lacks clientAuth"
        }
        "version" => {
            "tls: client offered only unsupported versions; compare --tls-min-version and --tls-max-version"
        }
        "no_common_suite" => "tls: no cipher suite supported by both client and server",
        _ => return error.to_string(),
    };
    format!("{known} ({error})")
}

/// What the client had against our certificate, if that is what it ended the handshake for.
fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<RustlsError>()? {
        RustlsError::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired),
        ) => Some(*alert),
        _ => None,
    }
}

/// Why a client may not take our certificate. Few say it exactly: Go's library has one word for an
/// authority it does not know and for a name that is missing, so both lists of names are told.
fn distrusted(
    alert: AlertDescription,
    error: &io::Error,
    asked: &str,
    credentials: &Credentials,
) -> String {
    let ours = credentials.certificate().unwrap_or_default();
    let PeerCertificate { dns_names, ip_addresses, .. } = &ours;
    let names =
        format!("this server's certificate is valid for {dns_names:?} and {ip_addresses:?}");
    let authority = "give it our CA (--cacert)";
    let why = match alert {
        AlertDescription::UnknownCA => {
            format!("the client does not trust this server: {authority}")
        }
        AlertDescription::CertificateExpired => {
            "to the client this server's certificate is over: renew it, or compare the clocks"
                .to_owned()
        }
        _ if !asked.is_empty() && !ours.is_for(asked) => format!(
            "the client asked for {asked:?}, and {names}: use one of these in its endpoint, or add the \
             name to the certificate"
        ),
        _ if !asked.is_empty() => format!("the client does not trust this server: {authority}"),
        // Whoever asks for an address names nobody in the handshake.
        _ => format!(
            "the client does not trust this server: {authority}; or its endpoint is an address that is \
             missing: {names}"
        ),
    };
    format!("remote error: tls: bad certificate; {why} ({error})")
}

/// One word for why a handshake failed.
fn reason(error: &io::Error) -> &'static str {
    let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()) else {
        return if error.kind() == io::ErrorKind::UnexpectedEof { "closed" } else { "io" };
    };
    match cause {
        RustlsError::NoCertificatesPresented => "no_certificate",
        RustlsError::InvalidCertificate(fault) => certificate_reason(fault),
        RustlsError::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => "version",
        RustlsError::PeerIncompatible(_) => "no_common_suite",
        RustlsError::AlertReceived(_) if alert(error).is_some() => "client_distrusts_us",
        RustlsError::AlertReceived(_) => "client_alert",
        RustlsError::InvalidMessage(_) | RustlsError::InappropriateMessage { .. } => "malformed",
        _ => "other",
    }
}

fn certificate_reason(fault: &CertificateError) -> &'static str {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "not_yet_valid"
        }
        CertificateError::Revoked => "revoked",
        CertificateError::UnknownIssuer => "unknown_ca",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "purpose"
        }
        CertificateError::ApplicationVerificationFailure => "not_allowed",
        CertificateError::BadSignature => "bad_signature",
        _ => "bad_certificate",
    }
}
