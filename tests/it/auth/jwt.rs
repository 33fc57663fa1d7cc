//! Signed tokens: by ours and by etcd, with keys that change while the server runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use etcd::proto::etcdserverpb::AuthenticateRequest;
use rcgen::{KeyPair, SignatureAlgorithm};
use tempfile::TempDir;

use super::lasting::{add_user, begin, login, stranger};
use crate::support::cluster::requests::{answer, get, put, refusal, try_get};
use crate::support::process::Process;
use crate::support::server::{ALONE, Kind, Server};
use crate::support::wait::comes_true;
use crate::support::{http, reference};

fn write(path: &Path, content: impl AsRef<[u8]>) {
    // Made beside and renamed, as whoever renews keys should do.
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&beside, path).unwrap();
}

fn keys(folder: &Path, kind: &'static SignatureAlgorithm) {
    let pair = KeyPair::generate_for(kind).unwrap();
    write(&folder.join("jwt.key"), pair.serialize_pem());
    write(&folder.join("jwt.pub"), pair.public_key_pem());
}

fn option(folder: &Path, method: &str, files: &[&str]) -> String {
    let file = |name: &str| {
        format!(
            ",{name}={}",
            folder.join(if name == "pub-key" { "jwt.pub" } else { "jwt.key" }).display()
        )
    };
    let files: String = files.iter().map(|name| file(name)).collect();
    format!("--auth-token=jwt,sign-method={method}{files}")
}

const BOTH: &[&str] = &["pub-key", "priv-key"];

