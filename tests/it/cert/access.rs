//! Who gets in with what the commands made, by the real etcdctl where it is at hand.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use etcd::certs::{Authority, Key, Leaf, Purpose, Validity, write_certificate, write_key};
use etcd::types::clock::Clock;

use crate::cert::{Answer, Desk, replace_server};
use crate::support::reference;
use crate::support::server::{Kind, Server};

const DAY: Duration = Duration::from_secs(86_400);

/// The real etcdctl, or ours where there is none.
fn etcdctl() -> PathBuf {
    reference::folder()
        .map_or_else(|| Kind::Ours.program("etcdctl"), |folder| folder.join("etcdctl"))
}

fn ctl(url: &str, ca: &Path, pair: Option<&Path>, words: &[&str]) -> Answer {
    let mut command = Command::new(etcdctl());
    command.env_clear().args(["--dial-timeout=2s", "--command-timeout=4s", "--endpoints", url]);
    command.arg("--cacert").arg(ca);
    if let Some(pair) = pair {
        command.arg("--cert").arg(pair.with_extension("crt"));
        command.arg("--key").arg(pair.with_extension("key"));
    }
    Answer::of(&command.args(words).output().unwrap())
}

/// A pair one of the directory's authorities signed, other than its commands would.
fn sign(desk: &Desk, side: &str, name: &str, purpose: Purpose, validity: Validity) -> PathBuf {
    let key = Key::from_pem("key", &desk.read(&format!("ca/{side}-ca.key"))).unwrap();
    let authority =
        Authority::load("authority", &desk.read(&format!("{side}-ca.crt")), key).unwrap();
    let hosts = vec!["127.0.0.1".to_owned()];
    let issued =
        authority.issue(&Leaf { common_name: name.to_owned(), hosts, purpose, validity }).unwrap();
    let stem = desk.path(name);
    write_certificate(&stem.with_extension("crt"), &issued.certificate).unwrap();
    write_key(&stem.with_extension("key"), &issued.key).unwrap();
    stem
}

fn refused(server: &mut Server, reason: &str) {
    server.process.wait_line(reason, |line| {
        (line.contains("rejected connection") && line.contains(reason)).then_some(())
    });
}

#[test]
fn from_an_empty_directory_to_an_answer_of_the_real_etcdctl() {
    let desk = Desk::ready();
    let server = desk.server();
    let (ca, admin) = (desk.path("ca.crt"), desk.path("clients/admin"));
    let put = ctl(&server.url(), &ca, Some(&admin), &["put", "foo", "bar"]).good();
    assert_eq!(put.stdout, "OK\n");
    let get = ctl(&server.url(), &ca, Some(&admin), &["get", "foo"]).good();
    assert_eq!(get.stdout, "foo\nbar\n");
}

#[test]
fn who_changes_the_cluster_is_told_by_name() {
    let desk = Desk::ready();
    let mut server = desk.server();
    let (ca, admin) = (desk.path("ca.crt"), desk.path("clients/admin"));
    ctl(&server.url(), &ca, Some(&admin), &["defrag"]).good();
    let refused = ctl(&server.url(), &ca, Some(&admin), &["member", "remove", "1"]);
    assert_ne!(refused.code, Some(0));
    let serial = desk.run(&["status", "pki/clients/admin.crt", "--output=json"]).good().json()
        ["certificates"][0]["serial"]
        .clone();
    for (method, code) in [("Defragment", "OK"), ("MemberRemove", "NotFound")] {
        let line = server.process.wait_line(method, |line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line["msg"] == "administrative call" && line["method"] == method).then_some(line)
        });
        let told = [&line["code"], &line["common-name"], &line["serial"]];
        assert_eq!(told, [&code.into(), &"admin".into(), &serial], "{line}");
        assert!(line["remote-addr"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    }
}

#[test]
fn who_is_known_by_a_uri_is_told_by_it() {
    let desk = Desk::ready();
    let mut server = desk.server();
    let key = rcgen::KeyPair::from_pem(&desk.read("ca/client-ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&desk.read("client-ca.crt"), key).unwrap();
    let (key, uri) = (rcgen::KeyPair::generate().unwrap(), "spiffe://example.org/backup");
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names.push(rcgen::SanType::URI(uri.try_into().unwrap()));
    params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    let stem = desk.path("backup");
    write_certificate(&stem.with_extension("crt"), &certificate).unwrap();
    let key = Key::from_pem("key", &key.serialize_pem()).unwrap();
    write_key(&stem.with_extension("key"), &key.secret()).unwrap();
    ctl(&server.url(), &desk.path("ca.crt"), Some(&stem), &["defrag"]).good();
    let line = server.process.wait_line("the call", |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["msg"] == "administrative call").then_some(line)
    });
    assert_eq!((&line["uris"], &line["method"]), (&uri.into(), &"Defragment".into()), "{line}");
}

#[test]
fn real_etcd_serves_with_the_same_files() {
    let Some(folder) = reference::folder() else { return };
    let (desk, stranger) = (Desk::ready(), Desk::ready());
    let server = desk.server_of(&Kind::Reference(folder), &[]);
    let (ca, admin) = (desk.path("ca.crt"), desk.path("clients/admin"));
    let put = |pair: &Path| ctl(&server.url(), &ca, Some(pair), &["put", "foo", "bar"]);
    assert_eq!(put(&admin).good().stdout, "OK\n");
    assert_ne!(put(&stranger.path("clients/admin")).code, Some(0));
    assert_ne!(put(&desk.path("peer")).code, Some(0), "a member passed for a client");
    assert_eq!(desk.run(&["verify", &server.url()]).good().code, Some(0));
    desk.run(&["revoke", "admin"]).good();
    assert_ne!(put(&admin).code, Some(0), "a revoked client got in");
}

