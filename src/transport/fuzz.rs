//! The readers of keys, certificates and frame heads for hostile bytes.

use super::frames::Frames;
use super::identity::PeerCertificate;
use super::{pem, revocations, roots};
use crate::types::fuzz::{Seed, in_folder};

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

/// What a client sends, whole and in pieces of the length the first byte says: the same heads come out.
pub(crate) fn http2(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let heads = |piece: usize| {
        let (mut frames, mut heads) = (Frames::after_preface(), Vec::new());
        for part in bytes.chunks(piece.max(1)) {
            frames.read(part, |head| heads.push(head));
        }
        (heads, frames.at_most())
    };
    let whole = heads(bytes.len());
    assert!(whole.1 < 1 << 24, "{} bytes to come", whole.1);
    assert_eq!(whole, heads(usize::from(*size)));
}

pub(crate) fn seeds() -> Vec<Seed> {
    let bytes = [
        &b"\x05PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"\0\0\0\x04\0\0\0\0\0",
        b"\0\0\x08\x06\0\0\0\0\0pingping",
        b"\0\0\x03\x01\x05\0\0\0\x01abc",
    ];
    vec![Seed::new("http2", "ping", bytes.concat())]
}
