//! Listeners and handshakes, with a service that only says who is asking.

mod certificates;
mod faults;
mod revocations;
mod sockets;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etcd::certs::Purpose;
use etcd::config::{Tls, TlsLimits, TlsVersion};
use etcd::tasks::{Stage, Supervisor};
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
            stage: Stage::Serving,
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
