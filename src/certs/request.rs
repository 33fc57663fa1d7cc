//! Certificate signing requests: how a certificate is asked for without giving the key away.

use rcgen::{CertificateSigningRequestParams, PublicKeyData, SubjectPublicKeyInfo};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::CertError;
use super::facts::host;
use super::issue::Leaf;
use super::key::Key;

/// A request somebody made, with a signature that shows that the key is theirs.
pub struct Request {
    pub(super) public_key: SubjectPublicKeyInfo,
    /// The common name asked for.
    pub common_name: String,
    /// The host names and addresses asked for.
    pub hosts: Vec<String>,
}

impl Request {
    /// A request in PEM for `leaf`, whose validity is left to the signer, and the key.
    ///
    /// # Errors
    /// If a host name cannot be encoded.
    pub fn make(leaf: &Leaf, key: &Key) -> Result<String, CertError> {
        let fault = |source| CertError::Generate { subject: leaf.common_name.clone(), source };
        let mut params = leaf.params(key)?;
        params.serial_number = None;
        params.use_authority_key_identifier_extension = false;
        params.serialize_request(key).and_then(|request| request.pem()).map_err(fault)
    }

    /// Reads a request in PEM and checks its signature; `what` names its file.
    ///
    /// # Errors
    /// If the text is no request, its signature is wrong, or it asks for what is not known here.
    pub fn read(what: &str, pem: &str) -> Result<Self, CertError> {
        let fault = |detail: String| CertError::Content { what: what.to_owned(), detail };
        CertificateSigningRequestParams::from_pem(pem)
            .map_err(|error| fault(format!("not a usable certificate signing request: {error}")))?;
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes())
            .map_err(|error| fault(format!("not PEM: {error}")))?;
        let (_, request) = X509CertificationRequest::from_der(&block.contents)
            .map_err(|error| fault(format!("not a certificate signing request: {error}")))?;
        let info = &request.certification_request_info;
        // Not the kind the signature names: that says how the request was signed, not with what.
        let public_key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw)
            .map_err(|error| fault(format!("its key is of a kind not known here: {error}")))?;
        let name = info.subject.iter_common_name().next().and_then(|name| name.as_str().ok());
        let mut hosts = Vec::new();
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                hosts.extend(names.general_names.iter().filter_map(host));
            }
        }
        Ok(Self { public_key, common_name: name.unwrap_or_default().to_owned(), hosts })
    }

    /// The public key's bits.
    pub fn public(&self) -> &[u8] {
        self.public_key.der_bytes()
    }
}
