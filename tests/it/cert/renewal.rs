//! Certificates that renew themselves: under load, after a renewal that broke off, from an issuer that
//! is away.

use std::time::Duration;

use etcd::certs::{Facts, Layout, Leaf, Pki, Purpose};
use etcd::types::clock::Clock;

use crate::cert::Desk;
use crate::cert::enrol::{join, serve};
use crate::cert::load::{Load, point_at, url};
use crate::durability::shim;
use crate::support::cluster::address;
use crate::support::http;
use crate::support::process::Process;
use crate::support::server::Kind;
use crate::support::wait::{LIMIT, comes_true, eventually, eventually_for};

const DAY: Duration = Duration::from_secs(86_400);
/// Longer than two thirds of the shortest life a certificate can be given.
const PATIENCE: Duration = Duration::from_secs(40);

/// Makes the server's certificate one that is due: the same authorities signed it long ago.
fn make_due(desk: &Desk) {
    let then = Clock.unix() - 80 * DAY;
    let pki = Pki::open(Layout::of(&desk.path("")), then).unwrap();
    let files = pki.layout().pair(Purpose::Server, "");
    let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let (common_name, validity) = ("due".to_owned(), pki.validity(90 * DAY));
    let leaf = Leaf { common_name, hosts, purpose: Purpose::Server, validity };
    pki.ensure_leaf(&files, &leaf, true).unwrap();
}

