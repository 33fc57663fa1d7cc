//! Certificates in a running server: taken up, measured, warned of.

use std::time::Duration;

use etcd::certs::{Purpose, Validity};
use etcd::types::clock::Clock;

use crate::cert::{Desk, replace_server};
use crate::support::cluster::address;
use crate::support::http;
use crate::support::server::Server;
use crate::support::wait::eventually;

const DAY: Duration = Duration::from_secs(86_400);

fn said(server: &mut Server, what: &str) {
    server.process.wait_line(what, |line| line.contains(what).then_some(()));
}

#[test]
fn files_that_change_are_taken_up_though_nobody_connects() {
    let desk = Desk::ready();
    let mut server = desk.server();
    desk.run(&["revoke", "admin"]).good();
    said(&mut server, "TLS credentials reloaded");
}

#[test]
fn the_end_of_every_file_is_measured() {
    let desk = Desk::ready();
    let metrics = address::reserve().to_string();
    let _server = desk.server_with(&[&format!("--listen-metrics-urls=http://{metrics}")]);
    let status = desk.run(&["status", "--output=json"]).good().json();
    let scraped = http::request(&metrics, "GET", "/metrics").body;
    for (file, kind) in [
        ("server.crt", "certificate"),
        ("peer.crt", "certificate"),
        ("client-ca.crt", "authority"),
        ("peer-ca.crt", "authority"),
    ] {
        let rows = status["certificates"].as_array().unwrap();
        let row = rows.iter().find(|row| row["file"] == file).unwrap();
        let known = row["not_after"].as_f64().unwrap();
        let path = desk.path(file);
        let name = "etcd_rs_tls_certificate_not_after_timestamp_seconds";
        let start = format!("{name}{{file=\"{}\",kind=\"{kind}\"}} ", path.display());
        let line = scraped.lines().find_map(|line| line.strip_prefix(&start));
        let shown = line.unwrap_or_else(|| panic!("no {start} in {scraped}"));
        assert!((shown.parse::<f64>().unwrap() - known).abs() < 1.0, "{file}: {shown}, {known}");
    }
    assert!(scraped.contains("client.crl\",kind=\"revocations\"}"), "{scraped}");
    assert!(scraped.contains("etcd_rs_network_plaintext_listeners{listener=\"client\"} 0"));
}

#[test]
fn the_end_of_a_certificate_is_announced() {
    let desk = Desk::ready();
    let now = Clock.unix();
    let life = |left| Validity { from: now - 80 * DAY, until: now + left };
    // Not on the edge between two numbers of days.
    replace_server(&desk, &["127.0.0.1"], Purpose::Server, life(10 * DAY - DAY / 2));
    let mut server = desk.server();
    said(&mut server, "expires in 9 days; renew it");
    drop(server);
    let soon = Duration::from_secs(5);
    replace_server(&desk, &["127.0.0.1"], Purpose::Server, life(soon));
    let mut server = desk.server();
    said(&mut server, "it expired");
    // It is over for everybody who looks.
    let checked = desk.run(&["verify", &server.url()]);
    assert!(checked.stdout.contains("expired"), "{}", checked.stdout);
    desk.run(&["renew", "server"]).good();
    eventually("the new certificate", || {
        (desk.run(&["verify", &server.url()]).code == Some(0)).then_some(())
    });
}

#[test]
fn plaintext_can_be_ruled_out() {
    let output = std::process::Command::new(crate::support::server::Kind::Ours.program("etcd"))
        .current_dir(tempfile::tempdir().unwrap().path())
        .env_clear()
        .arg("--require-tls")
        .output()
        .unwrap();
    let refused = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(refused.contains("etcd cert init"), "{refused}");
    let desk = Desk::ready();
    drop(desk.server_with(&["--require-tls"]));
}
