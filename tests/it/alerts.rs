//! The alerts and the dashboard in `packaging/` name what the daemon exports.

use std::collections::BTreeSet;
use std::process::Command;

use etcd::certs::Purpose;

use crate::support::http;
use crate::support::pki::{Pki, valid};
use crate::support::server::{Kind, Server};
use crate::support::wait::eventually;

const RULES: &str = include_str!("../../packaging/alerts.yml");
const DASHBOARD: &str = include_str!("../../packaging/dashboard.json");
const PREFIXES: [&str; 4] = ["etcd_", "process_", "grpc_server_", "os_"];

/// Names of metrics in the text, histograms without the ends of their parts.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let named = words.filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)));
    named.map(|word| word.strip_suffix("_bucket").unwrap_or(word)).collect()
}

#[test]
fn every_metric_of_alerts_and_dashboard_is_exported() {
    let pki = Pki::new();
    pki.issue("server", Purpose::Server, &["127.0.0.1"], valid());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let plain = format!("127.0.0.1:{port}");
    let mut flags = pki.server_flags();
    flags.push(format!("--listen-metrics-urls=http://{plain}"));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Server::start_with(&Kind::Ours, "https", &flags);
    // Things that are counted by kind show up once they happened.
    let mut put = Command::new(Kind::Ours.program("etcdctl"));
    put.env_clear().arg(format!("--endpoints={}", server.url())).args(["put", "k", "v"]);
    assert!(put.args(pki.client_flags("client")).output().unwrap().status.success());
    http::request(server.address(), "GET", "/metrics");
    http::request(&plain, "GET", "/readyz");
    server.process.signal("HUP");
    let mut wanted = metrics(RULES);
    assert!(wanted.len() > 15, "{wanted:?}");
    let shown = metrics(DASHBOARD);
    assert!(shown.len() > 15, "{shown:?}");
    wanted.extend(shown);
    eventually("every metric", || {
        let page = http::request(&plain, "GET", "/metrics").body;
        let typed = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let exported: BTreeSet<&str> = typed.filter_map(|line| line.split(' ').next()).collect();
        let missing: Vec<_> = wanted.difference(&exported).collect();
        if !missing.is_empty() {
            eprintln!("not yet: {missing:?}");
        }
        missing.is_empty().then_some(())
    });
}
