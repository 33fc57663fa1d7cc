//! A certificate authority: signs leaves, other authorities and revocation lists.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, RevokedCertParams,
    SerialNumber,
};
use time::OffsetDateTime;

use super::CertError;
use super::facts::Facts;
use super::issue::{Issued, Leaf, Validity, serial, set_validity};
use super::key::{Key, Secret};
use super::request::Request;
use super::revocation::Revoked;

/// An authority with its key in memory.
pub struct Authority {
    name: String,
    issuer: Issuer<'static, Key>,
    certificate: String,
    key: Secret,
    until: Duration,
}

impl Authority {
    /// A new authority called `name` that signs itself and then only leaves, with a fresh key.
    ///
    /// # Errors
    /// If the generator refuses.
    pub fn create(name: &str, validity: Validity) -> Result<Self, CertError> {
        Self::make(name, validity, Key::generate()?, None, 0)
    }

    /// A new authority that signs itself, and one floor of authorities that sign leaves.
    ///
    /// # Errors
    /// If the generator refuses.
    pub fn root(name: &str, validity: Validity, key: Key) -> Result<Self, CertError> {
        Self::make(name, validity, key, None, 1)
    }

    /// A new authority signed by this one; it signs leaves, and lives no longer than this one.
    ///
    /// # Errors
    /// If the generator refuses.
    pub fn subordinate(&self, name: &str, validity: Validity, key: Key) -> Result<Self, CertError> {
        Self::make(name, validity.within(self.until), key, Some(&self.issuer), 0)
    }

    fn make(
        name: &str,
        validity: Validity,
        key: Key,
        signer: Option<&Issuer<'static, Key>>,
        floors: u8,
    ) -> Result<Self, CertError> {
        let fault = |source| CertError::Generate { subject: name.to_owned(), source };
        let mut params = CertificateParams::default();
        set_validity(&mut params, validity, name)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(serial(&key, validity));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(floors));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = signer.is_some();
        let certificate = match signer {
            None => params.self_signed(&key),
            Some(signer) => params.signed_by(&key, signer),
        };
        let certificate = certificate.map_err(fault)?.pem();
        let secret = key.secret();
        let issuer = Issuer::new(params, key);
        let (name, until) = (name.to_owned(), validity.until);
        Ok(Self { name, issuer, certificate, key: secret, until })
    }

    /// An authority read from PEM; `what` names the file of its certificate.
    ///
    /// # Errors
    /// If the text is no certificate of an authority, or the key is not its key.
    pub fn load(what: &str, certificate: &str, key: Key) -> Result<Self, CertError> {
        let fault =
            |detail: &str| CertError::Content { what: what.to_owned(), detail: detail.to_owned() };
        let facts = Facts::from_pem(what, certificate)?;
        let facts = facts.first().ok_or_else(|| fault("it holds no certificate"))?;
        if !facts.is_ca {
            return Err(fault("it is no authority (CA:FALSE), so it can sign nothing"));
        }
        if facts.public_key != key.public() {
            return Err(fault("the authority's key belongs to another certificate"));
        }
        let secret = key.secret();
        let issuer = Issuer::from_ca_cert_pem(certificate, key)
            .map_err(|source| CertError::Generate { subject: what.to_owned(), source })?;
        let until = Duration::from_secs(facts.not_after.max(0).cast_unsigned());
        let name = facts.common_name.clone();
        Ok(Self { name, issuer, certificate: certificate.to_owned(), key: secret, until })
    }

    /// Its common name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its last moment, since the Unix epoch; what it signs ends no later.
    pub fn until(&self) -> Duration {
        self.until
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
        self.issue_for(leaf, &Key::generate()?)
    }

    /// Issues a leaf for a key there is already.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn issue_for(&self, leaf: &Leaf, key: &Key) -> Result<Issued, CertError> {
        let (certificate, serial) = self.sign(leaf, key)?;
        Ok(Issued { certificate, key: key.secret(), serial })
    }

    /// Issues a leaf for the key of a request, whose owner keeps it, and returns the certificate in
    /// PEM and its serial number. Of the request only the key counts: names and purpose are the
    /// signer's to decide.
    ///
    /// # Errors
    /// As [`Self::issue`].
    pub fn answer(&self, leaf: &Leaf, request: &Request) -> Result<(String, Vec<u8>), CertError> {
        self.sign(leaf, &request.public_key)
    }

    fn sign(&self, leaf: &Leaf, key: &impl PublicKeyData) -> Result<(String, Vec<u8>), CertError> {
        let fault = |source| CertError::Generate { subject: leaf.common_name.clone(), source };
        let validity = leaf.validity.within(self.until);
        let params = Leaf { validity, ..leaf.clone() }.params(key)?;
        let certificate = params.signed_by(key, &self.issuer).map_err(fault)?.pem();
        Ok((certificate, serial(key, validity).to_bytes()))
    }

    /// A revocation list in PEM that names these serial numbers, revoked just now.
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
        let revoked = serials.iter().map(|serial| Revoked { serial: serial.clone(), at: now });
        self.revocations(&revoked.collect::<Vec<_>>(), number, now, life)
    }

    /// A revocation list in PEM; `number` must be larger than that of the list before it.
    ///
    /// # Errors
    /// If the generator refuses.
    pub fn revocations(
        &self,
        revoked: &[Revoked],
        number: u64,
        now: Duration,
        life: Duration,
    ) -> Result<String, CertError> {
        let fault = |source| CertError::Generate { subject: self.name.clone(), source };
        let moment = |since: Duration| {
            OffsetDateTime::from_unix_timestamp(since.as_secs().cast_signed())
                .map_err(|_| CertError::Validity { subject: self.name.clone() })
        };
        let mut entries = Vec::with_capacity(revoked.len());
        for one in revoked {
            entries.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&one.serial),
                revocation_time: moment(one.at)?,
                reason_code: None,
                invalidity_date: None,
            });
        }
        let params = CertificateRevocationListParams {
            this_update: moment(now)?,
            next_update: moment(now.saturating_add(life))?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: entries,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).and_then(|list| list.pem()).map_err(fault)
    }
}
