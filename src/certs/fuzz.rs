//! The readers of certificates, requests and lists for hostile bytes: a request comes from another
//! machine.

use super::{Facts, Key, Request, RevocationList};

/// The bytes as each kind of text there is, and as a bare certificate.
pub(crate) fn pem(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = (Facts::from_der("bytes", bytes), Facts::from_pem("bytes", &text));
    let _ = RevocationList::from_pem("bytes", bytes);
    let _ = Key::from_pem("bytes", &text);
    if let Ok(request) = Request::read("bytes", &text) {
        assert!(!request.public().is_empty());
    }
}
