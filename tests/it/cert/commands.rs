//! What the commands leave on disk.

use std::os::unix::fs::PermissionsExt;

use etcd::certs::{Facts, own_names};
use etcd::types::clock::Clock;

use crate::cert::Desk;
use crate::cert::enrol::{join, serve, token};

/// The curve P-256 as a key names it (RFC 5480, section 2.1.1.1).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

#[test]
fn init_makes_everything_and_a_second_run_changes_nothing() {
    let desk = Desk::new();
    let first = desk.run(&["init", "--san", "db1.example.org,10.9.8.7", "--output=json"]).good();
    let first = first.json();
    assert_eq!(first["changed"], true);
    for name in ["localhost", "127.0.0.1", "::1", "db1.example.org", "10.9.8.7"] {
        for names in ["server_names", "peer_names"] {
            assert!(first[names].as_array().unwrap().contains(&name.into()), "{name}");
        }
    }
    for name in ["ca.crt", "client-ca.crt", "peer-ca.crt", "client.crl", "peer.crl"] {
        assert_eq!(desk.mode(name), 0o644, "{name}");
    }
    for name in own_names() {
        assert!(
            first["server_names"].as_array().unwrap().contains(&name.as_str().into()),
            "{name}"
        );
    }
    for name in ["server.crt", "peer.crt", "clients/admin.crt"] {
        let facts = Facts::from_pem(name, &desk.read(name)).unwrap().remove(0);
        assert_eq!(facts.life().as_secs(), 90 * 86_400, "{name}");
        assert!(facts.spki.windows(P256.len()).any(|part| part == P256), "{name}");
    }
    for name in ["server.key", "peer.key", "clients/admin.key", "ca/root.key", "ca/peer-ca.key"] {
        assert_eq!(desk.mode(name), 0o600, "{name}");
    }
    assert_eq!((desk.mode("ca"), desk.mode("clients")), (0o700, 0o700));
    let before = desk.contents();
    assert!(before.iter().all(|(path, _)| path.extension().is_none_or(|end| end != "tmp")));
    let second = desk.run(&["init"]).good();
    assert!(second.stdout.contains("nothing was changed"), "{}", second.stdout);
    // The names given the first time are not asked for now, and those of today are all there.
    assert_eq!((second.stderr.as_str(), desk.contents() == before), ("", true));
    let more = desk.run(&["init", "--san", "new.example.org"]).good();
    assert!(more.stderr.contains("renew server --san new.example.org"), "{}", more.stderr);
    assert!(desk.contents() == before);
    desk.run(&["renew", "server", "--san", "new.example.org"]).good();
    let status = desk.run(&["status"]).good();
    let row = status.stdout.lines().find(|line| line.starts_with("server.crt")).unwrap();
    for name in ["db1.example.org", "new.example.org"] {
        assert!(row.contains(name), "{row}");
    }
}

