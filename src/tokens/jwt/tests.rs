//! Keys of every kind, and what happens to their files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rcgen::{KeyPair, SignatureAlgorithm};
use tempfile::TempDir;

use super::*;

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn pair(folder: &Path, name: &str, kind: &'static SignatureAlgorithm) -> Jwt {
    let pair = KeyPair::generate_for(kind).unwrap();
    let (private, public) =
        (folder.join(format!("{name}.key")), folder.join(format!("{name}.pub")));
    write(&private, pair.serialize_pem());
    write(&public, pair.public_key_pem());
    Jwt {
        private_key: Some(private),
        public_key: Some(public),
        ttl: Duration::from_secs(60),
        ..Jwt::default()
    }
}

fn open(options: &Jwt) -> Result<Arc<Jwts>, KeyError> {
    Jwts::open(options.clone(), false, &Registry::new())
}

/// Keys for every method that is offered and needs no RSA, which takes long to make.
fn options(folder: &Path) -> Vec<Jwt> {
    let with = |method: &str, jwt: Jwt| Jwt { method: method.into(), ..jwt };
    let secret = folder.join("secret");
    write(&secret, "some words\n");
    let secret = Jwt { private_key: Some(secret), ttl: Duration::from_secs(60), ..Jwt::default() };
    let mut all = vec![
        with("ES256", pair(folder, "p256", &rcgen::PKCS_ECDSA_P256_SHA256)),
        with("ES384", pair(folder, "p384", &rcgen::PKCS_ECDSA_P384_SHA384)),
        with("EdDSA", pair(folder, "ed", &rcgen::PKCS_ED25519)),
    ];
    all.extend(["HS256", "HS384", "HS512"].map(|method| with(method, secret.clone())));
    all
}

#[test]
fn what_is_signed_is_verified_by_who_has_the_public_key_and_by_no_other() {
    let dir = TempDir::new().unwrap();
    let all = options(dir.path());
    for options in &all {
        let keys = open(options).unwrap();
        let token = keys.sign("alice", 7).unwrap();
        assert_eq!(keys.verify(&token), Some(("alice".into(), 7)), "{}", options.method);
        let mut other = token.clone();
        other.replace_range(0..3, "AAA");
        assert_eq!(keys.verify(&other), None, "{}", options.method);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(keys.verify(&format!("{signed}.{}", signature.to_lowercase())), None);
        if options.public_key.is_some() {
            let verifier = open(&Jwt { private_key: None, ..options.clone() }).unwrap();
            assert_eq!(verifier.verify(&token), Some(("alice".into(), 7)));
            assert_eq!(verifier.sign("alice", 7), Err(SignError::VerifyOnly));
            // The public key follows from the private one.
            let signer = open(&Jwt { public_key: None, ..options.clone() }).unwrap();
            assert!(verifier.verify(&signer.sign("bob", 1).unwrap()).is_some());
        }
        for foreign in all.iter().filter(|foreign| foreign.method != options.method) {
            let foreign = open(foreign).unwrap();
            assert_eq!(foreign.verify(&token), None, "another method and another key");
        }
    }
}

#[test]
fn a_token_holds_for_its_time() {
    let dir = TempDir::new().unwrap();
    let mut options = options(dir.path()).remove(0);
    options.ttl = Duration::ZERO;
    let keys = open(&options).unwrap();
    assert_eq!(keys.verify(&keys.sign("alice", 1).unwrap()), None);
}

#[test]
fn keys_that_do_not_fit_are_refused_with_file_expectation_and_finding() {
    let dir = TempDir::new().unwrap();
    let all = options(dir.path());
    let refused = |options: &Jwt| open(options).unwrap_err().to_string();
    let wrong_kind = Jwt { method: "ES384".into(), ..all[0].clone() };
    let text = refused(&wrong_kind);
    assert!(text.starts_with("auth: invalid auth options: private key "), "{text}");
    assert!(text.contains("p256.key: expected an ECDSA key of the curve P-384, got another"));
    let wrong_public = Jwt { private_key: None, ..wrong_kind };
    assert!(refused(&wrong_public).contains("p256.pub: expected an ECDSA key of the curve P-384"));
    let other = pair(dir.path(), "other", &rcgen::PKCS_ECDSA_P256_SHA256);
    let mixed = Jwt { public_key: other.public_key, ..all[0].clone() };
    assert!(refused(&mixed).contains("do not belong together"));
    let missing = Jwt { private_key: Some(dir.path().join("none")), ..all[0].clone() };
    assert!(refused(&missing).contains("none: No such file"));
    let half = dir.path().join("half.key");
    let whole = fs::read_to_string(all[0].private_key.as_ref().unwrap()).unwrap();
    write(&half, &whole[..whole.len() / 2]);
    let half = Jwt { private_key: Some(half), ..all[0].clone() };
    assert!(refused(&half).contains("no private key in PEM, or half of one"));
    let loose = all[1].private_key.clone().unwrap();
    fs::set_permissions(&loose, Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&all[1]).contains("mode 0644 lets every user of this machine at it"));
    assert!(Jwts::open(all[1].clone(), true, &Registry::new()).is_ok());
    assert!(refused(&Jwt { method: "HS256".into(), ..all[1].clone() }).contains("mode 0644"));
}

#[test]
fn bad_files_never_replace_good_keys_and_good_ones_do() {
    let dir = TempDir::new().unwrap();
    let options = options(dir.path()).remove(0);
    let keys = open(&options).unwrap();
    let token = keys.sign("alice", 1).unwrap();
    let key = options.private_key.as_ref().unwrap();
    let whole = fs::read(key).unwrap();
    write(key, &whole[..40]);
    assert!(keys.reload().is_err());
    assert!(keys.fault().unwrap().contains("half of one"));
    assert!(keys.verify(&token).is_some() && keys.sign("bob", 1).is_ok(), "the old ones hold");
    // The new pair comes one file after the other.
    let new = pair(dir.path(), "new", &rcgen::PKCS_ECDSA_P256_SHA256);
    fs::rename(new.private_key.unwrap(), key).unwrap();
    assert!(keys.reload().is_err());
    assert!(keys.fault().unwrap().contains("do not belong together"));
    fs::rename(new.public_key.unwrap(), options.public_key.as_ref().unwrap()).unwrap();
    keys.reload().unwrap();
    assert_eq!((keys.fault(), keys.verify(&token)), (None, None));
    assert!(keys.verify(&keys.sign("alice", 2).unwrap()).is_some());
}
