//! `status` and `verify`: do they find what is wrong, and say it?

use std::time::Duration;

use etcd::certs::{Purpose, Validity};
use etcd::types::clock::Clock;

use crate::cert::{Answer, Desk, replace_server};
use crate::support::server::{Kind, Server};

const DAY: Duration = Duration::from_secs(86_400);

fn ending(left: Duration) -> Validity {
    let now = Clock.unix();
    Validity { from: now - 90 * DAY, until: now + left }
}

fn row<'a>(answer: &'a Answer, file: &str) -> &'a str {
    answer.stdout.lines().find(|line| line.starts_with(file)).unwrap()
}

/// The detail and the fix of a check that failed.
fn failed(answer: &Answer, check: &str) -> (String, String) {
    let json = answer.json();
    let checks = json["checks"].as_array().unwrap();
    let found = checks.iter().find(|one| one["check"] == check && one["outcome"] == "BAD");
    let found = found.unwrap_or_else(|| panic!("{check} did not fail: {}", answer.stdout));
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    assert_eq!(answer.code, Some(1));
    (text("detail"), text("fix"))
}

#[test]
fn status_warns_before_the_end_and_says_when_it_came() {
    let desk = Desk::ready();
    let well = desk.run(&["status"]);
    assert_eq!(well.code, Some(0), "{}", well.stdout);
    for head in ["FILE", "ROLE", "SUBJECT", "SANS", "ISSUER", "EXPIRES", "LEFT", "STATE"] {
        assert!(well.stdout.lines().next().unwrap().contains(head));
    }
    for file in ["ca.crt", "client-ca.crt", "peer-ca.crt", "client.crl", "clients/admin.crt"] {
        row(&well, file);
    }
    let (names, before) = (["localhost"], Clock.unix() - 90 * DAY);
    replace_server(&desk, &names, Purpose::Server, ending(10 * DAY));
    let warned = desk.run(&["status"]);
    assert_eq!(warned.code, Some(1));
    assert!(row(&warned, "server.crt").ends_with("renew"), "{}", warned.stdout);
    let over = Validity { from: before, until: Clock.unix() - DAY };
    replace_server(&desk, &names, Purpose::Server, over);
    let expired = desk.run(&["status"]);
    assert_eq!(expired.code, Some(2));
    assert!(row(&expired, "server.crt").ends_with("expired"), "{}", expired.stdout);
    let json = desk.run(&["status", "--output=json"]);
    assert_eq!((json.code, json.json()["state"].as_str()), (Some(2), Some("expired")));
    desk.run(&["renew"]).good();
    assert_eq!(desk.run(&["status"]).code, Some(0));
    let path = desk.path("server.key");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let loose = desk.run(&["status"]);
    assert_eq!(loose.code, Some(1));
    assert!(row(&loose, "server.crt").contains("chmod 600"), "{}", loose.stdout);
}

