//! The daemon and its configuration: layers, refusals, what can change while it runs.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use etcd::proto::etcdserverpb::StatusRequest;

use crate::support::http;
use crate::support::server::{Kind, Server};
use crate::support::session::{Session, put};
use crate::support::wait::within;

fn etcd(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(Kind::Ours.program("etcd"))
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn each_layer_covers_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = "name: from-file\nmax-txn-ops: 7\nheartbeat-interval: 50\n";
    std::fs::write(folder.path().join("etcd.yml"), file).unwrap();
    let environment = [("ETCD_NAME", "from-environment"), ("ETCD_MAX_TXN_OPS", "8")];
    let arguments = ["config", "show", "--config-file=etcd.yml", "--name", "from-flag"];
    let shown = etcd(folder.path(), &arguments, &environment);
    assert!(shown.status.success());
    let table = text(&shown.stdout);
    for (name, value, origin) in [
        ("name", "from-flag", "flag --name"),
        ("max-txn-ops", "8", "environment ETCD_MAX_TXN_OPS"),
        ("heartbeat-interval", "50", "file etcd.yml:3"),
        ("election-timeout", "1000", "default"),
    ] {
        let line = table.lines().find(|line| line.split_whitespace().next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not shown in\n{table}"));
        assert!(line.contains(value) && line.ends_with(origin), "{line}");
    }
}

#[test]
fn a_misspelt_key_never_starts_an_open_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = "client-transport-security:\n  client-cert-aut: true\nclient-cert-aut: true\n";
    std::fs::write(folder.path().join("etcd.yml"), file).unwrap();
    let refused = etcd(folder.path(), &["--config-file=etcd.yml"], &[]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    for line in ["etcd.yml:2", "etcd.yml:3"] {
        let fault = said.lines().find(|said| said.contains(line)).unwrap_or_default();
        assert!(fault.contains("client-transport-security.client-cert-auth"), "{said}");
    }
    let checked = etcd(folder.path(), &["config", "check", "etcd.yml"], &[]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stdout).contains("2 faults"), "{}", text(&checked.stdout));
}

#[test]
fn what_is_wrong_with_tls_is_found_before_anything_listens_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let refused = etcd(folder.path(), &["--cipher-suites=FOO"], &[]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains(r#"unexpected TLS cipher suite \"FOO\""#), "{said}");
    let arguments = [
        "--listen-client-urls=http://127.0.0.1:0",
        "--advertise-client-urls=http://127.0.0.1:0",
        "--listen-peer-urls=https://127.0.0.1:0",
        "--peer-cert-file=absent.crt",
        "--peer-key-file=absent.key",
    ];
    let refused = etcd(folder.path(), &arguments, &[]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("failed to start etcd") && said.contains("absent.crt"), "{said}");
    let restarted = text(&std::fs::read(folder.path().join("default.etcd/format")).unwrap());
    assert!(restarted.contains("phase: starting"), "nothing was founded: {restarted}");
}

#[test]
fn the_version_has_etcds_four_lines_and_ours() {
    let folder = tempfile::tempdir().unwrap();
    let shown = text(&etcd(folder.path(), &["--version"], &[]).stdout);
    let starts: Vec<&str> = shown.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(starts[..4], ["etcd Version", "Git SHA", "Go Version", "Go OS/Arch"]);
    assert_eq!(starts.len(), 5, "{shown}");
    assert!(shown.starts_with(&format!("etcd Version: {}\n", etcd::types::version::ETCD_API)));
}

#[test]
fn the_log_level_follows_the_configuration_on_hangup() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("etcd.yml");
    // A file replaces nothing the flags say, so only the level is in it.
    std::fs::write(&file, "log-level: info\n").unwrap();
    let flag = format!("--config-file={}", file.display());
    let mut server = Server::start_with(&Kind::Ours, "http", &[&flag]);
    std::fs::write(&file, "log-level: debug\n").unwrap();
    server.process.signal("HUP");
    let address = server.address().to_owned();
    server.process.wait_line("a line of level debug", |line| {
        // Any request makes some once the level is there.
        let _answer = http::request(&address, "GET", "/health");
        line.contains("\"level\":\"debug\"").then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_names_our_functions() {
    let server = Server::start_with(&Kind::Ours, "http", &["--enable-pprof"]);
    let address = server.address().to_owned();
    let profile = tokio::task::spawn_blocking(move || {
        http::bytes(&address, "/debug/pprof/profile?seconds=2")
    });
    let mut session = Session::connect(&server.url()).await;
    while !profile.is_finished() {
        session.kv.put(put("k", "v")).await.unwrap();
        session.maintenance.status(StatusRequest {}).await.unwrap();
    }
    let packed = within("the profile", profile).await.unwrap();
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut plain).unwrap();
    let named = plain.windows(6).any(|bytes| bytes == b"etcd::");
    assert!(named, "none of our functions in a profile of {} bytes", plain.len());
}
