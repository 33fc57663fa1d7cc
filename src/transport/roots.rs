//! The certificate authorities the operating system trusts.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use x509_parser::extensions::ParsedExtension;

use super::error::TlsError;
use super::pem;

use crate::types::hex::hex;

/// Where distributions keep their bundle: Debian and Alpine, Red Hat and CentOS, SUSE.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// The system's bundle, or the file `SSL_CERT_FILE` names, as Go programs find them. Entries the
/// library cannot read are skipped: a bundle always holds a few old ones.
pub(super) fn system() -> Result<Arc<RootCertStore>, TlsError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let bundle = named.into_iter().chain(BUNDLES.map(PathBuf::from)).find(|path| path.is_file());
    let path = bundle.ok_or(TlsError::NoRoots)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pem::certificates("system CA bundle", &path)?);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(Arc::new(roots)) }
}

/// The authorities in one of our own files, where every entry must be readable.
pub(super) fn from_file(path: &std::path::Path) -> Result<Arc<RootCertStore>, TlsError> {
    let what = "trusted CA file";
    let mut roots = RootCertStore::empty();
    for (place, certificate) in pem::certificates(what, path)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| TlsError::Content {
            what,
            path: path.to_owned(),
            detail: format!("certificate number {} is no usable authority: {error}", place + 1),
        })?;
    }
    Ok(Arc::new(roots))
}

/// The subjects and key identifiers of the authorities in a file, for people; of a long bundle the
/// first few.
pub(super) fn names(path: &std::path::Path) -> Result<String, TlsError> {
    const SHOWN: usize = 4;
    let all = pem::certificates("trusted CA file", path)?;
    let first: Vec<String> = all.iter().take(SHOWN).map(|der| describe(der)).collect();
    let more = all.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Ok(format!("{}{more} ({})", first.join(", "), path.display()))
}

fn describe(der: &[u8]) -> String {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(der) else {
        return "an unreadable certificate".to_owned();
    };
    let id = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(hex(id.0)),
        _ => None,
    });
    let id = id.unwrap_or_else(|| "not given".to_owned());
    format!("{:?} (key id {id})", parsed.subject().to_string())
}
