//! The sockets of a node: opened before anything else starts, served when everything runs.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use super::error::ServerError;
use super::{files, renewal};
use crate::api::grpc::Grpc;
use crate::api::http::{Access, client_router, metrics_router};
use crate::api::{Backend, Service};
use crate::certs::ensure_self_signed;
use crate::config::{Config, Tls};
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::Registry;
use crate::transport::{
    BindOptions, Bound, Credentials, Inherited, Limits, Memory, Metrics, Serving, bind_or_take,
    serve,
};
use crate::types::clock::Clock;
use crate::types::url::Url;

/// Opened sockets and what they prove their identity with.
pub(super) struct Listeners {
    /// gRPC, and HTTP too unless that has listeners of its own.
    client: Vec<Bound>,
    /// HTTP without gRPC.
    client_http: Vec<Bound>,
    /// Metrics and health alone.
    metrics: Vec<Bound>,
    /// The other members.
    peer: Vec<Bound>,
    credentials: Option<Credentials>,
    peer_credentials: Option<Credentials>,
    counters: Metrics,
    /// Bounds of each socket; together they leave the log and the store their files.
    limits: Limits,
}

/// Opens every socket of the configuration, or takes the one that was passed on for it.
///
/// # Errors
/// If an address cannot be taken, or certificates that are needed cannot be used.
pub(super) async fn bind(
    config: &Config,
    registry: &Registry,
    mut inherited: Inherited,
) -> Result<Listeners, ServerError> {
    let member = &config.member;
    let options = BindOptions {
        reuse_port: member.socket_reuse_port,
        reuse_address: member.socket_reuse_address,
    };
    // Before the files are read.
    renewal::complete(config);
    let counters = Metrics::new(registry);
    for (listener, urls) in [
        ("client", &member.listen_client_urls),
        ("client-http", &member.listen_client_http_urls),
        ("metrics", &member.listen_metrics_urls),
        ("peer", &member.listen_peer_urls),
    ] {
        counters.set_plaintext(listener, urls);
    }
    let urls = [
        &member.listen_client_urls[..],
        &member.listen_client_http_urls,
        &member.listen_metrics_urls,
    ]
    .concat();
    let credentials = client_credentials(config, &urls, &counters)?;
    let peer_credentials = peer_credentials(config, &counters)?;
    let mut open =
        async |name, urls: &[Url]| bind_or_take(urls, options, name, &mut inherited).await;
    let client = open("client", &member.listen_client_urls).await?;
    let client_http = open("client-http", &member.listen_client_http_urls).await?;
    let metrics = open("metrics", &member.listen_metrics_urls).await?;
    let peer = open("peer", &member.listen_peer_urls).await?;
    inherited.finish()?;
    let limits = limits(config, client.len() + client_http.len() + metrics.len() + peer.len());
    Ok(Listeners {
        client,
        client_http,
        metrics,
        peer,
        credentials,
        peer_credentials,
        counters,
        limits,
    })
}

/// Certificates for the listeners that serve clients, if any of them needs some.
fn client_credentials(
    config: &Config,
    urls: &[Url],
    counters: &Metrics,
) -> Result<Option<Credentials>, ServerError> {
    if !urls.iter().any(|url| url.scheme.is_tls()) {
        return Ok(None);
    }
    let tls = certificates(config, "client", &config.client_tls, urls)?;
    Ok(Some(Credentials::open(tls, config.tls.clone(), counters.clone())?))
}

/// Certificates for serving and calling other members, if that is encrypted anywhere, or if there may
/// be a member that is.
fn peer_credentials(
    config: &Config,
    counters: &Metrics,
) -> Result<Option<Credentials>, ServerError> {
    let listen = &config.member.listen_peer_urls;
    let named = config.cluster.initial_members.iter().flat_map(|(_, urls)| urls);
    let encrypted = listen.iter().chain(named).any(|url| url.scheme.is_tls());
    let tls = &config.peer_tls;
    let given = tls.cert_file.is_some() || tls.trusted_ca_file.is_some();
    if !encrypted && !given {
        return Ok(None);
    }
    let tls = certificates(config, "peer", tls, listen)?;
    Ok(Some(Credentials::open_for_peers(tls, config.tls.clone(), counters.clone())?))
}

/// The certificates to use: self-made ones where they are asked for. Revocation lists that other members
/// pass on are kept with the data: the configured file is its owner's, and may be where nobody may write.
fn certificates(config: &Config, side: &str, tls: &Tls, urls: &[Url]) -> Result<Tls, ServerError> {
    let passed = config.member.data_dir.join("revocations").join(format!("{side}.crl"));
    let tls = Tls { passed_crl_file: Some(passed), ..tls.clone() };
    if tls.auto && tls.cert_file.is_none() {
        self_signed(config, side, &tls, urls)
    } else {
        Ok(tls)
    }
}

