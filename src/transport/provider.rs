//! The one file that names the crypto provider. Replacing it (for FIPS or post-quantum key
//! exchange) is a change here and in `Cargo.toml`, nowhere else.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion, version};

use super::error::TlsError;
use crate::config::{TlsLimits, TlsVersion};

/// Suites that etcd knows by these names and that no careful library offers any more.
const RETIRED: [&str; 17] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_FALLBACK_SCSV",
];

/// A provider restricted to the configured suites, and the retired suites that were left out.
#[derive(Debug)]
pub(super) struct Chosen {
    /// What rustls works with.
    pub(super) provider: Arc<CryptoProvider>,
    /// Names that were asked for and cannot be had.
    pub(super) left_out: Vec<String>,
}

/// The provider for these limits.
///
/// As in etcd the list governs TLS 1.2 only; the suites of TLS 1.3 are all good and always on.
pub(super) fn choose(limits: &TlsLimits) -> Result<Chosen, TlsError> {
    let mut provider = ring::default_provider();
    let (mut wanted, mut left_out) = (Vec::new(), Vec::new());
    for name in &limits.cipher_suites {
        match provider.cipher_suites.iter().find(|suite| go_name(suite) == canonical(name)) {
            Some(suite) => wanted.push(suite.suite()),
            None if RETIRED.contains(&name.as_str()) => left_out.push(name.clone()),
            None => return Err(TlsError::UnknownSuite(name.clone())),
        }
    }
    if !limits.cipher_suites.is_empty() {
        if wanted.is_empty() {
            return Err(TlsError::NoUsableSuite(left_out.join(",")));
        }
        provider.cipher_suites.retain(|suite| {
            suite.version().version == ProtocolVersion::TLSv1_3 || wanted.contains(&suite.suite())
        });
    }
    Ok(Chosen { provider: Arc::new(provider), left_out })
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

/// Go's name of a suite, which is the registered one; rustls spells the ones of TLS 1.3 differently.
fn go_name(suite: &SupportedCipherSuite) -> String {
    suite.suite().as_str().map(|name| name.replace("TLS13_", "TLS_")).unwrap_or_default()
}

/// Go's two older spellings lead to the registered ones.
fn canonical(name: &str) -> &str {
    match name {
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(suites: &[&str]) -> TlsLimits {
        TlsLimits {
            cipher_suites: suites.iter().map(ToString::to_string).collect(),
            ..TlsLimits::default()
        }
    }

    fn names(chosen: &Chosen) -> Vec<String> {
        chosen.provider.cipher_suites.iter().map(go_name).collect()
    }

    #[test]
    fn without_a_list_everything_is_offered() {
        let chosen = choose(&limits(&[])).unwrap();
        assert_eq!(chosen.provider.cipher_suites.len(), 9);
        assert!(names(&chosen).contains(&"TLS_AES_128_GCM_SHA256".to_owned()));
    }

    #[test]
    fn a_list_narrows_tls12_and_leaves_tls13_alone() {
        let chosen = choose(&limits(&[
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
            "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        ]))
        .unwrap();
        let names = names(&chosen);
        assert_eq!(names.len(), 5, "{names:?}");
        assert!(names.contains(&"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256".to_owned()));
        assert!(!names.contains(&"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384".to_owned()));
        assert_eq!(chosen.left_out, ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"]);
    }

    #[test]
    fn unknown_and_unusable_lists_are_refused() {
        let unknown = choose(&limits(&["FOO"])).unwrap_err();
        assert_eq!(unknown.to_string(), "unexpected TLS cipher suite \"FOO\"");
        let retired = choose(&limits(&["TLS_RSA_WITH_AES_128_CBC_SHA"])).unwrap_err();
        assert!(matches!(retired, TlsError::NoUsableSuite(_)));
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
