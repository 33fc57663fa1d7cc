//! The readers of keys and certificates for hostile bytes.

use super::identity::PeerCertificate;
use super::{pem, revocations, roots};
use crate::types::fuzz::in_folder;

/// One file read as each kind of file there is, and as a bare certificate.
pub(crate) fn pem(bytes: &[u8]) {
    let _ = PeerCertificate::from_der(bytes);
    in_folder(|folder| {
        let path = folder.join("file.pem");
        if std::fs::write(&path, bytes).is_err() {
            return;
        }
        for certificate in pem::certificates("certificate", &path).unwrap_or_default() {
            let _ = PeerCertificate::from_der(&certificate);
        }
        let _ = (pem::private_key(&path), revocations::read(&path), roots::from_file(&path));
    });
}
