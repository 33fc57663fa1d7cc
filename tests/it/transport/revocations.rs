//! A revocation takes effect on connections that are open, and lists are taken from others only when
//! they prove themselves.

use super::*;

use etcd::transport::{ListRefused, MAX_LIST_BYTES};

/// A server that enforces `list.crl` and keeps lists of others beside it.
fn enforcing(pki: &World) -> Tls {
    Tls {
        crl_file: Some(pki.pki.revoke("expired")),
        passed_crl_file: Some(pki.path("passed/client.crl")),
        ..pki.server()
    }
}

fn closed(server: &Server) -> u64 {
    let name = "etcd_rs_tls_revoked_connections_total";
    let counters = server.registry.counter_vec(name, "", &["listener"]);
    counters.with_label_values(&["client"]).get()
}

/// An open connection that has spoken, over one of both protocols.
async fn open(
    server: &Server,
    pki: &World,
    name: &str,
    protocol: &[u8],
) -> etcd::transport::Connection {
    let material = Material::load(&pki.client(name), &TlsLimits::default()).unwrap();
    let mut config = material.client_config(false).unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    let mut stream = dial(&server.url, Some(&Arc::new(config))).await.unwrap();
    if protocol == b"http/1.1" {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: etcd\r\n\r\n").await.unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    }
    stream
}

#[tokio::test]
async fn open_connections_of_a_revoked_certificate_are_closed_and_others_live() {
    let pki = World::new();
    let server = Server::start(enforcing(&pki)).await;
    let mut doomed = Vec::new();
    for protocol in [b"http/1.1".as_slice(), b"h2"] {
        doomed.push(open(&server, &pki, "bob", protocol).await);
    }
    let mut spared = open(&server, &pki, "client", b"http/1.1").await;
    let credentials = server.credentials.clone().unwrap();
    credentials.reload().unwrap();
    assert_eq!(closed(&server), 0, "a reload that revokes nobody closed a connection");
    pki.pki.revoke("bob");
    credentials.reload().unwrap();
    for mut stream in doomed {
        let mut rest = Vec::new();
        // With or without ceremony.
        let _ = stream.read_to_end(&mut rest).await;
    }
    while closed(&server) < 2 {
        tokio::task::yield_now().await;
    }
    let mut rest = vec![0; 1024];
    let _read = spared.read(&mut rest).await.unwrap();
    spared.write_all(b"GET / HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = spared.read_to_end(&mut answer).await;
    assert!(String::from_utf8_lossy(&answer).contains("200 OK"));
    assert_eq!(closed(&server), 2);
}

#[tokio::test]
async fn a_connection_to_a_server_whose_certificate_is_revoked_breaks() {
    let pki = World::new();
    let server = Server::start(pki.server()).await;
    let client = Tls { crl_file: Some(pki.pki.revoke("expired")), ..pki.client("client") };
    let metrics = Metrics::new(&Registry::new());
    let dialling = Credentials::open(client, TlsLimits::default(), metrics).unwrap();
    let mut stream = etcd::transport::dial_with(&server.url, Some(&dialling)).await.unwrap();
    let mut settings = [0; 9];
    stream.read_exact(&mut settings).await.unwrap();
    pki.pki.revoke("server");
    dialling.reload().unwrap();
    let mut rest = Vec::new();
    let error = stream.read_to_end(&mut rest).await.unwrap_err();
    assert!(error.to_string().contains("revoked"), "{error}");
    let error = etcd::transport::dial_with(&server.url, Some(&dialling)).await.err().unwrap();
    assert!(error.to_string().contains("Revoked"), "{error}");
}

#[tokio::test]
async fn of_others_only_newer_lists_of_trusted_authorities_are_taken() {
    let (pki, other) = (World::new(), World::new());
    let server = Server::start(enforcing(&pki)).await;
    let credentials = server.credentials.clone().unwrap();
    let newer = pki.pki.list("bob", 7);
    let mut forged = newer.clone();
    *forged.last_mut().unwrap() ^= 1;
    for (list, refused) in [
        (other.pki.list("bob", 9), "not among those trusted"),
        (forged, "not among those trusted"),
        (pki.pki.list("bob", 1), "no newer"),
        (newer[..newer.len() / 2].to_vec(), "not a certificate revocation list"),
        ([&newer[..], b"x"].concat(), "bytes follow it"),
        (vec![0; MAX_LIST_BYTES + 1], "at most"),
    ] {
        let error = credentials.take_list(&list).unwrap_err().to_string();
        assert!(error.contains(refused), "{refused}: {error}");
    }
    assert!(ask(&server, &pki.client("bob")).await.is_ok());
    let open = open(&server, &pki, "bob", b"h2").await;
    credentials.take_list(&newer).unwrap();
    assert_eq!(credentials.take_list(&newer), Err(ListRefused::Older));
    while closed(&server) < 1 {
        tokio::task::yield_now().await;
    }
    drop(open);
    assert!(ask(&server, &pki.client("bob")).await.is_err());
    assert!(ask(&server, &pki.client("client")).await.is_ok());
    // What was passed on is told to others, holds after a restart, and gives way to a newer file.
    let lists = credentials.live().lists;
    assert_eq!(lists.lists().iter().map(|list| list.number()).collect::<Vec<_>>(), [[7]]);
    let tls = Tls { crl_file: Some(pki.path("list.crl")), ..enforcing(&pki) };
    let again = Server::start(tls).await;
    assert!(ask(&again, &pki.client("bob")).await.is_err());
    std::fs::write(pki.path("list.crl"), pki.pki.list("expired", 8)).unwrap();
    assert!(ask(&again, &pki.client("bob")).await.is_ok());
    let nowhere = Server::start(pki.server()).await;
    let refused = nowhere.credentials.as_ref().unwrap().take_list(&newer);
    assert_eq!(refused, Err(ListRefused::NotKept));
}

#[tokio::test]
async fn a_list_is_taken_up_though_other_files_are_refused() {
    let (pki, other) = (World::new(), World::new());
    let server = Server::start(enforcing(&pki)).await;
    let credentials = server.credentials.clone().unwrap();
    let clients = ["client", "bob"].map(|name| {
        let material = Material::load(&pki.client(name), &TlsLimits::default()).unwrap();
        Arc::new(material.client_config(false).unwrap())
    });
    let gets_in = async |at: usize| match dial(&server.url, Some(&clients[at])).await {
        Ok(stream) => http2(stream).await.is_ok(),
        Err(_) => false,
    };
    let open = open(&server, &pki, "bob", b"h2").await;
    // Neither the certificate can be used nor the file of the authorities.
    let kept = ["server.crt", "ca.crt"].map(|name| std::fs::read(pki.path(name)).unwrap());
    std::fs::write(pki.path("server.crt"), &kept[0][..kept[0].len() / 2]).unwrap();
    std::fs::remove_file(pki.path("ca.crt")).unwrap();
    assert!(credentials.reload().is_err());
    assert!(gets_in(1).await);
    credentials.take_list(&pki.pki.list("bob", 7)).unwrap();
    assert!(credentials.fault().is_some(), "the files are said to be good");
    while closed(&server) < 1 {
        tokio::task::yield_now().await;
    }
    drop(open);
    assert!(!gets_in(1).await && gets_in(0).await);
    // The operator's own file waits for nobody either; what nobody known has signed does.
    std::fs::copy(pki.path("client.crt"), other.path("client.crt")).unwrap();
    for (list, revokes) in [(other.pki.list("client", 9), false), (pki.pki.list("client", 8), true)]
    {
        std::fs::write(pki.path("list.crl"), list).unwrap();
        assert!(credentials.reload().is_err());
        assert_eq!(gets_in(0).await, !revokes);
    }
    // With everything good again the newest list of all counts still.
    for (name, bytes) in ["server.crt", "ca.crt"].into_iter().zip(kept) {
        std::fs::write(pki.path(name), bytes).unwrap();
    }
    credentials.reload().unwrap();
    assert_eq!(credentials.fault(), None);
    assert!(!gets_in(0).await && gets_in(1).await);
}
