//! Faults of certificates and clients that the listeners have to live with.

use std::os::unix::fs::PermissionsExt;

use etcd::certs::Validity;
use etcd::types::clock::Clock;

use super::*;

fn chmod(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_key_everybody_can_read_is_refused_and_never_replaces_a_good_one() {
    let pki = World::new();
    let server = Server::start(pki.server()).await;
    let key = pki.path("server.key");
    pki.renew_server();
    chmod(&key, 0o644);
    let credentials = server.credentials.clone().unwrap();
    let error = credentials.reload().unwrap_err().to_string();
    assert!(error.contains("mode 0644") && error.contains("chmod 600"), "{error}");
    assert!(ask(&server, &pki.client("client")).await.is_ok());
    assert_eq!(credentials.live().generation, 1);
    // A group may be let in, as where secrets are mounted for it.
    chmod(&key, 0o640);
    credentials.reload().unwrap();
    chmod(&key, 0o604);
    let loose = TlsLimits { loose_keys: true, ..TlsLimits::default() };
    assert!(Material::load(&pki.server(), &TlsLimits::default()).is_err());
    let allowed = Material::load(&pki.server(), &loose).unwrap();
    assert!(allowed.warnings().iter().any(|warning| warning.contains("every user")));
}

#[tokio::test]
async fn a_deleted_list_key_or_authority_leaves_the_last_good_set() {
    let pki = World::new();
    let tls = Tls { crl_file: Some(pki.pki.revoke("bob")), ..pki.server() };
    let server = Server::start(tls).await;
    let credentials = server.credentials.clone().unwrap();
    for file in ["list.crl", "server.key", "ca.crt"] {
        let kept = std::fs::read(pki.path(file)).unwrap();
        // The client needs the authority's file, too.
        let client = pki.client("client");
        let material = Material::load(&client, &TlsLimits::default()).unwrap();
        std::fs::remove_file(pki.path(file)).unwrap();
        let error = credentials.reload().unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("No such file"), "{error}");
        let config = Arc::new(material.client_config(false).unwrap());
        let stream = dial(&server.url, Some(&config)).await.unwrap();
        assert!(http2(stream).await.is_ok(), "{file}");
        std::fs::write(pki.path(file), kept).unwrap();
        chmod(&pki.path(file), 0o600);
        credentials.reload().unwrap();
        assert!(
            ask(&server, &pki.client("bob")).await.is_err(),
            "{file}: the list is not enforced"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_ends_while_it_is_used_admits_nobody_afterwards() {
    let pki = World::new();
    let second = Duration::from_secs(1);
    let now = Clock.unix();
    let short = Validity { from: now - second, until: now + 2 * second };
    pki.pki.issue("short", Purpose::Client, &[], short);
    let server = Server::start(pki.server()).await;
    assert!(ask(&server, &pki.client("short")).await.is_ok());
    while server.failures("expired") == 0 {
        // Its end is the fact that is waited for.
        let _ = ask(&server, &pki.client("short")).await;
    }
    assert!(ask(&server, &pki.client("short")).await.is_err());
    // The server's own: clients refuse it, and a newer one is taken up.
    let now = Clock.unix();
    let short = Validity { from: now - second, until: now + 2 * second };
    pki.pki.issue("server", Purpose::Server, &["127.0.0.1"], short);
    assert!(ask(&server, &pki.client("client")).await.is_ok());
    while ask(&server, &pki.client("client")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let error = ask(&server, &pki.client("client")).await.unwrap_err();
    assert!(error.contains("xpired"), "{error}");
    let error = server.credentials.as_ref().unwrap().reload().unwrap_err().to_string();
    assert!(error.contains("it expired"), "{error}");
    pki.renew_server();
    assert!(ask(&server, &pki.client("client")).await.is_ok());
}

#[tokio::test]
async fn a_flood_of_handshakes_locks_nobody_out() {
    let pki = World::new();
    let limits = Limits {
        handshake_deadline: Duration::from_millis(300),
        max_handshakes: 64,
        ..Limits::default()
    };
    let setup = Setup { tls: Some(pki.server()), limits, ..Setup::default() };
    let server = Server::start_with(setup).await;
    let established = open_h1(&server, &pki).await;
    let mut flood = Vec::new();
    for _ in 0..500 {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        // The head of a hello that never goes on.
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
        flood.push(stream);
    }
    let mut established = established;
    assert!(http1(&mut established).await.contains("client HTTP/1.1"), "a client that was there");
    assert!(ask(&server, &pki.client("client")).await.is_ok(), "a client that came later");
    while server.failures("timeout") < 500 {
        tokio::task::yield_now().await;
    }
}

async fn open_h1(server: &Server, pki: &World) -> etcd::transport::Connection {
    let material = Material::load(&pki.client("client"), &TlsLimits::default()).unwrap();
    let mut config = material.client_config(false).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    dial(&server.url, Some(&Arc::new(config))).await.unwrap()
}

#[tokio::test]
async fn a_client_that_sends_its_hello_byte_by_byte_runs_out_of_time() {
    let pki = World::new();
    let limits = Limits { handshake_deadline: Duration::from_millis(200), ..Limits::default() };
    let server =
        Server::start_with(Setup { tls: Some(pki.server()), limits, ..Setup::default() }).await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0; 500]].concat();
    for byte in hello {
        if stream.write_all(&[byte]).await.is_err() || server.failures("timeout") > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.failed_for("timeout").await;
}

#[tokio::test]
async fn an_oversized_hello_is_refused_before_it_is_held() {
    let pki = World::new();
    let server = Server::start(pki.server()).await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    // A hello that announces 16 MiB, in full records.
    let mut head = vec![1, 0xff, 0xff, 0xff];
    head.resize(16_384, 0);
    let mut sent = 0_usize;
    for at in 0..1024 {
        let mut record = vec![0x16, 3, 1, 0x40, 0];
        record.extend(if at == 0 { head.clone() } else { vec![0; 16_384] });
        if stream.write_all(&record).await.is_err() {
            break;
        }
        sent += record.len();
    }
    assert!(sent < 8 << 20, "{sent} bytes were read");
    let (malformed, closed, io) =
        (server.failures("malformed"), server.failures("closed"), server.failures("io"));
    let other = server.failures("other");
    assert_eq!(malformed + closed + io + other, 1, "{malformed} {closed} {io} {other}");
    assert!(ask(&server, &pki.client("client")).await.is_ok());
}