/// A server with users whose tokens are signed by this method, with those of the folder's keys.
async fn serving(folder: &Path, method: &str, files: &[&str]) -> Server {
    let flag = option(folder, method, files);
    let server = Server::start_with(&Kind::Ours, "http", &["--bcrypt-cost=4", &flag]);
    begin(&stranger(&server.url())).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_tokens_tell_the_revision_and_grow_old() {
    let folder = TempDir::new().unwrap();
    keys(folder.path(), &rcgen::PKCS_ECDSA_P256_SHA256);
    let mut server = serving(folder.path(), "ES256", BOTH).await;
    let alice = login(&server.url(), "alice", "pw").await;
    put(&alice, "a", "1").await;
    assert_eq!(refusal(try_get(&alice, "b").await).1, "etcdserver: permission denied");
    let root = login(&server.url(), "root", "rootpw").await;
    add_user(&root, "bob", "pw").await.unwrap();
    for answer in [try_get(&alice, "a").await, try_get(&root, "a").await] {
        assert_eq!(refusal(answer).1, "etcdserver: revision of auth store is old");
    }
    // It needs no memory of the server's: only time and changes end it.
    let alice = login(&server.url(), "alice", "pw").await;
    server.restart();
    let there = stranger(&server.url()).with_token_of(&alice);
    assert_eq!(get(&there, "a").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_only_the_public_key_verifies_and_does_not_sign() {
    let folder = TempDir::new().unwrap();
    keys(folder.path(), &rcgen::PKCS_ED25519);
    let server = serving(folder.path(), "EdDSA", &["pub-key"]).await;
    let request = AuthenticateRequest { name: "alice".into(), password: "pw".into() };
    let refused = refusal(answer(stranger(&server.url()).auth().authenticate(request)).await);
    let words = "auth: token signing attempted with verify-only key";
    assert_eq!(refused, (tonic::Code::Unknown, words.to_owned()));
    // Another server, with the private key and the same users, signs.
    let signer = serving(folder.path(), "EdDSA", &["priv-key"]).await;
    let alice = login(&signer.url(), "alice", "pw").await;
    let there = stranger(&server.url()).with_token_of(&alice);
    assert!(put(&there, "a", "1").await > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_takes_our_tokens_and_we_take_etcds() {
    let Some(reference) = reference::folder() else { return };
    let folder = TempDir::new().unwrap();
    for (method, kind) in [
        ("RS256", None),
        ("PS384", None),
        ("ES256", Some(&rcgen::PKCS_ECDSA_P256_SHA256)),
        ("ES384", Some(&rcgen::PKCS_ECDSA_P384_SHA384)),
        ("HS512", None),
    ] {
        match kind {
            Some(kind) => keys(folder.path(), kind),
            None if method == "HS512" => write(&folder.path().join("jwt.key"), "a secret\n"),
            None => rsa(folder.path()),
        }
        let files = if method == "HS512" { &["priv-key"] } else { BOTH };
        let flag = option(folder.path(), method, files);
        let flags = ["--bcrypt-cost=4", flag.as_str()];
        let etcd = Server::start_with(&Kind::Reference(reference.clone()), "http", &flags);
        let ours = Server::start_with(&Kind::Ours, "http", &flags);
        for server in [&etcd, &ours] {
            begin(&stranger(&server.url())).await;
        }
        for (from, to) in [(&etcd, &ours), (&ours, &etcd)] {
            let alice = login(&from.url(), "alice", "pw").await;
            let there = stranger(&to.url()).with_token_of(&alice);
            assert!(put(&there, "a", method).await > 1, "{method}");
            assert_eq!(refusal(try_get(&there, "b").await).1, "etcdserver: permission denied");
        }
    }
}

/// A pair as older tools write it.
fn rsa(folder: &Path) {
    let (key, public) = (folder.join("jwt.key"), folder.join("jwt.pub"));
    let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output();
    assert!(made.unwrap().status.success(), "openssl makes a key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let made = Command::new("openssl")
        .args(["rsa", "-pubout", "-in"])
        .arg(&key)
        .arg("-out")
        .arg(&public)
        .output();
    assert!(made.unwrap().status.success(), "openssl writes the public key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_taken_up_live_and_bad_files_are_not() {
    let folder = TempDir::new().unwrap();
    let (key, public) = (folder.path().join("jwt.key"), folder.path().join("jwt.pub"));
    keys(folder.path(), &rcgen::PKCS_ECDSA_P256_SHA256);
    let mut server = serving(folder.path(), "ES256", BOTH).await;
    let alice = login(&server.url(), "alice", "pw").await;
    put(&alice, "a", "1").await;
    let whole = fs::read(&key).unwrap();
    let loose = || fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let foreign = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mixed = || {
        write(&public, foreign.public_key_pem());
        write(&key, &whole);
    };
    let half = || fs::write(&key, &whole[..whole.len() / 2]).unwrap();
    let damages: [(&dyn Fn(), &str); 3] = [
        (&half, "or half of one"),
        (&mixed, "do not belong together"),
        (&loose, "mode 0644 lets every user of this machine at it"),
    ];
    for (damage, reason) in damages {
        // Noticed without being told.
        damage();
        server.process.wait_line(reason, |line| {
            (line.contains("those in use are kept") && line.contains(reason)).then_some(())
        });
        assert_eq!(get(&alice, "a").await.as_deref(), Some("1"), "the old keys verify");
        let again = login(&server.url(), "alice", "pw").await;
        assert!(try_get(&again, "a").await.is_ok(), "and sign");
        let detail = http::request(server.address(), "GET", "/readyz?verbose");
        assert!(detail.status == 200 && detail.body.contains(reason), "{}", detail.body);
    }
    let counted = (reloads(&server, "failure"), reloads(&server, "success"));
    assert!(counted.0 >= 3 && counted.1 == 0, "{counted:?}");
    // Whole again, and others: the tokens of before hold no more.
    keys(folder.path(), &rcgen::PKCS_ECDSA_P256_SHA256);
    server.process.signal("HUP");
    comes_true("the new keys", async || {
        let refused = try_get(&alice, "a").await.err()?;
        (refused.message() == "etcdserver: invalid auth token").then_some(())
    })
    .await;
    let alice = login(&server.url(), "alice", "pw").await;
    assert_eq!(get(&alice, "a").await.as_deref(), Some("1"));
    assert!(reloads(&server, "success") >= 1);
    let detail = http::request(server.address(), "GET", "/readyz?verbose").body;
    assert!(!detail.contains("jwt.key"), "{detail}");
}

fn reloads(server: &Server, result: &str) -> u64 {
    let metrics = http::request(server.address(), "GET", "/metrics").body;
    let name = format!("etcd_rs_auth_key_reloads_total{{result=\"{result}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
    value.parse().unwrap()
}

#[test]
fn what_cannot_be_signed_with_does_not_start() {
    let folder = TempDir::new().unwrap();
    keys(folder.path(), &rcgen::PKCS_ECDSA_P256_SHA256);
    let bogus = "--auth-token=bogus".to_owned();
    for (flag, words) in [
        (bogus, "expected simple, jwt or nothing, got \\\"bogus\\\""),
        (option(folder.path(), "ES512", BOTH), "ES512 needs the curve P-521"),
        (option(folder.path(), "RS256", BOTH), "jwt.key: expected an RSA key"),
        (option(folder.path(), "RS256", &[]), "RS256 needs the file of a key"),
    ] {
        let home = TempDir::new().unwrap();
        let mut command = Kind::Ours.daemon(home.path(), "http", ALONE);
        let mut process = Process::start(command.arg("--logger=zap").arg(&flag));
        assert_eq!(process.wait_end().code(), Some(1), "{flag}");
        let output = process.output().join("\n");
        let told = "auth: invalid auth options: ";
        assert!(output.contains(told) && output.contains(words), "{flag}: {output}");
    }
}
