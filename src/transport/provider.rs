//! The one file that names the crypto provider. Replacing it (for FIPS or post-quantum key
//! exchange) is a change here and in `Cargo.toml`, nowhere else.

use std::sync::Arc;

use rustls::crypto::hash::Context;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion, version};

use super::error::TlsError;
use crate::config::{TlsLimits, TlsVersion};

/// The provider restricted to the configured suites.
///
/// As in etcd the list governs TLS 1.2 only; the suites of TLS 1.3 are all good and always on.
pub(super) fn choose(limits: &TlsLimits) -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    if !limits.cipher_suites.is_empty() {
        provider.cipher_suites.retain(|suite| {
            suite.version().version == ProtocolVersion::TLSv1_3
                || limits.cipher_suites.contains(&go_name(suite).as_str())
        });
    }
    Arc::new(provider)
}

/// The protocol versions between the limits, newest first.
pub(super) fn versions(
    limits: &TlsLimits,
) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    match (limits.min, limits.max) {
        (TlsVersion::V13, Some(TlsVersion::V12)) => {
            Err(TlsError::Versions { min: "TLS1.3", max: "TLS1.2" })
        }
        (TlsVersion::V12, Some(TlsVersion::V12)) => Ok(vec![&version::TLS12]),
        (TlsVersion::V12, _) => Ok(vec![&version::TLS13, &version::TLS12]),
        (TlsVersion::V13, _) => Ok(vec![&version::TLS13]),
    }
}

/// Reads a private key; the error says what is wrong with it.
pub(super) fn signing_key(
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<dyn SigningKey>, rustls::Error> {
    ring::sign::any_supported_type(key)
}

/// The SHA-256 of some bytes, as fingerprints of certificates are written.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    let mut sum = Sha256::new();
    sum.update(bytes);
    sum.finish()
}

/// A SHA-256 of bytes that come in pieces.
pub struct Sha256(Option<Box<dyn Context>>);

impl Sha256 {
    /// Its length in bytes.
    pub const BYTES: usize = 32;

    /// Begins one.
    pub fn new() -> Self {
        // The library has no other way to its hash functions than through a suite that uses one.
        let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
        Self(suite.map(|suite| suite.common.hash_provider.start()))
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        if let Some(context) = &mut self.0 {
            context.update(piece);
        }
    }

    /// The sum over all of them.
    pub fn finish(self) -> Vec<u8> {
        self.0.map(|context| context.finish().as_ref().to_vec()).unwrap_or_default()
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Sha256")
    }
}

/// Bytes nobody can guess.
///
/// # Errors
/// If the operating system has none to give.
pub fn random<const N: usize>() -> Result<[u8; N], TlsError> {
    let mut bytes = [0; N];
    let filled = ring::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| TlsError::Setup("the system gives no random numbers".to_owned()))?;
    Ok(bytes)
}

/// Whether `signature` over `message` was made with the key whose public half has these bits, as a
/// certificate carries them; in any of the ways certificates are signed.
pub fn signed_by(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let known = ring::default_provider().signature_verification_algorithms.all;
    known.iter().any(|one| one.verify_signature(public_key, message, signature).is_ok())
}

/// Go's name of a suite, which is the registered one; rustls spells the ones of TLS 1.3 differently.
pub(super) fn go_name(suite: &SupportedCipherSuite) -> String {
    suite.suite().as_str().map(|name| name.replace("TLS13_", "TLS_")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SPOKEN_SUITES;

    fn names(suites: &[&'static str]) -> Vec<String> {
        let limits = TlsLimits { cipher_suites: suites.to_vec(), ..TlsLimits::default() };
        let mut names: Vec<String> = choose(&limits).cipher_suites.iter().map(go_name).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_the_configuration_calls_spoken_is_what_there_is() {
        assert_eq!(names(&[]), SPOKEN_SUITES);
    }

    #[test]
    fn a_list_narrows_tls12_and_leaves_tls13_alone() {
        assert_eq!(
            names(&[SPOKEN_SUITES[4]]),
            [&SPOKEN_SUITES[..3], &SPOKEN_SUITES[4..5]].concat()
        );
        assert_eq!(names(&[SPOKEN_SUITES[0]]), SPOKEN_SUITES[..3]);
    }

    #[test]
    fn versions_follow_the_limits() {
        let of = |min, max| {
            versions(&TlsLimits { min, max, ..TlsLimits::default() }).map(|list| list.len())
        };
        assert!(matches!(of(TlsVersion::V12, None), Ok(2)));
        assert!(matches!(of(TlsVersion::V12, Some(TlsVersion::V12)), Ok(1)));
        assert!(matches!(of(TlsVersion::V13, None), Ok(1)));
        assert!(of(TlsVersion::V13, Some(TlsVersion::V12)).is_err());
    }
}