#[test]
fn names_come_from_the_urls_of_the_server() {
    let desk = Desk::new();
    std::fs::write(
        desk.folder.path().join("etcd.yml"),
        "listen-client-urls: https://0.0.0.0:2379\nadvertise-client-urls: https://from.file:2379\n",
    )
    .unwrap();
    let said = desk.run(&[
        "init",
        "--config-file=etcd.yml",
        "--initial-advertise-peer-urls",
        "https://10.1.2.3:2380",
        "--initial-cluster=default=https://10.1.2.3:2380",
        "--output=json",
    ]);
    let said = said.good().json();
    let has = |names: &str, name: &str| said[names].as_array().unwrap().contains(&name.into());
    assert!(has("server_names", "from.file") && !has("server_names", "10.1.2.3"));
    assert!(has("peer_names", "10.1.2.3") && !has("peer_names", "0.0.0.0"));
    let flags = said["flags"].as_array().unwrap();
    assert!(flags.contains(&"--advertise-client-urls=https://from.file:2379".into()), "{flags:?}");
    let refused = desk.run(&["init", "--heartbeat-interval=0"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("heartbeat-interval"), "{}", refused.stderr);
}

#[test]
fn an_interrupted_run_is_continued() {
    let desk = Desk::ready();
    let (root, key) = (desk.read("ca.crt"), desk.read("server.key"));
    // Keys are put in place before their certificates.
    for name in ["server.crt", "clients/admin.crt", "clients/admin.key", "peer-ca.crt", "peer.crl"]
    {
        std::fs::remove_file(desk.path(name)).unwrap();
    }
    for name in ["peer.crt", "peer.key"] {
        std::fs::remove_file(desk.path(name)).unwrap();
    }
    std::fs::write(desk.path("peer.crt.tmp"), "half").unwrap();
    let again = desk.run(&["init"]).good();
    assert!(!again.stdout.contains("nothing was changed"));
    assert_eq!((desk.read("ca.crt"), desk.read("server.key")), (root, key));
    assert!(!desk.path("peer.crt.tmp").exists());
    for name in ["server", "peer", "clients/admin"] {
        let (certificate, key) = (format!("pki/{name}.crt"), format!("pki/{name}.key"));
        let said = desk.run(&["verify", "--pair", &certificate, &key]);
        assert_eq!(said.code, Some(0), "{}", said.stdout);
    }
    // A certificate without its key is nothing a run of ours leaves.
    std::fs::remove_file(desk.path("server.key")).unwrap();
    let refused = desk.run(&["init"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("server.key is not; --force"), "{}", refused.stderr);
}

#[test]
fn force_makes_everything_anew_and_nothing_less_does() {
    let desk = Desk::ready();
    let before = desk.contents();
    desk.run(&["issue", "client", "admin"]).good();
    assert!(desk.contents() == before, "an issued certificate was replaced");
    let forced = desk.run(&["init", "--force"]).good();
    assert!(!forced.stdout.contains("kept"), "{}", forced.stdout);
    for (path, bytes) in before.iter().filter(|(path, _)| !path.starts_with(desk.path("ca/issued")))
    {
        assert!(std::fs::read(path).unwrap() != *bytes, "{} is the old one", path.display());
    }
    assert_eq!(desk.run(&["status"]).code, Some(0));
    assert_eq!(std::fs::read_dir(desk.path("ca/issued")).unwrap().count(), 3);
}

#[test]
fn the_root_key_may_be_away() {
    let desk = Desk::ready();
    std::fs::remove_file(desk.path("ca/root.key")).unwrap();
    desk.run(&["init"]).good();
    desk.run(&["issue", "client", "app"]).good();
    std::fs::remove_file(desk.path("peer-ca.crt")).unwrap();
    let refused = desk.run(&["init"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("ca/root.key is not here"), "{}", refused.stderr);
}

#[test]
fn a_directory_others_can_read_is_not_worked_with() {
    let desk = Desk::ready();
    std::fs::set_permissions(desk.path("ca"), std::fs::Permissions::from_mode(0o755)).unwrap();
    for words in [&["init"][..], &["issue", "client", "app"], &["renew"], &["revoke", "admin"]] {
        let refused = desk.run(words);
        assert_eq!(refused.code, Some(1), "{words:?}");
        assert!(refused.stderr.contains("chmod 700"), "{}", refused.stderr);
    }
}

#[test]
fn files_belong_to_whom_the_directory_belongs() {
    use std::os::unix::fs::MetadataExt;
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root gives files away");
        return;
    }
    let desk = Desk::new();
    desk.run(&["init", "--owner", "12345:23456"]).good();
    desk.run(&["issue", "server", "other"]).good();
    let owner = |name: &str| {
        let found = std::fs::metadata(desk.path(name)).unwrap();
        (found.uid(), found.gid())
    };
    for name in ["", "ca.crt", "server.key", "peer.crt", "clients", "clients/admin.key"] {
        assert_eq!(owner(name), (12345, 23456), "{name}");
    }
    for name in ["nodes", "nodes/other", "nodes/other/server.key", "nodes/other/peer-ca.crt"] {
        assert_eq!(owner(name), (12345, 23456), "{name}");
    }
    for name in ["ca", "ca/root.key", "ca/client-ca.key"] {
        assert_eq!(owner(name).0, 0, "{name}");
    }
}

#[test]
fn a_pem_bundle_holds_certificate_issuer_and_key() {
    let desk = Desk::ready();
    desk.run(&["issue", "client", "app", "--bundle=pem"]).good();
    let bundle = desk.read("clients/app.pem");
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(bundle.matches("BEGIN PRIVATE KEY").count(), 1);
    assert_eq!(desk.mode("clients/app.pem"), 0o600);
    let other = Desk::ready();
    let out = other.path("").display().to_string();
    let before = other.contents();
    let refused = desk.run(&["issue", "client", "app2", "--out", &out]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("differs from"), "{}", refused.stderr);
    assert!(other.contents() == before, "another authority's directory was written to");
    desk.run(&["issue", "client", "app2", "--out", "elsewhere"]).good();
    assert!(desk.folder.path().join("elsewhere/ca.crt").is_file());
    for bad in [
        &["issue", "client", "x", "--san", "https://a:1"][..],
        &["issue", "client", "../x"],
        &["issue", "client", ""],
        &["issue", "robot", "x"],
    ] {
        assert_ne!(desk.run(bad).code, Some(0), "{bad:?}");
    }
}

#[test]
fn renewal_touches_only_what_is_due() {
    let desk = Desk::ready();
    let before = desk.contents();
    let idle = desk.run(&["renew"]).good();
    assert!(idle.stdout.contains("Nothing is due"), "{}", idle.stdout);
    assert!(desk.contents() == before);
    let admin = desk.read("clients/admin.crt");
    desk.run(&["renew", "server", "--force"]).good();
    assert_eq!(desk.read("clients/admin.crt"), admin);
    let file = |name: &str| before.iter().find(|(path, _)| *path == desk.path(name)).unwrap();
    assert_ne!(desk.read("server.crt").into_bytes(), file("server.crt").1);
    assert_ne!(desk.read("server.key").into_bytes(), file("server.key").1);
    // What an interrupted renewal leaves is due at once.
    std::fs::copy(desk.path("server.key"), desk.path("peer.key")).unwrap();
    assert_eq!(desk.run(&["status"]).code, Some(1));
    desk.run(&["renew", "--all"]).good();
    assert_eq!(desk.run(&["status"]).code, Some(0));
    let unknown = desk.run(&["renew", "nobody"]);
    assert!(unknown.stderr.contains("there are server, peer, clients/admin"), "{}", unknown.stderr);
}

#[test]
fn the_described_set_is_made_and_announces_itself() {
    let desk = Desk::new();
    let set = concat!(env!("CARGO_MANIFEST_DIR"), "/certs-dev/set.yml");
    desk.run(&["init", "--set", set]).good();
    for (path, _) in
        desk.contents().iter().filter(|(path, _)| !path.starts_with(desk.path("ca/issued")))
    {
        assert!(path.to_str().unwrap().ends_with(".insecure"), "{}", path.display());
    }
    for name in ["nodes/infra3/peer.key", "clients/app.key", "strangers/stranger.key"] {
        assert_eq!(desk.mode(&format!("{name}.insecure")), 0o600, "{name}");
    }
    let before = desk.contents();
    desk.run(&["init", "--set", set]).good();
    assert!(desk.contents() == before, "a second run changed something");
    let status = desk.run(&["status", "--output=json"]);
    assert_eq!(status.code, Some(0), "{}", status.stdout);
    let left: Vec<i64> = status.json()["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["left_seconds"].as_i64())
        .collect();
    assert!(
        left.iter().all(|left| *left <= 30 * 86_400) && left.len() == 3 + 3 + 6 + 1,
        "{left:?}"
    );
    let stranger = |ca: &str| {
        let (crt, key) =
            ("pki/strangers/stranger.crt.insecure", "pki/strangers/stranger.key.insecure");
        desk.run(&["verify", "--pair", crt, key, "--cacert", ca])
    };
    assert_eq!(stranger("pki/ca.crt.insecure").code, Some(1));
}

#[test]
fn the_commands_explain_themselves() {
    let run = |words: &[&str]| {
        let output = std::process::Command::new(crate::support::server::Kind::Ours.program("etcd"))
            .arg("cert")
            .args(words)
            .output()
            .unwrap();
        super::Answer::of(&output)
    };
    let overview = run(&["--help"]).good().stdout;
    for name in [
        "init",
        "serve",
        "token",
        "join",
        "issue",
        "status",
        "verify",
        "csr",
        "sign",
        "renew",
        "revoke",
        "export-trust",
    ] {
        assert!(overview.contains(&format!("\n  {name}")), "{overview}");
        let help = run(&[name, "--help"]).good().stdout;
        assert!(help.contains("Example:") && help.contains("--output"), "{help}");
        assert_eq!(run(&["help", name]).stdout, help);
    }
    assert_eq!(run(&[]).code, Some(2));
    let unknown = run(&["rotate"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("there are init, serve"), "{}", unknown.stderr);
}

#[test]
fn every_command_answers_programs_too() {
    let (desk, node) = (Desk::ready(), Desk::new());
    let issuer = serve(&desk, &[]);
    let csr = node.path("server.csr").display().to_string();
    let pair = ["verify", "--pair", "pki/server.crt", "pki/server.key"];
    let create = ["token", "create", "--role=client", "--name=app2"];
    for (at, words, told) in [
        (&desk, &["init"][..], "flags"),
        (&desk, &["issue", "client", "app"], "files"),
        (&desk, &["issue", "server", "db2"], "next"),
        (&node, &["csr", "server", "db3"], "names"),
        (&desk, &["sign", "server", &csr], "serial"),
        (&desk, &["status"], "certificates"),
        (&desk, &["status", "--endpoints", &issuer.url], "state"),
        (&desk, &pair, "checks"),
        (&desk, &["verify", &issuer.url, "--server-name=localhost"], "checks"),
        (&desk, &create, "token"),
        (&desk, &["token", "list"], "tokens"),
        (&desk, &["renew"], "files"),
        (&desk, &["rotate-ca", "status"], "phase"),
        (&desk, &["revoke", "app"], "revoked"),
        (&desk, &["export-trust"], "sha256"),
    ] {
        let answer = at.run(&[words, &["--output=json"]].concat());
        assert_eq!(answer.code, Some(0), "{words:?}: {}{}", answer.stdout, answer.stderr);
        assert!(!answer.json()[told].is_null(), "{words:?} has no {told}: {}", answer.stdout);
    }
    let made = desk.run(&[&create[..], &["--output=json"]].concat()).good().json();
    let left = made["expires"].as_i64().unwrap() - Clock.unix().as_secs().cast_signed();
    assert!((1700..=1800).contains(&left), "{left} seconds are not half an hour");
    let text = token(&desk, &issuer, "client", "app3", &[]);
    let joined = join(&desk.folder.path().join("app3"), &text, &["--output=json"]).good();
    assert_eq!(joined.json()["name"], "app3");
    let tokens = desk.run(&["token", "list", "--output=json"]).good().json();
    let id = tokens["tokens"][0]["id"].as_str().unwrap().to_owned();
    let revoked = desk.run(&["token", "revoke", &id, "--output=json"]).good().json();
    assert_eq!(revoked["revoked"], id);
    // What goes wrong is told in the same way.
    for words in [&["issue", "robot", "x"][..], &["revoke", "nobody"], &["rotate-ca", "finish"]] {
        let answer = desk.run(&[words, &["--output=json"]].concat());
        assert_ne!(answer.code, Some(0), "{words:?}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(!error.is_empty() && answer.stderr.contains(&error), "{words:?}");
    }
}
