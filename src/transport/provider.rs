//! The one file that names the crypto provider. Replacing it (for FIPS or post-quantum key
//! exchange) is a change here and in `Cargo.toml`, nowhere else.

use std::sync::Arc;

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
    // The library has no other way to its hash functions than through a suite that uses one.
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
    let hash = suite.map(|suite| suite.common.hash_provider.hash(bytes));
    hash.map(|hash| hash.as_ref().to_vec()).unwrap_or_default()
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
