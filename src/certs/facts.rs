//! What a certificate says, for people and for decisions about files.

use std::net::IpAddr;
use std::time::Duration;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use super::CertError;
use super::issue::BACKDATED;
use crate::types::hosts::stands_for;

/// The readable parts of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The subject's common name, empty when there is none.
    pub common_name: String,
    /// The whole subject, `CN=name, O=…`.
    pub subject: String,
    /// Host names and addresses it is valid for.
    pub hosts: Vec<String>,
    /// The whole name of the issuer.
    pub issuer: String,
    /// The common name of the issuer.
    pub issuer_name: String,
    /// The serial number without leading zeros.
    pub serial: Vec<u8>,
    /// First second of validity, Unix time.
    pub not_before: i64,
    /// Last second of validity, Unix time.
    pub not_after: i64,
    /// Whether it may sign other certificates.
    pub is_ca: bool,
    /// Whether it may serve TLS.
    pub serves: bool,
    /// Whether it may be shown by a client.
    pub connects: bool,
    /// The public key's bits.
    pub public_key: Vec<u8>,
    /// The whole public key with its kind in DER (SPKI), over which pins are taken.
    pub spki: Vec<u8>,
    /// Identifier of its key, if it carries one.
    pub key_id: Option<Vec<u8>>,
    /// Identifier of its issuer's key, if it carries one.
    pub issuer_key_id: Option<Vec<u8>>,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl Facts {
    /// Reads every certificate of a PEM text, in its order; `what` names its file.
    ///
    /// # Errors
    /// If there is none, or one cannot be read.
    pub fn from_pem(what: &str, pem: &str) -> Result<Vec<Self>, CertError> {
        let fault = |detail: String| CertError::Content { what: what.to_owned(), detail };
        let mut found = Vec::new();
        for block in Pem::iter_from_buffer(pem.as_bytes()) {
            let block = block.map_err(|error| fault(format!("malformed PEM: {error}")))?;
            if block.label == "CERTIFICATE" {
                found.push(Self::from_der(what, &block.contents)?);
            }
        }
        if found.is_empty() {
            let detail = "it holds no PEM certificate (-----BEGIN CERTIFICATE-----)";
            return Err(fault(detail.to_owned()));
        }
        Ok(found)
    }

    /// Reads a certificate in DER; `what` names where it is from.
    ///
    /// # Errors
    /// If the bytes are no certificate.
    pub fn from_der(what: &str, der: &[u8]) -> Result<Self, CertError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| CertError::Content {
            what: what.to_owned(),
            detail: format!("not an X.509 certificate: {error}"),
        })?;
        let name = |name: &x509_parser::x509::X509Name<'_>| {
            let text = name.iter_common_name().next().and_then(|name| name.as_str().ok());
            text.unwrap_or_default().to_owned()
        };
        let purposes = parsed.extended_key_usage().ok().flatten();
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|found| found.value.general_names.iter().filter_map(host).collect());
        let (key_id, issuer_key_id) = key_ids(&parsed);
        Ok(Self {
            common_name: name(parsed.subject()),
            subject: parsed.subject().to_string(),
            hosts: names.unwrap_or_default(),
            issuer: parsed.issuer().to_string(),
            issuer_name: name(parsed.issuer()),
            serial: significant(parsed.raw_serial()).to_vec(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            is_ca: parsed.is_ca(),
            serves: purposes
                .as_ref()
                .is_none_or(|found| found.value.any || found.value.server_auth),
            connects: purposes.is_none_or(|found| found.value.any || found.value.client_auth),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            spki: parsed.public_key().raw.to_vec(),
            key_id,
            issuer_key_id,
            der: der.to_vec(),
        })
    }

    /// Whether `authority` is named as its issuer; says nothing about the signature.
    pub fn names_issuer(&self, authority: &Self) -> bool {
        self.issuer == authority.subject
            && match (&self.issuer_key_id, &authority.key_id) {
                (Some(named), Some(own)) => named == own,
                _ => true,
            }
    }

    /// When it should be replaced, Unix seconds: a leaf after two thirds of its life; an authority too,
    /// but not more than half a year before its end, since nothing it signs may outlive it.
    pub fn due_at(&self) -> i64 {
        const HALF_A_YEAR: i64 = 180 * 86_400;
        let third = self.life().as_secs().cast_signed() / 3;
        self.not_after - if self.is_ca { third.min(HALF_A_YEAR) } else { third }
    }

    /// For how long it was made: what is between its dates, less the moment it begins early for the
    /// sake of clocks that are behind.
    pub fn life(&self) -> Duration {
        let span = self.not_after.saturating_sub(self.not_before).max(0).cast_unsigned();
        let span = Duration::from_secs(span);
        if span > BACKDATED { span.saturating_sub(BACKDATED) } else { span }
    }

    /// Whether it is its own issuer.
    pub fn is_root(&self) -> bool {
        self.is_ca && self.issuer == self.subject
    }

    /// Whether it is valid for a host name or an address, by the rules of RFC 6125: one `*` may
    /// stand for the first label.
    pub fn is_for(&self, wanted: &str) -> bool {
        let wanted = wanted.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = wanted.parse::<IpAddr>() {
            return self.hosts.iter().any(|host| host.parse() == Ok(address));
        }
        let wanted = wanted.trim_end_matches('.');
        self.hosts.iter().any(|host| stands_for(host, wanted))
    }
}

fn key_ids(parsed: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut own, mut issuer) = (None, None);
    for extension in parsed.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => own = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                issuer = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            _ => {}
        }
    }
    (own, issuer)
}

/// An alternative name as a person writes it; other kinds than hosts are left out.
pub(super) fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// A serial number without the zero bytes some encoders put in front.
pub(super) fn significant(serial: &[u8]) -> &[u8] {
    let first = serial.iter().position(|byte| *byte != 0).unwrap_or(serial.len());
    serial.get(first..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_rfc_6125_says() {
        let hosts = ["db1", "*.Example.org", "10.0.0.1", "::1"].map(str::to_owned).to_vec();
        let facts = Facts { hosts, ..Facts::default() };
        for good in ["DB1", "db1.", "a.example.org", "10.0.0.1", "::1", "[::1]", "0:0:0:0:0:0:0:1"]
        {
            assert!(facts.is_for(good), "{good}");
        }
        for bad in ["db2", "example.org", "a.b.example.org", ".example.org", "10.0.0.2", ""] {
            assert!(!facts.is_for(bad), "{bad}");
        }
    }
}
