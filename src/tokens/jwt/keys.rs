//! The keys of signed tokens: read, checked against the method and each other.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer,
};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};
use zeroize::Zeroizing;

use super::Claims;
use super::der;
use crate::config::Jwt;
use crate::files::loose_mode;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read.
    #[error("auth: invalid auth options: {what} {}: {error}", path.display())]
    Read {
        /// Which key.
        what: &'static str,
        /// Its file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file holds something else.
    #[error("auth: invalid auth options: {what} {}: expected {expected}, got {got}", path.display())]
    Content {
        /// Which key.
        what: &'static str,
        /// Its file.
        path: PathBuf,
        /// What should be in it.
        expected: String,
        /// What is in it.
        got: String,
    },
    /// Every user of the machine can read a private key, or write it.
    #[error(
        "auth: invalid auth options: private key {}: mode {mode:04o} lets every user of this machine \
         at it; expected 0600 or 0640: run `chmod 600 {}`, or set --allow-loose-modes where it cannot \
         be otherwise",
        path.display(), path.display()
    )]
    Loose {
        /// Its file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The two keys are of different pairs.
    #[error(
        "auth: invalid auth options: public key {} and private key {} do not belong together",
        public.display(), private.display()
    )]
    Mismatch {
        /// The file of the one.
        public: PathBuf,
        /// The file of the other.
        private: PathBuf,
    },
}

/// Keys that fit their method.
pub(super) struct Keys {
    pub(super) algorithm: Algorithm,
    /// None if tokens are only verified.
    pub(super) signer: Option<EncodingKey>,
    pub(super) verifier: DecodingKey,
}

/// What kind of key a method takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Self::Secret,
            Algorithm::ES256 => Self::P256,
            Algorithm::ES384 => Self::P384,
            Algorithm::EdDSA => Self::Ed25519,
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => Self::Rsa,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Secret => "a secret",
            Self::Rsa => "an RSA key of 2048 bits or more",
            Self::P256 => "an ECDSA key of the curve P-256",
            Self::P384 => "an ECDSA key of the curve P-384",
            Self::Ed25519 => "an Ed25519 key",
        }
    }

    fn family(self) -> &'static SignatureAlgorithm {
        match self {
            Self::Secret | Self::Rsa => &rcgen::PKCS_RSA_SHA256,
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }

    /// A key to verify with, from the bits of the public key.
    fn verifier(self, public: &[u8]) -> DecodingKey {
        match self {
            Self::Secret => DecodingKey::from_secret(public),
            Self::Rsa => DecodingKey::from_rsa_der(public),
            Self::P256 | Self::P384 => DecodingKey::from_ec_der(public),
            Self::Ed25519 => DecodingKey::from_ed_der(public),
        }
    }
}

impl Keys {
    /// Reads the keys and tries them.
    ///
    /// # Errors
    /// They cannot be used.
    pub(super) fn load(options: &Jwt, loose: bool) -> Result<Self, KeyError> {
        // The configuration has looked at the name.
        let algorithm = Algorithm::from_str(&options.method).unwrap_or(Algorithm::RS256);
        let kind = Kind::of(algorithm);
        let private = options.private_key.as_deref().map(|path| private(path, kind, loose));
        let private = private.transpose()?;
        if kind == Kind::Secret {
            let secret = private.map(|private| private.secret).unwrap_or_default();
            return Ok(Self {
                algorithm,
                signer: Some(EncodingKey::from_secret(&secret)),
                verifier: DecodingKey::from_secret(&secret),
            });
        }
        let public = options.public_key.as_deref().map(|path| public(path, kind));
        let public = public.transpose()?;
        let bits = match (&public, &private) {
            (Some(public), Some(private)) if *public != private.public => {
                return Err(KeyError::Mismatch {
                    public: options.public_key.clone().unwrap_or_default(),
                    private: options.private_key.clone().unwrap_or_default(),
                });
            }
            (Some(public), _) => public,
            (None, Some(private)) => &private.public,
            (None, None) => &Vec::new(),
        };
        let verifier = kind.verifier(bits);
        let signer = private.map(|private| private.signer(kind));
        let keys = Self { algorithm, signer, verifier };
        match (&options.private_key, keys.works()) {
            (Some(path), false) => Err(unfit("private key", path, kind, "one that does not sign")),
            _ => Ok(keys),
        }
    }

    /// What a token says that was signed with these keys; its end is not looked at.
    pub(super) fn claims(&self, token: &str) -> Option<Claims> {
        let mut rules = Validation::new(self.algorithm);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        Some(decode::<Claims>(token, &self.verifier, &rules).ok()?.claims)
    }

