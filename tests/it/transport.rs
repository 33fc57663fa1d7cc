//! Listeners and handshakes, with a service that only says who is asking.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etcd::certs::Purpose;
use etcd::config::{Tls, TlsLimits, TlsVersion};
use etcd::tasks::Supervisor;
use etcd::telemetry::metrics::Registry;
use etcd::transport::{
    BindOptions, Credentials, Identity, Limits, Material, Memory, Metrics, Serving, bind_all, dial,
    serve,
};
use etcd::types::url::Url;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tower::service_fn;

use crate::support::pki::{Pki, valid};

/// The usual certificates and a few more: `bob`, another client, and `elsewhere`, a server whose
/// certificate is for another host.
struct World {
    pki: Pki,
}

impl World {
    fn new() -> Self {
        let pki = Pki::new();
        pki.issue("client", Purpose::Client, &["client.example"], valid());
        pki.issue("bob", Purpose::Client, &[], valid());
        pki.issue("elsewhere", Purpose::Server, &["elsewhere.example"], valid());
        Self { pki }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.pki.file(file)
    }

    fn renew_server(&self) {
        self.pki.issue("server", Purpose::Server, &["localhost", "127.0.0.1"], valid());
    }

    /// A server that demands client certificates.
    fn server(&self) -> Tls {
        Tls { trusted_ca_file: Some(self.path("ca.crt")), ..self.open_server("server") }
    }

    /// A server that takes anybody.
    fn open_server(&self, name: &str) -> Tls {
        Tls {
            cert_file: Some(self.path(&format!("{name}.crt"))),
            key_file: Some(self.path(&format!("{name}.key"))),
            ..Tls::default()
        }
    }

    fn client(&self, name: &str) -> Tls {
        self.pki.client("ca.crt", Some(name))
    }

    fn anonymous(&self) -> Tls {
        self.pki.client("ca.crt", None)
    }
}

/// A served socket, everything about it observable.
struct Server {
    url: Url,
    address: String,
    registry: Registry,
    credentials: Option<Credentials>,
    supervisor: Supervisor,
}

struct Setup {
    urls: Vec<String>,
    tls: Option<Tls>,
    tls_limits: TlsLimits,
    limits: Limits,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            urls: vec!["https://127.0.0.1:0".to_owned()],
            tls: None,
            tls_limits: TlsLimits::default(),
            limits: Limits::default(),
        }
    }
}

impl Server {
    async fn start(tls: Tls) -> Self {
        Self::start_with(Setup { tls: Some(tls), ..Setup::default() }).await
    }

    async fn start_with(setup: Setup) -> Self {
        let (registry, supervisor) = (Registry::new(), Supervisor::new());
        let metrics = Metrics::new(&registry);
        let credentials = setup.tls.map(|tls| {
            // Files are looked at for every handshake, so that no test waits for a second to pass.
            let always = Duration::ZERO;
            Credentials::open_rechecking(tls, setup.tls_limits, metrics.clone(), always).unwrap()
        });
        let urls: Vec<Url> = setup.urls.iter().map(|url| url.parse().unwrap()).collect();
        let mut bound = bind_all(&urls, BindOptions::default()).await.unwrap();
        assert_eq!(bound.len(), 1, "one socket per server in these tests");
        let bound = bound.remove(0);
        let url = bound.url().clone();
        let serving = Serving {
            name: "client",
            credentials: credentials.clone(),
            limits: setup.limits,
            memory: Memory::default(),
            metrics,
            supervisor: supervisor.clone(),
        };
        serve(bound, serving, service_fn(say_who)).unwrap();
        let address = url.authority.clone();
        Self { url, address, registry, credentials, supervisor }
    }

    fn failures(&self, reason: &str) -> u64 {
        let name = "etcd_rs_tls_handshake_failures_total";
        let counters = self.registry.counter_vec(name, "", &["listener", "reason"]);
        counters.with_label_values(&["client", reason]).get()
    }

    /// Waits until a handshake failed for this reason; the test's own deadline ends a vain wait.
    async fn failed_for(&self, reason: &str) {
        while self.failures(reason) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Says who asks and over which protocol, and repeats the body.
async fn say_who(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let version = request.version();
    let identity = request.extensions().get::<Identity>().cloned();
    let name = identity.as_ref().and_then(|identity| identity.certificate.clone());
    let name = name.map_or_else(|| "nobody".to_owned(), |found| found.common_name.clone());
    let tls = identity.is_some_and(|identity| identity.tls);
    // Whoever sends a body is answered after its end, which tests can so delay.
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    Ok(Response::new(Full::from(format!("{name} {version:?} tls={tls}{body}"))))
}

/// Asks once over HTTP/2 and tells the answer or what went wrong.
async fn ask(server: &Server, tls: &Tls) -> Result<String, String> {
    ask_with(server, tls, &TlsLimits::default()).await
}

async fn ask_with(server: &Server, tls: &Tls, limits: &TlsLimits) -> Result<String, String> {
    let material = Material::load(tls, limits).map_err(|error| error.to_string())?;
    let config = Arc::new(material.client_config(false).map_err(|error| error.to_string())?);
    let stream = dial(&server.url, Some(&config)).await.map_err(|error| error.to_string())?;
    http2(stream).await
}

async fn http2(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Result<String, String> {
    let text = |error: hyper::Error| format!("{error:?}");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(text)?;
    let request = Request::get("http://etcd/").body(Empty::<Bytes>::new()).unwrap();
    let answer = async {
        let answer = sender.send_request(request).await.map_err(text)?;
        let body = answer.into_body().collect().await.map_err(text)?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    };
    tokio::select! { answer = answer => answer, _ = connection => Err("connection ended".into()) }
}

/// Sends HTTP/1.1 by hand and tells everything that came back.
async fn http1(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> String {
    let request = b"GET / HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A server may close without ceremony once it answered.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

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
    };
    let error = serve(bound, serving, service_fn(say_who)).unwrap_err().to_string();
    assert!(error.contains("--cert-file, --key-file"), "{error}");
}