/// Waits until the server's certificate is another than `before`.
fn renewed(desk: &Desk, before: &str) {
    eventually("the renewal", || (desk.read("server.crt") != before).then_some(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_are_renewed_under_load_and_nobody_notices() {
    let desk = Desk::new();
    desk.run(&["init", "--ttl=1m"]).good();
    // The client's is not the server's to renew; it has to outlive the test.
    desk.run(&["issue", "client", "admin", "--ttl=1d", "--force"]).good();
    let issuer = serve(&desk, &[]);
    point_at(&desk, &issuer);
    let metrics = address::reserve().to_string();
    let server = desk.server_with(&[&format!("--listen-metrics-urls=http://{metrics}")]);
    let serials = || {
        ["server.crt", "peer.crt"].map(|name| {
            let read = Facts::from_pem(name, &desk.read(name)).unwrap();
            (read[0].serial.clone(), read[0].hosts.clone(), read[0].common_name.clone())
        })
    };
    let before = serials();
    let load = Load::start(&desk.client(vec![server.url()], "admin")).await;
    let now = tokio::task::block_in_place(|| {
        eventually_for(LIMIT + PATIENCE, "the renewal", || {
            let now = serials();
            before.iter().zip(&now).all(|(before, now)| before.0 != now.0).then_some(now)
        })
    });
    for (before, now) in before.iter().zip(&now) {
        assert_eq!((&before.1, &before.2), (&now.1, &now.2), "it says something else");
    }
    // What is served is what was renewed.
    comes_true("the new certificate to be served", async || {
        let shown = desk.run(&["status", "--endpoints", &server.url(), "--output=json"]).json();
        let serial: String = now[0].0.iter().map(|byte| format!("{byte:02x}")).collect();
        (shown["certificates"][0]["serial"] == serial).then_some(())
    })
    .await;
    load.end().await;
    let scraped = http::request(&metrics, "GET", "/metrics").body;
    let line = "etcd_rs_tls_certificate_renewals_total{result=\"success\"} ";
    let count = scraped.lines().find_map(|found| found.strip_prefix(line));
    assert!(count.is_some_and(|count| count.parse::<f64>().unwrap() >= 2.0), "{scraped}");
}

/// The disk refuses the second of the two files, and then the process dies or goes on.
#[test]
fn a_renewal_that_breaks_off_between_key_and_certificate_is_completed() {
    for dies in [true, false] {
        let desk = Desk::ready();
        make_due(&desk);
        let issuer = serve(&desk, &[]);
        point_at(&desk, &issuer);
        let (rules, root) = (desk.path("rules"), desk.path(""));
        std::fs::write(&rules, "rename server.crt.tmp 5\n").unwrap();
        let before = (desk.read("server.key"), desk.read("server.crt"));
        let [rules_path, root, library] = [&*rules, &*root, shim::library()]
            .map(|path| path.to_str().unwrap().trim_end_matches('/').to_owned());
        let environment =
            [("LD_PRELOAD", &*library), ("SHIM_ROOT", &root), ("SHIM_RULES", &rules_path)];
        let mut server = desk.server_in(&Kind::Ours, &[], &environment);
        server.process.wait_line("the failure", |line| {
            line.contains("not renewed by the issuer").then_some(())
        });
        let left = desk.read("server.crt.tmp");
        assert_ne!(desk.read("server.key"), before.0);
        assert_eq!(desk.read("server.crt"), before.1);
        // What it holds in memory fits still.
        assert_eq!(desk.run(&["verify", &server.url()]).code, Some(0));
        std::fs::remove_file(&rules).unwrap();
        if dies {
            server.restart();
        } else {
            renewed(&desk, &before.1);
        }
        assert_eq!(desk.read("server.crt"), left, "it was not completed but begun anew");
        eventually("the new certificate to be served", || {
            let said = desk.run(&["verify", &server.url()]);
            (said.code == Some(0) && !said.stdout.contains("(9d)")).then_some(())
        });
    }
}

/// The pauses until the next try that the log tells for the server's certificate.
fn pauses(process: &Process) -> Vec<String> {
    let lines = process.output();
    let lines = lines.iter().filter_map(|line| serde_json::from_str(line).ok());
    let told = lines.filter_map(|line: serde_json::Value| {
        let failed = line["msg"] == "not renewed by the issuer";
        let own = line["certificate"].as_str()?.ends_with("server.crt");
        (failed && own).then(|| line["next-try-in"].as_str().map(str::to_owned))?
    });
    told.collect()
}

#[test]
fn an_issuer_that_is_away_is_asked_again_and_clients_are_served_meanwhile() {
    let desk = Desk::ready();
    make_due(&desk);
    let (place, metrics) = (address::reserve(), address::reserve().to_string());
    let known = desk.read("issuer.json").replace("https://127.0.0.1:2382", &url(place));
    std::fs::write(desk.path("issuer.json"), known).unwrap();
    let server = desk.server_with(&[&format!("--listen-metrics-urls=http://{metrics}")]);
    let before = desk.read("server.crt");
    let pauses = eventually("three failures", || {
        Some(pauses(&server.process)).filter(|pauses| pauses.len() >= 3)
    });
    assert_eq!(pauses[..3], ["1s", "2s", "4s"]);
    assert_eq!(desk.run(&["verify", &server.url()]).code, Some(0));
    let scraped = http::request(&metrics, "GET", "/metrics").body;
    let line = "etcd_rs_tls_certificate_renewals_total{result=\"failure\"} ";
    let count = scraped.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    assert!(count.parse::<f64>().unwrap() >= 3.0, "{count}");
    let _issuer = serve(&desk, &["--listen", &url(place)]);
    renewed(&desk, &before);
}

#[test]
fn of_several_issuers_the_first_that_answers_is_asked() {
    let (dead, live) = (url(address::reserve()), url(address::reserve()));
    let both = format!("--issuer={dead},{live}");
    let desk = Desk::new();
    desk.run(&["init", &both]).good();
    make_due(&desk);
    let _issuer = serve(&desk, &["--listen", &live]);
    let before = desk.read("server.crt");
    let _server = desk.server();
    renewed(&desk, &before);
    let home = desk.folder.path().join("app");
    let text = desk.run(&["token", "create", "--role=client", "--name=app", &both]).good().stdout;
    join(&home, text.trim(), &[]).good();
    let known = std::fs::read_to_string(home.join("pki/issuer.json")).unwrap();
    assert!(known.contains(&dead) && known.contains(&live), "{known}");
    let mut renew = std::process::Command::new(Kind::Ours.program("etcd"));
    renew.env_clear().current_dir(&home);
    renew.args(["cert", "renew", "--force", "--pki-dir=pki", "--output=json"]);
    let told = super::Answer::of(&renew.output().unwrap()).good().json();
    assert_eq!(told["changed"], true, "{told}");
}
