//! What goes into a certificate, and what comes out.

use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose,
    PublicKeyData, SerialNumber,
};
use sha1::{Digest, Sha1};
use time::OffsetDateTime;

use super::CertError;
use super::key::Secret;

/// Certificates begin a little in the past, so that a machine whose clock is behind accepts them.
pub(super) const BACKDATED: Duration = Duration::from_secs(300);

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate in PEM.
    pub certificate: String,
    /// Its private key, PKCS#8 in PEM.
    pub key: Secret,
    /// Its serial number, as a revocation list names it.
    pub serial: Vec<u8>,
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Serving TLS.
    Server,
    /// Connecting with a certificate.
    Client,
    /// Both, as between members.
    Peer,
}

/// From when until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First moment, since the Unix epoch.
    pub from: Duration,
    /// Last moment, since the Unix epoch.
    pub until: Duration,
}

impl Validity {
    /// From `now` (backdated by five minutes) for as long as `life`.
    pub fn starting(now: Duration, life: Duration) -> Self {
        Self { from: now.saturating_sub(BACKDATED), until: now.saturating_add(life) }
    }

    /// The same, ending no later than the authority that signs.
    #[must_use]
    pub fn within(self, end: Duration) -> Self {
        Self { until: self.until.min(end), ..self }
    }
}

/// The contents of a certificate that signs nothing.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Common name; for clients the user's name.
    pub common_name: String,
    /// Host names and addresses it is valid for.
    pub hosts: Vec<String>,
    /// What it may be used for.
    pub purpose: Purpose,
    /// When it is valid.
    pub validity: Validity,
}

impl Leaf {
    pub(super) fn params(&self, key: &impl PublicKeyData) -> Result<CertificateParams, CertError> {
        let subject = self.common_name.clone();
        let mut params = CertificateParams::new(self.hosts.clone())
            .map_err(|source| CertError::Generate { subject: subject.clone(), source })?;
        set_validity(&mut params, self.validity, &subject)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject);
        params.serial_number = Some(serial(key, self.validity));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match self.purpose {
            Purpose::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Purpose::Peer => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
        };
        Ok(params)
    }
}

pub(super) fn set_validity(
    params: &mut CertificateParams,
    validity: Validity,
    subject: &str,
) -> Result<(), CertError> {
    let moment = |since: Duration| {
        OffsetDateTime::from_unix_timestamp(since.as_secs().cast_signed())
            .map_err(|_| CertError::Validity { subject: subject.to_owned() })
    };
    params.not_before = moment(validity.from)?;
    params.not_after = moment(validity.until)?;
    Ok(())
}

/// A serial number nobody else has: taken from the key, which is random, and the moment, since a key
/// may be certified again. 127 bits, positive.
pub(super) fn serial(key: &impl PublicKeyData, validity: Validity) -> SerialNumber {
    let moment = validity.from.as_nanos().to_be_bytes();
    let digest = Sha1::new().chain_update(key.der_bytes()).chain_update(moment).finalize();
    let mut bytes: Vec<u8> = digest.into_iter().take(16).collect();
    if let Some(first) = bytes.first_mut() {
        // Neither negative nor shortened by a leading zero.
        *first = (*first & 0x7f) | 0x40;
    }
    SerialNumber::from(bytes)
}