    /// Keys of one secret.
    #[cfg(any(test, fuzzing))]
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            signer: Some(EncodingKey::from_secret(secret)),
            verifier: DecodingKey::from_secret(secret),
        }
    }

    /// Whether what is signed is verified.
    fn works(&self) -> bool {
        let Some(signer) = &self.signer else { return true };
        let claims = Claims { username: String::new(), revision: 0.into(), exp: None };
        encode(&Header::new(self.algorithm), &claims, signer)
            .is_ok_and(|token| self.claims(&token).is_some())
    }
}

/// A private key with the bits of its public one.
struct Private {
    /// The secret, or the key as PKCS#8.
    secret: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

impl Private {
    fn signer(&self, kind: Kind) -> EncodingKey {
        match kind {
            Kind::Secret => EncodingKey::from_secret(&self.secret),
            // The form without the envelope.
            Kind::Rsa => {
                EncodingKey::from_rsa_der(der::inner_key(&self.secret).unwrap_or_default())
            }
            Kind::P256 | Kind::P384 => EncodingKey::from_ec_der(&self.secret),
            Kind::Ed25519 => EncodingKey::from_ed_der(&self.secret),
        }
    }
}

fn private(path: &Path, kind: Kind, loose: bool) -> Result<Private, KeyError> {
    const WHAT: &str = "private key";
    let text = read(WHAT, path)?;
    if let Some(mode) = loose_mode(path).filter(|_| !loose) {
        return Err(KeyError::Loose { path: path.to_owned(), mode });
    }
    if kind == Kind::Secret {
        if text.is_empty() {
            return Err(unfit(WHAT, path, kind, "an empty file"));
        }
        return Ok(Private { secret: text, public: Vec::new() });
    }
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| unfit(WHAT, path, kind, "no private key in PEM, or half of one"))?;
    let secret = Zeroizing::new(match &key {
        PrivateKeyDer::Pkcs8(key) => key.secret_pkcs8_der().to_vec(),
        PrivateKeyDer::Pkcs1(key) => der::envelope(der::RSA, key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(key) => {
            let curve = if kind == Kind::P384 { der::P384 } else { der::P256 };
            der::envelope(curve, key.secret_sec1_der())
        }
        _ => Vec::new(),
    });
    let pkcs8 = PrivatePkcs8KeyDer::from(secret.as_slice());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, kind.family())
        .map_err(|_| unfit(WHAT, path, kind, "another kind of key"))?;
    let public = pair.der_bytes().to_vec();
    Ok(Private { secret, public })
}

/// The bits of a public key, which may be inside a certificate.
fn public(path: &Path, kind: Kind) -> Result<Vec<u8>, KeyError> {
    const WHAT: &str = "public key";
    let text = read(WHAT, path)?;
    let wrong = |got| unfit(WHAT, path, kind, got);
    let other = "another kind of key";
    if let Ok(key) = SubjectPublicKeyInfoDer::from_pem_slice(&text) {
        let (_, info) = SubjectPublicKeyInfo::from_der(&key).map_err(|_| wrong("a damaged key"))?;
        return bits(&info, kind).ok_or_else(|| wrong(other));
    }
    if let Ok(certificate) = CertificateDer::from_pem_slice(&text) {
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| wrong("a damaged certificate"))?;
        return bits(parsed.public_key(), kind).ok_or_else(|| wrong(other));
    }
    Err(wrong("no public key in PEM, or half of one"))
}

/// The bits of a public key of this kind.
fn bits(info: &SubjectPublicKeyInfo<'_>, kind: Kind) -> Option<Vec<u8>> {
    let of_curve = |curve: &str| {
        let named = info.algorithm.parameters.as_ref().and_then(|named| named.as_oid().ok());
        named.is_some_and(|named| named.to_id_string() == curve)
    };
    let is_kind = match (kind, info.algorithm.algorithm.to_id_string().as_str()) {
        (Kind::Rsa, "1.2.840.113549.1.1.1") | (Kind::Ed25519, "1.3.101.112") => true,
        (Kind::P256, "1.2.840.10045.2.1") => of_curve("1.2.840.10045.3.1.7"),
        (Kind::P384, "1.2.840.10045.2.1") => of_curve("1.3.132.0.34"),
        _ => false,
    };
    is_kind.then(|| info.subject_public_key.data.to_vec())
}

fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let read = std::fs::read(path).map(Zeroizing::new);
    read.map_err(|error| KeyError::Read { what, path: path.to_owned(), error })
}

fn unfit(what: &'static str, path: &Path, kind: Kind, got: &str) -> KeyError {
    KeyError::Content {
        what,
        path: path.to_owned(),
        expected: kind.name().to_owned(),
        got: got.to_owned(),
    }
}