/// The certificate `--auto-tls` and `--peer-auto-tls` make, in the data directory as etcd has it.
fn self_signed(config: &Config, side: &str, tls: &Tls, urls: &[Url]) -> Result<Tls, ServerError> {
    let folder = config.member.data_dir.join("fixtures").join(side);
    let hosts: Vec<String> = urls
        .iter()
        .filter(|url| url.scheme.is_tls() && !url.scheme.is_unix())
        .map(|url| url.host().to_owned())
        .collect();
    let years = config.tls.self_signed_cert_validity_years;
    let pair = ensure_self_signed(&folder, &hosts, years, Clock.unix())?;
    if let Some(reason) = &pair.made_because {
        tracing::info!(
            certificate = %pair.certificate.display(),
            %reason,
            "made a self-signed certificate"
        );
    }
    Ok(Tls { cert_file: Some(pair.certificate), key_file: Some(pair.key), ..tls.clone() })
}

impl Listeners {
    /// Every set of certificates, for reloading.
    pub(super) fn credentials(&self) -> Vec<Credentials> {
        self.credentials.iter().chain(&self.peer_credentials).cloned().collect()
    }

    /// Counters of every socket.
    pub(super) fn counters(&self) -> &Metrics {
        &self.counters
    }

    /// Certificates for calling other members.
    pub(super) fn peer_credentials(&self) -> Option<&Credentials> {
        self.peer_credentials.as_ref()
    }

    /// Starts serving the other members, as long as consensus needs them.
    ///
    /// # Errors
    /// If an encrypted listener has no certificate.
    pub(super) fn serve_peers(
        &mut self,
        service: &Router,
        supervisor: &Supervisor,
    ) -> Result<(), ServerError> {
        let serving = Serving {
            name: "peer",
            credentials: self.peer_credentials.clone(),
            // Streams of log entries never end by themselves, and nobody waits for their end.
            limits: Limits { drain: Duration::ZERO, ..self.limits.clone() },
            memory: Memory::default(),
            metrics: self.counters.clone(),
            supervisor: supervisor.clone(),
            stage: Stage::Consensus,
        };
        for bound in self.peer.drain(..) {
            for url in bound.urls() {
                tracing::info!(address = %url, "serving peer traffic");
            }
            serve(bound, serving.clone(), service.clone())?;
        }
        Ok(())
    }

    /// Starts serving clients on every other socket.
    ///
    /// # Errors
    /// If an encrypted listener has no certificate.
    pub(super) fn serve(
        self,
        backend: &Arc<Backend>,
        config: &Config,
        supervisor: &Supervisor,
    ) -> Result<(), ServerError> {
        tracing::info!("ready to serve client requests");
        let grpc = Grpc::start(Arc::clone(backend), supervisor);
        let serving = Serving {
            name: "client",
            credentials: self.credentials,
            limits: self.limits,
            memory: Memory::default(),
            metrics: self.counters,
            supervisor: supervisor.clone(),
            stage: Stage::Serving,
        };
        let split = !self.client_http.is_empty();
        for bound in self.client {
            let http = if split { Router::new() } else { router(backend, config, &bound) };
            announce(&bound, if split { "grpc" } else { "grpc+http" });
            let limits = Limits {
                ping_interval: Some(config.member.grpc_keepalive_min_time),
                // As in etcd, where another library serves such ports: clients that ping often work
                // there, browsers and scrapers among them.
                encrypted_ping_freely: !split,
                ..serving.limits.clone()
            };
            let serving = Serving { limits, ..serving.clone() };
            serve(bound, serving, Service::new(grpc.clone(), http))?;
        }
        for bound in self.client_http {
            announce(&bound, "http");
            let http = router(backend, config, &bound);
            serve(bound, serving.clone(), Service::http_only(http))?;
        }
        for bound in self.metrics {
            let http = metrics_router(backend);
            let serving = Serving { name: "metrics", ..serving.clone() };
            serve(bound, serving, Service::http_only(http))?;
        }
        Ok(())
    }
}

fn router(backend: &Arc<Backend>, config: &Config, bound: &Bound) -> Router {
    let access = Access {
        cors: config.member.cors.clone(),
        host_whitelist: config.member.host_whitelist.clone(),
        secure: bound.is_tls(),
        pprof: config.member.enable_pprof,
    };
    client_router(backend, access)
}

fn limits(config: &Config, sockets: usize) -> Limits {
    let member = &config.member;
    let defaults = Limits::default();
    Limits {
        max_connections: files::for_connections(defaults.max_connections) / sockets.max(1),
        max_concurrent_streams: member.max_concurrent_streams,
        keepalive_interval: member.grpc_keepalive_interval,
        keepalive_timeout: member.grpc_keepalive_timeout,
        ..defaults
    }
}

/// Says where clients are served, in etcd's words: scripts wait for them.
fn announce(bound: &Bound, traffic: &str) {
    for url in bound.urls() {
        let address = &url.authority;
        if url.scheme.is_tls() {
            tracing::info!(traffic, address, "serving client traffic securely");
        } else {
            tracing::info!(
                traffic,
                address,
                "serving client traffic insecurely; this is strongly discouraged!"
            );
        }
    }
}
