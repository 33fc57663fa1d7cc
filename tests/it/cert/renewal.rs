//! Certificates that renew themselves, under load.

use std::time::Duration;

use etcd::certs::Facts;
use etcd::client::{Client, Options};
use etcd::config::Tls;
use etcd::proto::etcdserverpb::watch_request::RequestUnion;
use etcd::proto::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest};
use tokio_stream::StreamExt;

use crate::cert::Desk;
use crate::cert::enrol::serve;
use crate::support::cluster::address;
use crate::support::http;
use crate::support::wait::{LIMIT, comes_true, within};

/// Longer than two thirds of the shortest life a certificate can be given.
const PATIENCE: Duration = Duration::from_secs(40);

fn options(desk: &Desk, url: &str) -> Options {
    let tls = Tls {
        trusted_ca_file: Some(desk.path("ca.crt")),
        cert_file: Some(desk.path("clients/admin.crt")),
        key_file: Some(desk.path("clients/admin.key")),
        ..Tls::default()
    };
    let (endpoints, tls) = (vec![url.to_owned()], Some(tls));
    Options { endpoints, tls, ..Options::default() }
}

/// One put through a connection of its own, repeated once at most.
async fn put(options: &Options, number: usize) {
    let once = async || {
        let client = Client::connect(options).await.map_err(|error| error.to_string())?;
        let (key, value) = ("load".into(), number.to_string().into());
        let request = PutRequest { key, value, ..PutRequest::default() };
        client.kv().put(request).await.map_err(|status| status.to_string())
    };
    if let Err(first) = once().await {
        once().await.unwrap_or_else(|second| panic!("put {number}: {first}; then {second}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaves_are_renewed_under_load_and_nobody_notices() {
    let desk = Desk::new();
    desk.run(&["init", "--ttl=1m"]).good();
    // The client's is not the server's to renew; it has to outlive the test.
    desk.run(&["issue", "client", "admin", "--ttl=1d", "--force"]).good();
    let issuer = serve(&desk, &[]);
    let known = desk.read("issuer.json").replace("https://127.0.0.1:2382", &issuer.url);
    std::fs::write(desk.path("issuer.json"), known).unwrap();
    let metrics = address::reserve().to_string();
    let server = desk.server_with(&[&format!("--listen-metrics-urls=http://{metrics}")]);
    let options = options(&desk, &server.url());
    let serials = || {
        ["server.crt", "peer.crt"].map(|name| {
            let read = Facts::from_pem(name, &desk.read(name)).unwrap();
            (read[0].serial.clone(), read[0].hosts.clone(), read[0].common_name.clone())
        })
    };
    let before = serials();
    let watcher = Client::connect(&options).await.unwrap();
    let create = WatchCreateRequest { key: "load".into(), ..WatchCreateRequest::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::iter([create]).chain(tokio_stream::pending());
    let mut events = watcher.watch().watch(requests).await.unwrap().into_inner();
    let mut puts = 0;
    let renewed = async {
        loop {
            put(&options, puts).await;
            puts += 1;
            let now = serials();
            if before.iter().zip(&now).all(|(before, now)| before.0 != now.0) {
                return now;
            }
        }
    };
    let now = tokio::time::timeout(LIMIT + PATIENCE, renewed).await.expect("no renewal");
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
    put(&options, puts).await;
    puts += 1;
    // The watch that was open all the time has seen every put.
    let mut seen = 0;
    within("the events", async {
        while seen < puts {
            seen += events.next().await.unwrap().unwrap().events.len();
        }
    })
    .await;
    let scraped = http::request(&metrics, "GET", "/metrics").body;
    let line = "etcd_rs_tls_certificate_renewals_total{result=\"success\"} ";
    let count = scraped.lines().find_map(|found| found.strip_prefix(line));
    assert!(count.is_some_and(|count| count.parse::<f64>().unwrap() >= 2.0), "{scraped}");
}
