//! Decides whether a peer's certificate is good enough, beyond the signature chain.
//!
//! All rules run inside the handshake, so that they hold on every listener and for every protocol:
//! there is no door behind which a revoked certificate still works.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::identity::{PeerCertificate, significant};
use crate::types::hex::hex;

tokio::task_local! {
    /// What the verifier saw during the handshake this task is performing. The library reports a
    /// refusal without the certificate, and an operator needs both.
    static SHOWN: RefCell<Shown>;
}

/// What a peer presented during one handshake.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// Its certificate, if it could be read.
    pub(super) certificate: Option<Arc<PeerCertificate>>,
    /// Why our own rules refused it; chain faults are told by the handshake's error.
    pub(super) refusal: Option<String>,
}

/// Performs a handshake and returns, beside its result, what the peer presented.
pub(super) async fn watching<F: Future>(handshake: F) -> (F::Output, Shown) {
    SHOWN
        .scope(RefCell::default(), async {
            let result = handshake.await;
            (result, SHOWN.with(RefCell::take))
        })
        .await
}

fn note(change: impl FnOnce(&mut Shown)) {
    // Outside `watching`, as on the dialling side, there is nobody to tell.
    let _ = SHOWN.try_with(|shown| change(&mut shown.borrow_mut()));
}

/// What is asked of a client certificate once its chain is good.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Common names that may connect; any when empty.
    pub(super) allowed_cn: Vec<String>,
    /// Names of which the certificate must be valid for one; any when empty.
    pub(super) allowed_hostname: Vec<String>,
    /// Serial numbers that may not, whoever issued them: etcd compares nothing else.
    pub(super) revoked: Arc<HashSet<Vec<u8>>>,
}

impl Rules {
    fn check(&self, presented: &[&CertificateDer<'_>]) -> Result<(), Error> {
        let Some(leaf) = presented.first() else { return Ok(()) };
        self.check_all_revoked(presented)?;
        if !self.allowed_cn.is_empty() {
            let name = read(leaf)?.common_name;
            if !self.allowed_cn.contains(&name) {
                let allowed = &self.allowed_cn;
                let reason =
                    format!("its common name {name:?} is not among the allowed {allowed:?}");
                return Err(refuse(&reason));
            }
        }
        if !self.allowed_hostname.is_empty() && !self.is_for_allowed_host(leaf)? {
            let PeerCertificate { dns_names, ip_addresses, .. } = read(leaf)?;
            let allowed = &self.allowed_hostname;
            return Err(refuse(&format!(
                "it is valid for {dns_names:?} and {ip_addresses:?}, for none of the allowed {allowed:?}"
            )));
        }
        Ok(())
    }

    fn check_all_revoked(&self, presented: &[&CertificateDer<'_>]) -> Result<(), Error> {
        let mut certificates = presented.iter().filter(|_| !self.revoked.is_empty());
        certificates.try_for_each(|certificate| self.check_revoked(certificate))
    }

    fn check_revoked(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let serial = significant(parsed.raw_serial());
        if self.revoked.contains(serial) {
            note(|shown| {
                shown.refusal = Some(format!("certificate serial {} revoked", hex(serial)))
            });
            return Err(Error::InvalidCertificate(CertificateError::Revoked));
        }
        Ok(())
    }

    fn is_for_allowed_host(&self, leaf: &CertificateDer<'_>) -> Result<bool, Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        Ok(self.allowed_hostname.iter().any(|host| {
            ServerName::try_from(host.as_str())
                .is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
        }))
    }
}

fn read(certificate: &CertificateDer<'_>) -> Result<PeerCertificate, Error> {
    PeerCertificate::from_der(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn refuse(reason: &str) -> Error {
    note(|shown| {
        shown.refusal = Some(format!("client certificate authentication failed: {reason}"))
    });
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

/// Leaves the signatures of a handshake to the verifier in a field.
macro_rules! signatures_left_to {
    ($inner:ident) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &rustls::pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            self.$inner.verify_tls12_signature(message, certificate, signature)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &rustls::pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            self.$inner.verify_tls13_signature(message, certificate, signature)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            self.$inner.supported_verify_schemes()
        }
    };
}

pub(super) use signatures_left_to;

/// Verifies clients: chain and purpose as the library does, then our [`Rules`].
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) chain: Arc<dyn ClientCertVerifier>,
    pub(super) rules: Rules,
    /// Whom the file of authorities holds, for people.
    pub(super) trusted: String,
}

impl Clients {
    /// Names both sides of a mismatch: whoever reads it sees whether the client has a certificate of
    /// another authority, or the server another authority's file.
    fn tell_issuers(&self, leaf: &CertificateDer<'_>) {
        let Ok(PeerCertificate { issuer, issuer_key, .. }) = PeerCertificate::from_der(leaf) else {
            return;
        };
        note(|shown| {
            shown.refusal = Some(format!(
                "tls: failed to verify certificate: x509: certificate signed by an unknown authority; \
                 it was issued by {issuer:?} (key id {}), trusted are {}",
                if issuer_key.is_empty() { "not given" } else { &issuer_key },
                self.trusted
            ));
        });
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        note(|shown| shown.certificate = PeerCertificate::from_der(leaf).ok().map(Arc::new));
        let verified = self.chain.verify_client_cert(leaf, intermediates, now);
        if let Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) = &verified {
            self.tell_issuers(leaf);
        }
        let verified = verified?;
        let presented: Vec<_> = std::iter::once(leaf).chain(intermediates).collect();
        self.rules.check(&presented)?;
        Ok(verified)
    }

    signatures_left_to!(chain);
}

/// Verifies servers: chain and name as the library does, then that nothing of it was revoked.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) chain: Arc<dyn ServerCertVerifier>,
    pub(super) rules: Rules,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.chain.verify_server_cert(leaf, intermediates, name, ocsp, now)?;
        let presented: Vec<_> = std::iter::once(leaf).chain(intermediates).collect();
        self.rules.check_all_revoked(&presented)?;
        Ok(verified)
    }

    signatures_left_to!(chain);
}

/// How keys sign that the library cannot check.
const UNKNOWN_CURVE: SignatureScheme = SignatureScheme::ECDSA_NISTP521_SHA512;

/// Accepts any server that owns the key of the certificate it shows: encryption without knowing
/// whom one talks to, for `--insecure-skip-tls-verify` only. Of a key on the curve P-521, which the library
/// does not know and `etcd --auto-tls` makes, not even that is seen; whoever stands in between could show
/// a key of their own all the same.
#[derive(Debug)]
pub(super) struct AnyServer(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signature.scheme == UNKNOWN_CURVE {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signature.scheme == UNKNOWN_CURVE {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.0.signature_verification_algorithms.supported_schemes();
        schemes.push(UNKNOWN_CURVE);
        schemes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_names_what_is_shown_and_what_is_allowed() {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["app.example.org".to_owned(), "10.0.0.7".to_owned()];
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "app");
        let made = params.self_signed(&key).unwrap();
        let named = |name: &str| vec![name.to_owned()];
        let by_name = Rules { allowed_cn: named("backup"), ..Rules::default() };
        let by_host = Rules { allowed_hostname: named("db.example.org"), ..Rules::default() };
        for (rules, told) in [
            (by_name, &["\"app\"", "\"backup\""][..]),
            (by_host, &["app.example.org", "10.0.0.7", "db.example.org"]),
        ] {
            let (checked, shown) = watching(async { rules.check(&[made.der()]) }).await;
            let refusal = shown.refusal.unwrap();
            assert!(
                checked.is_err() && told.iter().all(|word| refusal.contains(word)),
                "{refusal}"
            );
        }
    }
}