#[test]
fn everybody_else_is_refused_with_the_reason() {
    let desk = Desk::ready();
    let stranger = Desk::ready();
    let mut server = desk.server();
    let now = Clock.unix();
    let past = Validity { from: now - 10 * DAY, until: now - 9 * DAY };
    let expired = sign(&desk, "client", "expired", Purpose::Client, past);
    let serving = sign(&desk, "client", "serving", Purpose::Server, Validity::starting(now, DAY));
    let ca = desk.path("ca.crt");
    for (pair, reason) in [
        (None, "certificate required"),
        (Some(stranger.path("clients/admin")), "certificate signed by an unknown authority"),
        // Both sides of the mismatch are named.
        (Some(stranger.path("clients/admin")), &stranger.name_of("client-ca.crt")),
        (Some(stranger.path("clients/admin")), &desk.name_of("client-ca.crt")),
        (Some(expired), "expired"),
        (Some(serving), "lacks clientAuth"),
        // A member is no client: its authority is another one.
        (Some(desk.path("peer")), "certificate signed by an unknown authority"),
    ] {
        let answer = ctl(&server.url(), &ca, pair.as_deref(), &["put", "k", "v"]);
        assert_ne!(answer.code, Some(0), "{pair:?} got in");
        refused(&mut server, reason);
    }
    // And the client refuses a server whose authority it does not know.
    let admin = desk.path("clients/admin");
    let other = stranger.path("ca.crt");
    assert_ne!(ctl(&server.url(), &other, Some(&admin), &["put", "k", "v"]).code, Some(0));
    ctl(&server.url(), &ca, Some(&admin), &["put", "k", "v"]).good();
}

#[test]
fn a_client_that_asks_for_another_name_is_told_apart_from_one_with_another_authority() {
    let desk = Desk::ready();
    replace_server(&desk, &["db9.example"], Purpose::Server, Validity::starting(Clock.unix(), DAY));
    let mut server = desk.server();
    let port = server.address().rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}");
    let (ca, admin) = (desk.path("ca.crt"), desk.path("clients/admin"));
    assert_ne!(ctl(&url, &ca, Some(&admin), &["put", "k", "v"]).code, Some(0));
    let line = server.process.wait_line("the refusal", |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["reason"] == "client_distrusts_us").then_some(line)
    });
    let told = line["error"].as_str().unwrap();
    let lists =
        "asked for \"localhost\", and this server's certificate is valid for [\"db9.example\"]";
    assert!(told.contains(lists) && !told.contains("--cacert"), "{told}");
}

#[test]
fn a_revoked_client_is_refused_without_a_restart() {
    let desk = Desk::ready();
    desk.run(&["issue", "client", "app"]).good();
    let mut server = desk.server();
    let (ca, app) = (desk.path("ca.crt"), desk.path("clients/app"));
    ctl(&server.url(), &ca, Some(&app), &["put", "k", "v"]).good();
    let said = desk.run(&["revoke", "app", "--output=json"]).good().json();
    let serial = said["revoked"][0]["serial"].as_str().unwrap().to_owned();
    // The file is looked at once a second at most.
    crate::support::wait::eventually("the refusal", || {
        (ctl(&server.url(), &ca, Some(&app), &["put", "k", "v"]).code != Some(0)).then_some(())
    });
    refused(&mut server, &format!("certificate serial {serial} revoked"));
    ctl(&server.url(), &ca, Some(&desk.path("clients/admin")), &["put", "k", "v"]).good();
    let status = desk.run(&["status"]);
    assert_eq!(status.code, Some(1));
    let row = status.stdout.lines().find(|line| line.starts_with("clients/app.crt")).unwrap();
    assert!(row.ends_with("revoked"), "{row}");
    let again = desk.run(&["revoke", &serial]).good();
    assert!(again.stdout.contains("on the list already"), "{}", again.stdout);
    let nobody = desk.run(&["revoke", "nobody"]);
    assert_eq!(nobody.code, Some(1), "{}", nobody.stdout);
}

#[test]
fn another_authority_is_trusted_without_a_restart() {
    let (desk, other) = (Desk::ready(), Desk::ready());
    let server = desk.server();
    let pair = other.path("clients/admin");
    let put = || ctl(&server.url(), &desk.path("ca.crt"), Some(&pair), &["put", "k", "v"]).code;
    assert_ne!(put(), Some(0));
    let both = format!("{}{}", desk.read("client-ca.crt"), other.read("client-ca.crt"));
    write_certificate(&desk.path("client-ca.crt"), &both).unwrap();
    crate::support::wait::eventually("the other authority", || (put() == Some(0)).then_some(()));
}

#[test]
fn a_renewed_server_certificate_is_shown_without_a_restart() {
    let desk = Desk::ready();
    let server = desk.server();
    let (ca, admin) = (desk.path("ca.crt"), desk.path("clients/admin"));
    let serial = |answer: &Answer| answer.json()["certificates"][0]["serial"].clone();
    let shown = || desk.run(&["status", "--endpoints", &server.url(), "--output=json"]).good();
    let before = serial(&shown());
    desk.run(&["renew", "--force"]).good();
    crate::support::wait::eventually("the new certificate", || {
        (serial(&shown()) != before).then_some(())
    });
    ctl(&server.url(), &ca, Some(&admin), &["put", "k", "v"]).good();
}
