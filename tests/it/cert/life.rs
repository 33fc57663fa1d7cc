//! Certificates in a running server: taken up, measured, warned of, and kept when others are refused.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use etcd::certs::{Purpose, Validity};
use etcd::client::Client;
use etcd::types::clock::Clock;

use crate::cert::{Answer, Desk, replace_server};
use crate::support::clock::Ahead;
use crate::support::cluster::address;
use crate::support::http;
use crate::support::pki::Pki;
use crate::support::server::{Kind, Server};
use crate::support::session::put;
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
    let server = desk.server_with(&[&format!("--listen-metrics-urls=http://{metrics}")]);
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
    // Each of the two sets was taken up at the start, and again once whom the issuer trusts was known.
    eventually("both sets to be counted", || {
        let scraped = http::request(&metrics, "GET", "/metrics").body;
        scraped.contains("\netcd_rs_tls_generation 4\n").then_some(())
    });
    // A client that came and went is known, and how long its certificate has left.
    desk.run(&["verify", &server.url()]).good();
    let admin = desk.run(&["status", "pki/clients/admin.crt", "--output=json"]).good().json();
    let known = admin["certificates"][0]["left_seconds"].as_f64().unwrap();
    let left = eventually("the client to be known", || {
        let scraped = http::request(&metrics, "GET", "/metrics").body;
        let start = "etcd_rs_tls_client_certificate_first_expires_in_seconds{listener=\"client\"} ";
        scraped.lines().find_map(|line| line.strip_prefix(start)?.parse::<f64>().ok())
    });
    assert!((left - known).abs() < 60.0, "{left}, {known}");
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
    let output = Command::new(Kind::Ours.program("etcd"))
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

#[test]
fn files_that_are_refused_are_named_and_the_last_good_ones_serve() {
    let (desk, other) = (Desk::ready(), Desk::ready());
    let place = address::reserve().to_string();
    let server = desk.server_with(&[&format!("--listen-metrics-urls=http://{place}")]);
    let refused = || {
        let answer = http::request(&place, "GET", "/readyz?verbose");
        assert_eq!(answer.status, 200);
        answer.body.lines().find(|line| line.starts_with("[!]")).map(str::to_owned)
    };
    assert_eq!(refused(), None);
    let good = ["server.crt", "server.key", "client-ca.crt"].map(|name| (name, desk.read(name)));
    let half = |name: &str| {
        // Not where a chain might end.
        let text = desk.read(name);
        let end = text.find("-----END").unwrap() / 2;
        std::fs::write(desk.path(name), &text[..end]).unwrap();
    };
    let fault = |number: usize| match number {
        0 => half("server.crt"),
        1 => std::fs::write(desk.path("server.key"), other.read("server.key")).unwrap(),
        2 => std::fs::remove_file(desk.path("server.crt")).unwrap(),
        3 => {
            let mode = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(desk.path("server.key"), mode).unwrap();
            // Only what was written is looked at again.
            std::fs::write(desk.path("server.key"), desk.read("server.key")).unwrap();
        }
        _ => half("client-ca.crt"),
    };
    for (number, file, told) in [
        (0, "server.crt", "cut short"),
        (1, "server.key", "does not belong to"),
        (2, "server.crt", "No such file"),
        (3, "server.key", "has mode 0644"),
        (4, "client-ca.crt", "cut short"),
    ] {
        fault(number);
        eventually(told, || refused().filter(|line| line.contains(file) && line.contains(told)));
        assert_eq!(http::request(&place, "GET", "/readyz").body, "ok\n");
        assert_eq!(desk.run(&["verify", &server.url()]).code, Some(0), "{told}");
        for (name, text) in &good {
            std::fs::write(desk.path(name), text).unwrap();
        }
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(desk.path("server.key"), mode).unwrap();
        eventually("the files to be good again", || refused().is_none().then_some(()));
    }
    let scraped = http::request(&place, "GET", "/metrics").body;
    for result in ["success", "failure"] {
        let start = format!("etcd_rs_tls_reload_total{{result=\"{result}\"}} ");
        let count = scraped.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
        assert!(count.parse::<f64>().unwrap() >= 5.0, "{result}: {count}");
    }
}

#[test]
fn certificates_of_another_authority_are_announced_and_left_alone() {
    let pki = Pki::new();
    let now = Clock.unix();
    // Not on the edge between two numbers of hours.
    let soon = Validity { from: now - 80 * DAY, until: now + DAY / 2 - Duration::from_secs(60) };
    pki.issue("server", Purpose::Server, &["127.0.0.1"], soon);
    let place = address::reserve().to_string();
    let mut flags = pki.server_flags();
    flags.push(format!("--listen-metrics-urls=http://{place}"));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let before = ["server.crt", "server.key"].map(|name| std::fs::read(pki.file(name)).unwrap());
    let mut server = Server::start_with(&Kind::Ours, "https", &flags);
    said(&mut server, "server.crt (server): expires in 11 hours; renew it");
    server.process.signal("HUP");
    said(&mut server, "TLS credentials reloaded");
    let now = ["server.crt", "server.key"].map(|name| std::fs::read(pki.file(name)).unwrap());
    assert!(before == now, "somebody else's files were replaced");
    let scraped = http::request(&place, "GET", "/metrics").body;
    assert!(!scraped.contains("etcd_rs_tls_certificate_renewals_total{"), "{scraped}");
}

/// A command that goes by another clock.
fn by(clock: &Ahead, command: &mut Command) -> Answer {
    Answer::of(&command.env_clear().envs(clock.environment()).output().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_past_the_end_of_certificates_shuts_out_who_comes_and_nobody_who_is_there() {
    let (desk, clock) = (Desk::ready(), Ahead::new());
    let environment = clock.environment();
    let environment = environment.each_ref().map(|(name, value)| (&**name, &**value));
    let mut server = desk.server_in(&Kind::Ours, &[], &environment);
    let options = desk.client(vec![server.url()], "admin");
    let there = Client::connect(&options).await.unwrap();
    there.kv().put(put("k", "1")).await.unwrap();
    clock.set(100 * DAY);
    said(&mut server, "it expired");
    there.kv().put(put("k", "2")).await.unwrap();
    let comes = async || match Client::connect(&options).await {
        Ok(client) => client.kv().put(put("k", "3")).await.is_ok(),
        Err(_) => false,
    };
    assert!(!comes().await);
    said(&mut server, "certificate has expired or is not yet valid; issue the client a new one");
    clock.set(Duration::ZERO);
    assert!(comes().await);
    // It starts like that, too, and one command makes everything good.
    clock.set(100 * DAY);
    server.restart();
    let cert = |verb: &str| {
        let mut command = Command::new(Kind::Ours.program("etcd"));
        by(&clock, command.args(["cert", verb, "--pki-dir"]).arg(desk.path("")))
    };
    assert_eq!(cert("status").code, Some(2));
    cert("renew").good();
    assert_eq!(cert("status").code, Some(0));
    let pair = desk.path("clients/admin");
    eventually("the new certificates", || {
        let mut command = Command::new(Kind::Ours.program("etcdctl"));
        command.arg(format!("--endpoints={}", server.url()));
        command.arg("--cacert").arg(desk.path("ca.crt"));
        command.arg("--cert").arg(pair.with_extension("crt"));
        command.arg("--key").arg(pair.with_extension("key"));
        (by(&clock, command.args(["put", "k", "4"])).code == Some(0)).then_some(())
    });
}
