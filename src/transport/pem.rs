//! Reads PEM files, and says in plain words what is wrong with them.

use std::path::Path;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::error::TlsError;

/// More than any real chain or bundle has; keeps a wrong path (a log, a disk) from filling memory.
const MAX_FILE_BYTES: u64 = 16 << 20;

const CUT: &str = "a PEM block has no END line; the file is cut short, write it again in one go";

/// The certificates of a file, in its order; at least one.
pub(super) fn certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(what, path)?;
    let fault = |detail: String| TlsError::Content { what, path: path.to_owned(), detail };
    let mut found = Vec::new();
    for item in CertificateDer::pem_slice_iter(&bytes) {
        found.push(item.map_err(|error| fault(explain(&error)))?);
    }
    if is_cut(&bytes) {
        return Err(fault(CUT.to_owned()));
    }
    if found.is_empty() {
        let hint = if contains(&bytes, b"PRIVATE KEY-----") {
            "it holds a private key; are the certificate and key paths swapped?"
        } else {
            "it holds no PEM certificate (-----BEGIN CERTIFICATE-----)"
        };
        return Err(fault(hint.to_owned()));
    }
    Ok(found)
}

/// The first private key of a file, in PKCS#8, PKCS#1 or SEC1 form; for the caller to wipe.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let what = "private key";
    let bytes = Zeroizing::new(read(what, path)?);
    let fault = |detail: String| TlsError::Content { what, path: path.to_owned(), detail };
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(PemError::NoItemsFound) => Err(fault(missing_key(&bytes).to_owned())),
        Err(error) => Err(fault(explain(&error))),
    }
}

/// The revocation lists of a file, each in DER; PEM (several lists allowed) or DER.
pub(super) fn revocation_lists(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bytes = read(what, path)?;
    let fault = |detail: String| TlsError::Content { what, path: path.to_owned(), detail };
    let mut lists = Vec::new();
    for item in CertificateRevocationListDer::pem_slice_iter(&bytes) {
        lists.push(item.map_err(|error| fault(explain(&error)))?);
    }
    if lists.is_empty() {
        lists.push(CertificateRevocationListDer::from(bytes));
    }
    Ok(lists)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let fault = |source| TlsError::Read { what, path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(fault)?.len();
    if size > MAX_FILE_BYTES {
        let detail = format!("it has {size} bytes, expected at most {MAX_FILE_BYTES}; wrong file?");
        return Err(TlsError::Content { what, path: path.to_owned(), detail });
    }
    std::fs::read(path).map_err(fault)
}

fn missing_key(bytes: &[u8]) -> &'static str {
    if contains(bytes, b"ENCRYPTED PRIVATE KEY-----") {
        "the key is protected by a passphrase, which a daemon cannot be asked for; store it decrypted \
         with mode 0600"
    } else if contains(bytes, b"-----BEGIN CERTIFICATE-----") {
        "it holds a certificate; are the certificate and key paths swapped?"
    } else {
        concat!("it holds no PEM private key (-----BEGIN ", "PRIVATE KEY-----)")
    }
}

fn explain(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { .. } => CUT.to_owned(),
        PemError::IllegalSectionStart { line } => {
            format!("malformed PEM line {:?}", String::from_utf8_lossy(line))
        }
        other => format!("malformed PEM: {other}"),
    }
}

/// Whether a file ends within the first line of a block, which the reader takes for a remark.
fn is_cut(bytes: &[u8]) -> bool {
    let last = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let begins = b"-----BEGIN CERTIFICATE-----";
    !last.is_empty() && begins.starts_with(last)
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