#[test]
fn a_healthy_server_passes_every_check() {
    let desk = Desk::ready();
    let server = desk.server();
    let said = desk.run(&["verify", &server.url()]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    for word in ["reachable", "TLS 1.3", "h2", "trusted by", "serverAuth", "127.0.0.1 is among"] {
        assert!(said.stdout.contains(word), "{word}: {}", said.stdout);
    }
    assert!(said.stdout.contains("took the client certificate"), "{}", said.stdout);
    let status = desk.run(&["status", "--endpoints", &server.url()]);
    assert_eq!((status.code, status.stdout.lines().count()), (Some(0), 3), "{}", status.stdout);
    let with_nobody = format!("{},https://127.0.0.1:1", server.url());
    let status = desk.run(&["status", "--endpoints", &with_nobody]);
    assert_eq!(status.code, Some(1), "{}", status.stdout);
    assert!(row(&status, "https://127.0.0.1:1").contains("refuses connections"));
}

#[test]
fn what_is_wrong_with_a_connection_is_named_with_its_fix() {
    let desk = Desk::ready();
    let plain = Server::start(&Kind::Ours);
    let verify = |words: &[&str]| desk.run(&[&["verify", "--output=json"], words].concat());
    let https = format!("https://{}", plain.address());
    let (detail, fix) = failed(&verify(&[&https]), "protocol");
    assert!(detail.contains("plaintext") && fix.contains("http://"), "{detail}: {fix}");
    let (_, fix) = failed(&verify(&["https://127.0.0.1:1"]), "reachable");
    assert!(fix.contains("--listen-client-urls"), "{fix}");
    let server = desk.server();
    let http = format!("http://{}", server.address());
    let (_, fix) = failed(&verify(&[&http]), "protocol");
    assert!(fix.contains("https://"), "{fix}");
    let (detail, _) = failed(&verify(&[&server.url(), "--server-name", "other.example"]), "name");
    assert!(
        detail.contains("asked for: other.example") && detail.contains("localhost"),
        "{detail}"
    );
    let stranger = Desk::ready();
    let ca = stranger.path("ca.crt").display().to_string();
    let (detail, fix) = failed(&verify(&[&server.url(), "--cacert", &ca]), "chain");
    assert!(detail.contains("etcd root CA") && fix.contains("--cacert"), "{detail}: {fix}");
    let pair = [
        "--cert".to_owned(),
        stranger.path("clients/admin.crt").display().to_string(),
        "--key".to_owned(),
        stranger.path("clients/admin.key").display().to_string(),
    ];
    let words: Vec<&str> = pair.iter().map(String::as_str).collect();
    let url = server.url();
    let (detail, _) = failed(&verify(&[&[url.as_str()], words.as_slice()].concat()), "client");
    assert!(detail.contains("refuses the client certificate"), "{detail}");
    std::fs::rename(desk.path("clients/admin.crt"), desk.path("clients/gone")).unwrap();
    let (detail, fix) = failed(&verify(&[&server.url()]), "client");
    assert!(detail.contains("got none") && fix.contains("--cert"), "{detail}: {fix}");
}

#[test]
fn an_expired_and_misused_certificate_is_told_apart_from_a_wrong_chain() {
    let desk = Desk::ready();
    let now = Clock.unix();
    replace_server(&desk, &[], Purpose::Client, Validity { from: now - 9 * DAY, until: now - DAY });
    let flags = [
        format!("--cert-file={}", desk.path("server.crt").display()),
        format!("--key-file={}", desk.path("server.key").display()),
    ];
    let server = Server::start_with(&Kind::Ours, "https", &[&flags[0], &flags[1]]);
    let said = desk.run(&["verify", &server.url(), "--output=json"]);
    assert!(failed(&said, "dates").0.contains("expired"), "{}", said.stdout);
    assert!(failed(&said, "purpose").0.contains("lack serverAuth"), "{}", said.stdout);
    assert!(failed(&said, "name").0.contains("valid for: nothing"), "{}", said.stdout);
    let chain = said.json()["checks"]
        .as_array()
        .unwrap()
        .iter()
        .any(|check| check["check"] == "chain" && check["outcome"] == "BAD");
    assert!(!chain, "{}", said.stdout);
    let status = desk.run(&["status", "--endpoints", &server.url()]);
    assert_eq!(status.code, Some(2), "{}", status.stdout);
}

#[test]
fn a_pair_is_looked_at_without_any_server() {
    let desk = Desk::ready();
    let verify =
        |words: &[&str]| desk.run(&[&["verify", "--output=json", "--pair"], words].concat());
    assert_eq!(verify(&["pki/server.crt", "pki/server.key"]).code, Some(0));
    let (detail, _) = failed(&verify(&["pki/server.crt", "pki/peer.key"]), "key");
    assert!(detail.contains("does not belong to the certificate"), "{detail}");
    failed(&verify(&["pki/server.key", "pki/server.crt"]), "certificate");
    failed(&verify(&["pki/server.crt", "pki/none.key"]), "key");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(desk.path("server.key"), mode).unwrap();
    let (_, fix) = failed(&verify(&["pki/server.crt", "pki/server.key"]), "mode");
    assert!(fix.starts_with("chmod 600"), "{fix}");
    let stranger = Desk::ready();
    let ca = stranger.path("ca.crt").display().to_string();
    failed(&verify(&["pki/peer.crt", "pki/peer.key", "--cacert", &ca]), "chain");
}
