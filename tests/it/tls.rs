//! Mutual TLS from outside: who gets in, who does not and what the log says, and certificates that
//! change while clients are connected.

use std::sync::Arc;

use etcd::certs::Purpose;
use etcd::client::{Client, Options};
use etcd::config::{Tls, TlsLimits};
use etcd::proto::etcdserverpb::RangeRequest;
use etcd::transport::Material;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::http;
use crate::support::pki::{Pki, valid};
use crate::support::server::{Kind, Server};
use crate::support::session::put;
use crate::support::wait::within;

fn start(pki: &Pki) -> Server {
    let flags = pki.server_flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Server::start_with(&Kind::Ours, "https", &flags)
}

fn options(url: String, tls: Tls) -> Options {
    Options { endpoints: vec![url], tls: Some(tls), ..Options::default() }
}

/// Connects and asks something; the error is what a user would be shown.
async fn try_put(url: String, tls: Tls) -> Result<(), String> {
    let attempt = async {
        let client = Client::connect(&options(url, tls)).await.map_err(|e| format!("{e:?}"))?;
        client.kv().put(put("k", "v")).await.map_err(|e| format!("{e:?}"))?;
        Ok(())
    };
    within("an answer or a refusal", attempt).await
}

fn rejected(server: &mut Server, reason: &str) {
    server.process.wait_line(reason, |line| {
        (line.contains("rejected connection") && line.contains(reason)).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_clients_the_authority_signed_get_in() {
    let pki = Pki::new();
    let mut server = start(&pki);
    assert_eq!(try_put(server.url(), pki.client("ca.crt", Some("client"))).await, Ok(()));
    for (name, reason) in [
        (None, "certificate required"),
        (Some("unknown"), "certificate signed by an unknown authority"),
        (Some("expired"), "expired"),
    ] {
        let refused = try_put(server.url(), pki.client("ca.crt", name)).await;
        assert!(refused.is_err(), "{name:?} got in");
        rejected(&mut server, reason);
    }
    // The others never disturbed anybody.
    assert_eq!(try_put(server.url(), pki.client("ca.crt", Some("client"))).await, Ok(()));
}

#[tokio::test]
async fn a_client_whose_pair_is_just_being_replaced_looks_again() {
    let pki = Pki::new();
    let server = start(&pki);
    let certificate = std::fs::read(pki.file("client.crt")).unwrap();
    std::fs::copy(pki.file("expired.crt"), pki.file("client.crt")).unwrap();
    let connected = try_put(server.url(), pki.client("ca.crt", Some("client")));
    // Comes when the client has seen that the two do not belong together.
    let mended = async { std::fs::write(pki.file("client.crt"), certificate).unwrap() };
    assert_eq!(tokio::join!(connected, mended).0, Ok(()));
    std::fs::copy(pki.file("expired.crt"), pki.file("client.crt")).unwrap();
    let refused = try_put(server.url(), pki.client("ca.crt", Some("client"))).await;
    assert!(refused.unwrap_err().contains("KeyMismatch"), "a pair that does not fit was used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_refuse_a_server_they_cannot_trust() {
    let pki = Pki::new();
    let server = start(&pki);
    let refused = try_put(server.url(), pki.client("stranger.crt", Some("client"))).await;
    assert!(refused.unwrap_err().contains("UnknownIssuer"), "another authority was trusted");
    // A certificate for another name.
    pki.issue("server", Purpose::Server, &["elsewhere.example"], valid());
    let mut server = start(&pki);
    let refused = try_put(server.url(), pki.client("ca.crt", Some("client"))).await;
    assert!(refused.unwrap_err().contains("not valid for name"), "a wrong name was accepted");
    rejected(&mut server, "valid for [\\\"elsewhere.example\\\"] and []");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plaintext_on_a_tls_port_is_told_so() {
    let pki = Pki::new();
    let mut server = start(&pki);
    let answer = http::request(server.address(), "GET", "/health");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, "Client sent an HTTP request to an HTTPS server.\n");
    rejected(&mut server, "first record does not look like a TLS handshake");
    assert_eq!(try_put(server.url(), pki.client("ca.crt", Some("client"))).await, Ok(()));
}

/// The certificate the server shows to a fresh connection.
async fn certificate_shown(server: &Server, tls: &Tls) -> Vec<u8> {
    let material = Material::load(tls, &TlsLimits::default()).unwrap();
    let connector = TlsConnector::from(Arc::new(material.client_config(false).unwrap()));
    let socket = TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = within("a handshake", connector.connect(name, socket)).await.unwrap();
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap().first().unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_without_a_restart() {
    let pki = Pki::new();
    let mut server = start(&pki);
    let tls = pki.client("ca.crt", Some("client"));
    let connected = within("a client", Client::connect(&options(server.url(), tls.clone()))).await;
    let mut kv = connected.unwrap().kv();
    kv.put(put("before", "1")).await.unwrap();
    let before = certificate_shown(&server, &tls).await;
    // Broken files change nothing.
    std::fs::write(pki.file("server.crt"), "not a certificate").unwrap();
    server.process.signal("HUP");
    server.process.wait_line("the refusal of the broken file", |line| {
        line.contains("server.crt").then_some(())
    });
    assert_eq!(try_put(server.url(), tls.clone()).await, Ok(()));
    pki.issue("server", Purpose::Server, &["localhost", "127.0.0.1"], valid());
    server.process.signal("HUP");
    within("the new certificate", async {
        while certificate_shown(&server, &tls).await == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The old connection lives on, new ones are made.
    let range = RangeRequest { key: "before".into(), ..RangeRequest::default() };
    assert_eq!(kv.range(range).await.unwrap().into_inner().kvs.len(), 1);
    assert_eq!(try_put(server.url(), tls).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auto_tls_encrypts_without_any_files_given() {
    let server = Server::start_with(&Kind::Ours, "https", &["--auto-tls"]);
    let options = Options {
        endpoints: vec![server.url()],
        tls: Some(Tls::default()),
        insecure_skip_verify: true,
        ..Options::default()
    };
    let client = within("a client", Client::connect(&options)).await.unwrap();
    client.kv().put(put("k", "v")).await.unwrap();
    assert!(server.home().join("data/fixtures/client/cert.pem").is_file());
}
