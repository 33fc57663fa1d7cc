//! Dialling somebody of whom only the root's key is known: no file, no directory of names.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};

use super::error::TlsError;
use super::provider;
use super::verify::{AnyServer, signatures_left_to};
use crate::config::TlsLimits;

/// Whom to believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// SHA-256 of the root's public key with its kind (SPKI, RFC 7469). The server must show the root
    /// itself, and its own certificate must lead there.
    pub root: Vec<u8>,
    /// The name its certificate must be valid for, wherever it is reached.
    pub name: &'static str,
}

/// A configuration for dialling whoever `pin` describes, and nobody else. No certificate is shown.
///
/// # Errors
/// If the name is none a certificate could be for, or the TLS library refuses.
pub fn pinned(pin: &Pin) -> Result<Arc<ClientConfig>, TlsError> {
    let fault = |text: String| TlsError::Setup(text);
    let limits = TlsLimits::default();
    let provider = provider::choose(&limits);
    let name = ServerName::try_from(pin.name).map_err(|error| fault(error.to_string()))?;
    let verifier = Pinned {
        root: pin.root.clone(),
        name: name.to_owned(),
        any: AnyServer(Arc::clone(&provider)),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&provider::versions(&limits)?)
        .map_err(|error| fault(error.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Everything is verified as usual, with the one root the pin names for trust.
#[derive(Debug)]
struct Pinned {
    root: Vec<u8>,
    name: ServerName<'static>,
    /// For the signatures of the handshake, which hang on no chain.
    any: AnyServer,
}

impl Pinned {
    fn is_root(&self, certificate: &CertificateDer<'_>) -> bool {
        let parsed = ParsedCertificate::try_from(certificate);
        parsed.is_ok_and(|parsed| provider::sha256(&parsed.subject_public_key_info()) == self.root)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let root = intermediates.iter().find(|shown| self.is_root(shown));
        let root = root.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        let provider = Arc::clone(&self.any.0);
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        chain.verify_server_cert(leaf, intermediates, &self.name, ocsp, now)
    }

    signatures_left_to!(any);
}
