//! A certificate authority: signs leaves and revocation lists.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;

use super::CertError;
use super::issue::{Issued, Leaf, Secret, Validity, serial, set_validity};

/// An authority with its key in memory.
pub struct Authority {
    name: String,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    key: Secret,
}

impl Authority {
    /// A new authority called `name`, with a fresh ECDSA P-256 key.
    ///
    /// # Errors
    /// If the generator refuses.
    pub fn create(name: &str, validity: Validity) -> Result<Self, CertError> {
        let fault = |source| CertError::Generate { subject: name.to_owned(), source };
        let key = KeyPair::generate().map_err(fault)?;
        let mut params = CertificateParams::default();
        set_validity(&mut params, validity, name)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(serial(&key));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(fault)?.pem();
        let secret = Secret(key.serialize_pem());
        let issuer = Issuer::new(params, key);
        Ok(Self { name: name.to_owned(), issuer, certificate, key: secret })
    }

    /// Its certificate in PEM: what others put in their trusted CA file.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its private key in PEM. Whoever has it can be anybody.
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// Issues a leaf with a fresh ECDSA P-256 key.
    ///
    /// # Errors
    /// If a host name cannot be encoded or the generator refuses.
    pub fn issue(&self, leaf: &Leaf) -> Result<Issued, CertError> {
        let fault = |source| CertError::Generate { subject: leaf.common_name.clone(), source };
        let key = KeyPair::generate().map_err(fault)?;
        let params = leaf.params(&key)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(fault)?.pem();
        let serial = serial(&key).to_bytes();
        Ok(Issued { certificate, key: Secret(key.serialize_pem()), serial })
    }

    /// A revocation list in PEM that names these serial numbers.
    ///
    /// # Errors
    /// If the generator refuses.
    pub fn revoke(
        &self,
        serials: &[Vec<u8>],
        number: u64,
        now: Duration,
        life: Duration,
    ) -> Result<String, CertError> {
        let fault = |source| CertError::Generate { subject: self.name.clone(), source };
        let moment = |since: Duration| {
            OffsetDateTime::from_unix_timestamp(since.as_secs().cast_signed())
                .map_err(|_| CertError::Validity { subject: self.name.clone() })
        };
        let this_update = moment(now)?;
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: this_update,
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update,
            next_update: moment(now + life)?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).and_then(|list| list.pem()).map_err(fault)
    }
}
