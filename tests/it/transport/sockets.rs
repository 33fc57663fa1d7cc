//! Protocols, kinds of sockets, floods, and the end.

use super::*;

#[tokio::test]
async fn both_protocols_are_served_on_one_port_and_know_the_client() {
    let pki = World::new();
    let server = Server::start(pki.server()).await;
    let answer = ask(&server, &pki.client("client")).await;
    assert_eq!(answer.as_deref(), Ok("client HTTP/2.0 tls=true"));
    let material = Material::load(&pki.client("bob"), &TlsLimits::default()).unwrap();
    for protocols in [vec![], vec![b"http/1.1".to_vec()], vec![b"h2".to_vec()]] {
        let mut config = material.client_config(false).unwrap();
        config.alpn_protocols.clone_from(&protocols);
        let stream = dial(&server.url, Some(&Arc::new(config))).await.unwrap();
        if protocols == [b"h2".to_vec()] {
            assert_eq!(http2(stream).await.as_deref(), Ok("bob HTTP/2.0 tls=true"));
        } else {
            let answer = http1(stream).await;
            assert!(answer.ends_with("bob HTTP/1.1 tls=true"), "{protocols:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn plaintext_on_an_encrypted_port_is_told_so() {
    let pki = World::new();
    let server = Server::start(pki.server()).await;
    let answer = http1(TcpStream::connect(&server.address).await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{answer}");
    assert!(http2(TcpStream::connect(&server.address).await.unwrap()).await.is_err());
    while server.failures("plaintext") < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn encryption_on_a_plain_port_is_refused() {
    let pki = World::new();
    let urls = vec!["http://127.0.0.1:0".to_owned()];
    let server = Server::start_with(Setup { urls, ..Setup::default() }).await;
    let url: Url = format!("https://{}", server.address).parse().unwrap();
    let encrypted = Server { url, ..server };
    assert!(ask(&encrypted, &pki.anonymous()).await.is_err());
    encrypted.failed_for("tls_on_plaintext").await;
}

#[tokio::test]
async fn plain_and_encrypted_can_share_a_port() {
    let pki = World::new();
    // A port that is free now; both URLs must name the same.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let urls = ["http", "https"].map(|scheme| format!("{scheme}://127.0.0.1:{port}")).to_vec();
    let setup = Setup { urls, tls: Some(pki.server()), ..Setup::default() };
    let mut server = Server::start_with(setup).await;
    let plain = http2(TcpStream::connect(&server.address).await.unwrap()).await;
    assert_eq!(plain.as_deref(), Ok("nobody HTTP/2.0 tls=false"));
    server.url = format!("https://{}", server.address).parse().unwrap();
    let encrypted = ask(&server, &pki.client("client")).await;
    assert_eq!(encrypted.as_deref(), Ok("client HTTP/2.0 tls=true"));
}

#[tokio::test]
async fn unix_sockets_are_served_and_left_overs_replaced() {
    let pki = World::new();
    let path = pki.path("etcd.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a left-over socket");
    let urls = vec![format!("unixs://{}", path.display())];
    let server =
        Server::start_with(Setup { urls, tls: Some(pki.server()), ..Setup::default() }).await;
    let answer = ask(&server, &pki.client("client")).await;
    assert_eq!(answer.as_deref(), Ok("client HTTP/2.0 tls=true"));
    let again = bind_all(std::slice::from_ref(&server.url), BindOptions::default()).await;
    assert!(again.unwrap_err().to_string().contains("address already in use"));
    let file: Url = format!("unix://{}", pki.path("ca.crt").display()).parse().unwrap();
    let error = bind_all(&[file], BindOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("not a socket"), "{error}");
    assert!(server.supervisor.shutdown(Duration::from_secs(10)).await.is_empty());
    assert!(!path.exists(), "removed with the listener");
}

#[tokio::test]
async fn half_open_handshakes_end_and_make_room() {
    let pki = World::new();
    let limits = Limits {
        handshake_deadline: Duration::from_millis(100),
        max_handshakes: 2,
        ..Limits::default()
    };
    let setup = Setup { tls: Some(pki.server()), limits, ..Setup::default() };
    let server = Server::start_with(setup).await;
    let mut silent = Vec::new();
    for byte in [0x16, 0x16, 0x16, b'G'] {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        stream.write_all(&[byte]).await.unwrap();
        silent.push(stream);
    }
    assert!(ask(&server, &pki.client("client")).await.is_ok(), "strangers do not lock us out");
    while server.failures("timeout") < 4 {
        tokio::task::yield_now().await;
    }
    for mut stream in silent {
        // Closed by the server, one way or the other.
        assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn who_shakes_hands_and_never_speaks_is_let_go() {
    let pki = World::new();
    let limits = Limits { handshake_deadline: Duration::from_millis(200), ..Limits::default() };
    let tls = Some(pki.open_server("server"));
    let server =
        Server::start_with(Setup { tls, limits: limits.clone(), ..Setup::default() }).await;
    let material = Material::load(&pki.anonymous(), &TlsLimits::default()).unwrap();
    let config = Arc::new(material.client_config(false).unwrap());
    let mut silent = dial(&server.url, Some(&config)).await.unwrap();
    let urls = vec!["http://127.0.0.1:0".to_owned()];
    let plain = Server::start_with(Setup { urls, limits, ..Setup::default() }).await;
    let mut half = TcpStream::connect(&plain.address).await.unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    // Settings of the server come first, as every client may expect; the end one way or the other.
    let _ = silent.read_to_end(&mut Vec::new()).await;
    let _ = half.read_to_end(&mut Vec::new()).await;
    for server in [&server, &plain] {
        server.failed_for("timeout").await;
    }
    assert!(ask(&server, &pki.anonymous()).await.is_ok());
}

#[tokio::test]
async fn too_many_connections_are_closed() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let urls = vec!["http://127.0.0.1:0".to_owned()];
    let server = Server::start_with(Setup { urls, limits, ..Setup::default() }).await;
    let first = TcpStream::connect(&server.address).await.unwrap();
    let mut second = TcpStream::connect(&server.address).await.unwrap();
    assert!(matches!(second.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    assert!(http1(first).await.ends_with("nobody HTTP/1.1 tls=false"));
}

#[tokio::test]
async fn stopping_lets_requests_finish_and_takes_no_new_ones() {
    let urls = vec!["http://127.0.0.1:0".to_owned()];
    let server = Server::start_with(Setup { urls, ..Setup::default() }).await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: etcd\r\nContent-Length: 5\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let gauge = server.registry.gauge_vec("etcd_rs_network_connections", "", &["listener"]);
    while gauge.with_label_values(&["client"]).get() == 0 {
        tokio::task::yield_now().await;
    }
    let supervisor = server.supervisor.clone();
    let mut stopping = JoinSet::new();
    stopping.spawn(async move { supervisor.shutdown(Duration::from_secs(30)).await });
    while TcpStream::connect(&server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(b" done").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("nobody HTTP/1.1 tls=false done"), "{answer}");
    assert!(stopping.join_next().await.unwrap().unwrap().is_empty(), "nothing overran");
}

#[tokio::test]
async fn an_encrypted_url_without_a_certificate_is_refused_at_start() {
    let url: Url = "https://127.0.0.1:0".parse().unwrap();
    let bound = bind_all(&[url], BindOptions::default()).await.unwrap().remove(0);
    let serving = Serving {
        name: "client",
        credentials: None,
        limits: Limits::default(),
        memory: Memory::default(),
        metrics: Metrics::new(&Registry::new()),
        supervisor: Supervisor::new(),
        stage: Stage::Serving,
    };
    let error = serve(bound, serving, service_fn(say_who)).unwrap_err().to_string();
    assert!(error.contains("--cert-file, --key-file"), "{error}");
}
