//! Private keys.

use std::fmt;
use std::path::Path;

use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};
use sha1::{Digest, Sha1};
use zeroize::Zeroize;

use super::CertError;
use super::store::read;
use crate::types::hex::hex;

/// A private key in PEM; never printed, and wiped from memory when it is dropped.
#[derive(Clone)]
pub struct Secret(pub(super) String);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Secret {
    /// The PEM text, for writing it to its file.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

/// A private key that can sign: ECDSA P-256 when it is made here. Never printed; its encoded form is
/// wiped from memory when it is dropped, what the signing library keeps of it is out of reach.
pub struct Key(KeyPair);

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

impl Key {
    /// A fresh ECDSA P-256 key.
    ///
    /// # Errors
    /// If the generator refuses.
    pub fn generate() -> Result<Self, CertError> {
        let fault = |source| CertError::Generate { subject: "a key".to_owned(), source };
        KeyPair::generate().map(Self).map_err(fault)
    }

    /// Reads the key in a file; `None` when there is none. The text is wiped at once.
    ///
    /// # Errors
    /// If it is there and cannot be read, or is no key.
    pub fn read(path: &Path) -> Result<Option<Self>, CertError> {
        let Some(text) = read(path)?.map(Secret) else { return Ok(None) };
        Self::from_pem(&path.display().to_string(), text.expose()).map(Some)
    }

    /// Reads a key in PEM, of any kind the generator knows.
    ///
    /// # Errors
    /// A text without a usable key; `what` names it.
    pub fn from_pem(what: &str, pem: &str) -> Result<Self, CertError> {
        KeyPair::from_pem(pem).map(Self).map_err(|_| CertError::Content {
            what: what.to_owned(),
            detail: "it holds no private key of a kind known here: ECDSA, Ed25519 or RSA, in PEM, \
                     without a passphrase"
                .to_owned(),
        })
    }

    /// The key in PEM.
    pub fn secret(&self) -> Secret {
        Secret(self.0.serialize_pem())
    }

    /// Eight hex digits that tell this key from others, for names of authorities: two with one name
    /// would make a wrong authority look like a broken signature.
    pub(super) fn mark(&self) -> String {
        Sha1::digest(self.public()).first_chunk::<4>().map(|start| hex(start)).unwrap_or_default()
    }

    /// A signature over `message`, as this kind of key signs certificates.
    ///
    /// # Errors
    /// If the key cannot sign.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CertError> {
        let fault = |source| CertError::Generate { subject: "a signature".to_owned(), source };
        self.0.sign(message).map_err(fault)
    }

    /// The public key's bits, as certificates carry them.
    pub fn public(&self) -> &[u8] {
        self.0.der_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hide_what_they_are() {
        let key = Key::generate().unwrap();
        let secret = key.secret();
        assert!(secret.expose().contains("PRIVATE KEY"));
        let new = crate::certs::New::private(Path::new("/k"), secret.expose(), None);
        assert_eq!(format!("{key:?} {secret:?} {new:?}"), "Key(..) Secret(..) New(/k, 600)");
    }
}
