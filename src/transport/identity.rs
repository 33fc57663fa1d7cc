//! Who is at the other end of a connection, as far as the connection can tell.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::types::hex::hex;
use crate::types::hosts::stands_for;

/// What is known about the peer of a connection; every request carries it in its extensions.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate the peer proved to own; none without TLS or when none was demanded.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// The peer's address; `@` for an unnamed Unix socket, as Go prints it.
    pub remote: Arc<str>,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// The readable parts of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject's common name, empty when there is none.
    pub common_name: String,
    /// Host names among the alternative names.
    pub dns_names: Vec<String>,
    /// Addresses among the alternative names.
    pub ip_addresses: Vec<IpAddr>,
    /// URIs among the alternative names.
    pub uris: Vec<String>,
    /// The serial number in lower-case hex without leading zeros.
    pub serial: String,
    /// The whole name of the issuer.
    pub issuer: String,
    /// The identifier of the issuer's key in lower-case hex, empty when it carries none.
    pub issuer_key: String,
    /// First second of validity, Unix time.
    pub not_before: i64,
    /// Last second of validity, Unix time.
    pub not_after: i64,
    /// Whether it may sign other certificates.
    pub is_ca: bool,
    /// Whether its purposes, if it names any, include serving.
    pub serves: bool,
}

impl PeerCertificate {
    /// Reads a certificate in DER; the error text says why it is none.
    ///
    /// # Errors
    /// If the bytes are not an X.509 certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der)
            .map_err(|error| format!("not an X.509 certificate: {error}"))?;
        let common_name = parsed.subject().iter_common_name().next();
        let purposes = parsed.extended_key_usage().ok().flatten();
        let mut certificate = Self {
            common_name: common_name.and_then(|name| name.as_str().ok()).unwrap_or("").to_owned(),
            serial: hex(significant(parsed.raw_serial())),
            issuer: parsed.issuer().to_string(),
            issuer_key: issuer_key(&parsed),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            is_ca: parsed.is_ca(),
            serves: purposes.is_none_or(|found| found.value.any || found.value.server_auth),
            ..Self::default()
        };
        if let Ok(Some(names)) = parsed.subject_alternative_name() {
            for name in &names.value.general_names {
                certificate.add(name);
            }
        }
        Ok(certificate)
    }

    /// The user it stands for: its common name, as in etcd. Identities of workloads (SPIFFE) have none,
    /// but a URI, which then is the name.
    pub fn user(&self) -> &str {
        match self.uris.first() {
            Some(uri) if self.common_name.is_empty() => uri,
            _ => &self.common_name,
        }
    }

    /// Whether it is valid for a host name.
    pub(super) fn is_for(&self, host: &str) -> bool {
        self.dns_names.iter().any(|name| stands_for(name, host))
    }

    fn add(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                self.ip_addresses.extend(address);
            }
            _ => {}
        }
    }

    /// Why the certificate is not valid at `now`, Unix seconds; `None` when it is.
    pub fn invalid_at(&self, now: i64) -> Option<String> {
        if now > self.not_after {
            return Some(format!("it expired {} ago", days(now - self.not_after)));
        }
        (now < self.not_before).then(|| {
            format!("it becomes valid in {}; check the clock", days(self.not_before - now))
        })
    }
}

/// The serial numbers of certificates in DER, as revocation lists name them.
pub(super) fn serials(chain: &[CertificateDer<'_>]) -> Vec<Vec<u8>> {
    let parsed = chain.iter().filter_map(|der| X509Certificate::from_der(der).ok());
    parsed.map(|(_, certificate)| significant(certificate.raw_serial()).to_vec()).collect()
}

fn issuer_key(parsed: &X509Certificate<'_>) -> String {
    let ids = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref(),
        _ => None,
    });
    ids.map(|id| hex(id.0)).unwrap_or_default()
}

/// A span in the unit a person would use.
pub(super) fn days(seconds: i64) -> String {
    match seconds {
        0..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A serial number without the zero bytes some encoders put in front.
pub(super) fn significant(serial: &[u8]) -> &[u8] {
    let first = serial.iter().position(|byte| *byte != 0).unwrap_or(serial.len());
    serial.get(first..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_caller_is_known_by_its_common_name_and_its_uris() {
        let mut params = CertificateParams::new(vec!["app.example.org".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "app");
        let uri = "spiffe://example.org/app";
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = PeerCertificate::from_der(made.der()).unwrap();
        assert_eq!((&*read.common_name, &*read.uris), ("app", &[uri.to_owned()][..]));
        assert_eq!((&*read.dns_names, read.user()), (&["app.example.org".to_owned()][..], "app"));
        let nameless = PeerCertificate { common_name: String::new(), ..read };
        assert_eq!(nameless.user(), uri);
        assert_eq!(PeerCertificate::default().user(), "");
    }
}
