//! What the commands leave on disk.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use etcd::certs::{Facts, own_names};

use crate::cert::Desk;

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
fn modes_are_those_of_the_files_and_not_of_whoever_runs_it() {
    for (umask, command) in [("077", "init"), ("000", "init"), ("077", "csr"), ("000", "csr")] {
        let desk = Desk::new();
        let mut run = std::process::Command::new("sh");
        run.current_dir(desk.folder.path());
        run.args([
            "-c",
            &format!("umask {umask}; exec \"$0\" cert {command} --pki-dir=pki \"$@\""),
        ]);
        run.arg(crate::support::server::Kind::Ours.program("etcd"));
        run.args(if command == "csr" { &["client", "admin"][..] } else { &[] });
        super::Answer::of(&run.output().unwrap()).good();
        let (public, private): (&[&str], &[&str]) = match command {
            "csr" => (&["clients/admin.csr"], &["clients/admin.key"]),
            _ => (&["ca.crt", "client.crl", "server.crt", "issuer.json"], &["server.key"]),
        };
        for (names, mode) in
            [(public, 0o644), (private, 0o600), (&[""], 0o755), (&["clients"], 0o700)]
        {
            for name in names {
                assert_eq!(desk.mode(name), mode, "{command} {name:?} under umask {umask}");
            }
        }
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

fn everything(path: &Path, found: &mut Vec<PathBuf>) {
    found.push(path.to_owned());
    for entry in std::fs::read_dir(path).into_iter().flatten() {
        everything(&entry.unwrap().path(), found);
    }
}

fn give(path: &Path) {
    let mut found = Vec::new();
    everything(path, &mut found);
    for path in found {
        std::os::unix::fs::chown(path, Some(12345), Some(23456)).unwrap();
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
    // The authorities' own directory may be a service's, and stays so whatever root does in it.
    give(&desk.path("ca"));
    desk.run(&["issue", "client", "app"]).good();
    desk.run(&["token", "create", "--role=client", "--name=app2"]).good();
    desk.run(&["revoke", "app"]).good();
    let started = desk.run(&["rotate-ca", "start", "--timeout=0s"]);
    assert!(started.stderr.contains("members are not known"), "{}", started.stderr);
    let others = |path: &Path| std::fs::metadata(path).unwrap().uid() != 12345;
    let mut found = Vec::new();
    everything(&desk.path("ca"), &mut found);
    assert!(found.iter().any(|path| path.ends_with("rotation/new/ca/root.key")), "{found:?}");
    found.retain(|path| others(path));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_pem_bundle_holds_certificate_issuer_and_key() {
    let desk = Desk::ready();
    desk.run(&["issue", "client", "app", "--bundle=pem"]).good();
    let bundle = desk.read("clients/app.pem");
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(bundle.matches("BEGIN PRIVATE KEY").count(), 1);
    assert_eq!(desk.mode("clients/app.pem"), 0o600);
    // It goes with its certificate; what is none of ours is not replaced.
    desk.run(&["renew", "app", "--force"]).good();
    assert!(desk.read("clients/app.pem").starts_with(&desk.read("clients/app.crt")));
    assert!(desk.read("clients/app.pem").ends_with(&desk.read("clients/app.key")));
    std::fs::write(desk.path("clients/app.pem"), "my notes").unwrap();
    desk.run(&["renew", "app", "--force"]).good();
    let refused = desk.run(&["issue", "client", "app", "--bundle=pem"]);
    assert!(refused.stderr.contains("no bundle of this certificate"), "{}", refused.stderr);
    assert_eq!((refused.code, &*desk.read("clients/app.pem")), (Some(1), "my notes"));
    desk.run(&["issue", "client", "app", "--bundle=pem", "--force"]).good();
    assert!(desk.read("clients/app.pem").starts_with(&desk.read("clients/app.crt")));
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
    // One that cannot be read stops no other: it is named, shown, and keeps nobody's good.
    let (broken, good) = (desk.path("peer.crt"), desk.read("peer.crt"));
    std::fs::write(&broken, &good[..300]).unwrap();
    let status = desk.run(&["status"]);
    let row = |file: &str| status.stdout.lines().find(|line| line.starts_with(file)).unwrap();
    assert!(
        row("peer.crt").contains("PEM") && row("server.crt").ends_with("ok"),
        "{}",
        status.stdout
    );
    assert_eq!(status.code, Some(1));
    let others = desk.run(&["renew", "--all"]).good();
    assert!(others.stderr.contains("peer.crt: "), "{}", others.stderr);
    desk.run(&["revoke", "admin"]).good();
    std::fs::write(&broken, good).unwrap();
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
