//! Who is let in, who is believed, and what happens when files change.

use super::*;

#[tokio::test]
async fn clients_without_a_good_certificate_are_refused_with_the_reason() {
    let pki = World::new();
    pki.renew_server();
    let server = Server::start(pki.server()).await;
    let refused = [
        (pki.anonymous(), "no_certificate"),
        (pki.client("unknown"), "unknown_ca"),
        (pki.client("expired"), "expired"),
        (pki.client("elsewhere"), "purpose"),
    ];
    for (client, reason) in refused {
        assert!(ask(&server, &client).await.is_err(), "{reason}");
        server.failed_for(reason).await;
    }
    assert!(ask(&server, &pki.client("client")).await.is_ok());
}

#[tokio::test]
async fn revoked_certificates_are_refused_as_soon_as_the_list_says_so() {
    let pki = World::new();
    let tls = Tls { crl_file: Some(pki.pki.revoke("bob")), ..pki.server() };
    let server = Server::start(tls).await;
    assert!(ask(&server, &pki.client("bob")).await.is_err());
    server.failed_for("revoked").await;
    assert!(ask(&server, &pki.client("client")).await.is_ok());
    pki.pki.revoke("client");
    assert!(ask(&server, &pki.client("client")).await.is_err());
    assert!(ask(&server, &pki.client("bob")).await.is_ok());
}

#[tokio::test]
async fn only_allowed_names_may_connect() {
    let pki = World::new();
    let by_cn = Tls { allowed_cn: vec!["carol".into(), "client".into()], ..pki.server() };
    let server = Server::start(by_cn).await;
    assert!(ask(&server, &pki.client("client")).await.is_ok());
    assert!(ask(&server, &pki.client("bob")).await.is_err());
    server.failed_for("not_allowed").await;
    let by_host = Tls { allowed_hostname: vec!["client.example".into()], ..pki.server() };
    let server = Server::start(by_host).await;
    assert!(ask(&server, &pki.client("client")).await.is_ok());
    assert!(ask(&server, &pki.client("bob")).await.is_err());
}

#[tokio::test]
async fn clients_refuse_servers_they_cannot_verify() {
    let pki = World::new();
    let server = Server::start(pki.open_server("server")).await;
    let distrusting = Tls { trusted_ca_file: Some(pki.path("stranger.crt")), ..Tls::default() };
    let error = ask(&server, &distrusting).await.unwrap_err();
    assert!(error.contains("UnknownIssuer") || error.contains("invalid peer"), "{error}");
    server.failed_for("client_distrusts_us").await;
    let server = Server::start(pki.open_server("elsewhere")).await;
    let error = ask(&server, &pki.anonymous()).await.unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn versions_are_kept_to() {
    let pki = World::new();
    let only12 = TlsLimits { max: Some(TlsVersion::V12), ..TlsLimits::default() };
    let server = Server::start(pki.server()).await;
    let answer = ask_with(&server, &pki.client("client"), &only12).await;
    assert_eq!(answer.as_deref(), Ok("client HTTP/2.0 tls=true"));
    let tls_limits = TlsLimits { min: TlsVersion::V13, ..TlsLimits::default() };
    let setup = Setup { tls: Some(pki.server()), tls_limits, ..Setup::default() };
    let server = Server::start_with(setup).await;
    assert!(ask_with(&server, &pki.client("client"), &only12).await.is_err());
    server.failed_for("version").await;
    assert!(ask(&server, &pki.client("client")).await.is_ok());
}

#[tokio::test]
async fn suites_are_kept_to() {
    let pki = World::new();
    let suite = |name| TlsLimits {
        max: Some(TlsVersion::V12),
        cipher_suites: vec![name],
        ..TlsLimits::default()
    };
    let aes = suite("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    let setup = Setup { tls: Some(pki.server()), tls_limits: aes.clone(), ..Setup::default() };
    let server = Server::start_with(setup).await;
    assert!(ask_with(&server, &pki.client("client"), &aes).await.is_ok());
    let other = suite("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256");
    assert!(ask_with(&server, &pki.client("client"), &other).await.is_err());
    server.failed_for("no_common_suite").await;
}

#[tokio::test]
async fn new_certificates_are_taken_up_while_old_connections_go_on() {
    let pki = World::new();
    let server = Server::start(pki.server()).await;
    let material = Material::load(&pki.client("client"), &TlsLimits::default()).unwrap();
    let config = Arc::new(material.client_config(false).unwrap());
    let before = dial(&server.url, Some(&config)).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(before))
            .await
            .unwrap();
    let mut talking = JoinSet::new();
    talking.spawn(connection);
    pki.renew_server();
    assert!(ask(&server, &pki.client("client")).await.is_ok());
    assert_eq!(server.credentials.as_ref().unwrap().live().generation, 2, "noticed by itself");
    server.credentials.as_ref().unwrap().reload().unwrap();
    assert_eq!(server.credentials.as_ref().unwrap().live().generation, 3, "reloaded on demand");
    let request = Request::get("http://etcd/").body(Empty::<Bytes>::new()).unwrap();
    assert!(sender.send_request(request).await.unwrap().status().is_success());
}

#[tokio::test]
async fn files_that_do_not_pass_never_replace_what_works() {
    let pki = World::new();
    let server = Server::start(pki.server()).await;
    let credentials = server.credentials.clone().unwrap();
    let good = std::fs::read(pki.path("server.crt")).unwrap();
    let half = &good[..good.len() / 2];
    for (content, complaint) in [
        (half, "cut short"),
        (b"".as_slice(), "no PEM certificate"),
        (&std::fs::read(pki.path("client.crt")).unwrap(), "does not belong"),
        (&std::fs::read(pki.path("server.key")).unwrap(), "swapped"),
    ] {
        std::fs::write(pki.path("server.crt"), content).unwrap();
        let error = credentials.reload().unwrap_err().to_string();
        assert!(error.contains(complaint) && error.contains("server.crt"), "{error}");
        assert!(ask(&server, &pki.client("client")).await.is_ok(), "{complaint}");
    }
    std::fs::remove_file(pki.path("server.crt")).unwrap();
    assert!(credentials.reload().unwrap_err().to_string().contains("No such file"));
    std::fs::write(pki.path("server.crt"), good).unwrap();
    assert!(ask(&server, &pki.client("client")).await.is_ok());
    assert_eq!(credentials.live().generation, 2, "taken up again once good");
}

#[tokio::test]
async fn a_self_signed_pair_serves_those_who_skip_verification_or_trust_it() {
    let dir = tempfile::tempdir().unwrap();
    let now = etcd::types::clock::Clock.unix();
    let hosts = vec!["127.0.0.1".to_owned()];
    let pair = etcd::certs::ensure_self_signed(dir.path(), &hosts, 1, now).unwrap();
    let tls = Tls {
        cert_file: Some(pair.certificate.clone()),
        key_file: Some(pair.key),
        auto: true,
        ..Tls::default()
    };
    let server = Server::start(tls).await;
    let trusting = Tls { trusted_ca_file: Some(pair.certificate), ..Tls::default() };
    assert_eq!(ask(&server, &trusting).await.as_deref(), Ok("nobody HTTP/2.0 tls=true"));
    let material = Material::load(&Tls::default(), &TlsLimits::default()).unwrap();
    let config = Arc::new(material.client_config(true).unwrap());
    let stream = dial(&server.url, Some(&config)).await.unwrap();
    assert!(http2(stream).await.is_ok());
}
