//! The issuer's process: listens, answers, looks after its own certificates and after the members it
//! has registered.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tonic::service::Routes;

use super::MOST_REQUEST_BYTES;
use super::members::Cluster;
use super::own;
use super::records::Membership;
use super::service::Service;
use super::sign::Desk;
use crate::certs::{CertError, Layout};
use crate::config::{Tls, TlsLimits};
use crate::proto::enrol::issuer_server::IssuerServer;
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::Registry;
use crate::transport::{
    BindError, BindOptions, Bound, Credentials, Limits, Memory, Metrics, Serving, TlsError,
    bind_all, serve,
};
use crate::types::clock::Clock;
use crate::types::url::Url;

/// How often it looks after members that wait for their vote.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks after its own certificates.
const CARE: Duration = Duration::from_secs(10);

/// What it needs.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The directory with the authorities.
    pub layout: Layout,
    /// Where to listen, encrypted.
    pub listen: Vec<Url>,
    /// The cluster that new members are for.
    pub endpoints: Vec<String>,
    /// How long what it signs is to live.
    pub life: Duration,
    /// More names it is reached by.
    pub hosts: Vec<String>,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The authorities' directory.
    #[error(transparent)]
    Certs(#[from] CertError),
    /// Its own certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its sockets.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An address without encryption.
    #[error("{0} is not encrypted, and secrets pass here: write https://")]
    Plaintext(String),
}

/// An issuer that serves.
#[derive(Debug)]
pub struct Issuer {
    urls: Vec<Url>,
}

impl Issuer {
    /// Starts one whose tasks `supervisor` owns.
    ///
    /// # Errors
    /// If the authorities are not here, or an address cannot be taken.
    pub async fn start(parts: Parts, supervisor: &Supervisor) -> Result<Self, IssuerError> {
        if let Some(url) = parts.listen.iter().find(|url| !url.scheme.is_tls()) {
            return Err(IssuerError::Plaintext(url.to_string()));
        }
        let desk = Desk { layout: parts.layout.clone(), life: parts.life };
        let own = own::ensure(&desk.open()?, &parts.hosts, Clock.unix())?;
        let metrics = Metrics::new(&Registry::new());
        let tls = Tls {
            cert_file: Some(own.server.certificate.clone()),
            key_file: Some(own.server.key.clone()),
            ..Tls::default()
        };
        // Few come, and whoever was just told of another root looks for it at once.
        let (allowed, always) = (TlsLimits::default(), Duration::ZERO);
        let credentials = Credentials::open_rechecking(tls, allowed, metrics.clone(), always)?;
        let bound = bind_all(&parts.listen, BindOptions::default()).await?;
        let urls = bound.iter().flat_map(Bound::urls).collect();
        let cluster = Cluster::of(&parts.layout, parts.endpoints.clone());
        let serving = Serving {
            name: "issuer",
            credentials: Some(credentials.clone()),
            limits: limits(),
            memory: Memory::default(),
            metrics,
            supervisor: supervisor.clone(),
            stage: Stage::Serving,
        };
        let service = Service::new(desk.clone(), cluster.clone(), credentials.clone());
        let service = IssuerServer::new(service).max_decoding_message_size(MOST_REQUEST_BYTES);
        let service = Routes::new(service).into_axum_router();
        for bound in bound {
            serve(bound, serving.clone(), service.clone())?;
        }
        look_after_itself(&desk, parts.hosts, credentials, supervisor);
        promote(desk, cluster, supervisor);
        Ok(Self { urls })
    }

    /// Where it listens, with the ports the system chose.
    pub fn urls(&self) -> &[Url] {
        &self.urls
    }
}

/// Few come here, each for a moment.
fn limits() -> Limits {
    Limits {
        max_handshakes: 64,
        max_connections: 1024,
        max_concurrent_streams: 8,
        stream_window: 64 << 10,
        connection_window: 256 << 10,
        max_headers: 16 << 10,
        keepalive_interval: Duration::from_secs(30),
        ..Limits::default()
    }
}

/// Makes its own certificates anew at two thirds of their life.
fn look_after_itself(
    desk: &Desk,
    hosts: Vec<String>,
    credentials: Credentials,
    supervisor: &Supervisor,
) {
    let (desk, stop) = (desk.clone(), supervisor.stop_token(Stage::Upkeep));
    supervisor.spawn("issuer-certificates", Stage::Upkeep, async move {
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(CARE) => {}
            }
            let (desk, hosts) = (desk.clone(), hosts.clone());
            let cared = spawn_blocking(move || own::ensure(&desk.open()?, &hosts, Clock.unix()));
            if let Ok(Err(error)) = cared.await {
                tracing::error!(%error, "the issuer cannot renew its own certificates");
            }
            credentials.refresh();
        }
    });
}

/// Makes voters of the learners its tokens brought.
fn promote(desk: Desk, cluster: Cluster, supervisor: &Supervisor) {
    let stop = supervisor.stop_token(Stage::Upkeep);
    supervisor.spawn("promoter", Stage::Upkeep, async move {
        // What kept each from it last, so that it is logged once.
        let mut said = HashMap::new();
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            tokio::select! {
                () = stop.stopped() => return,
                () = promote_once(&desk, &cluster, &mut said) => {}
            }
        }
    });
}

async fn promote_once(desk: &Desk, cluster: &Cluster, said: &mut HashMap<u64, String>) {
    let tokens = desk.tokens();
    let records = match spawn_blocking(move || tokens.all()).await {
        Ok(Ok(records)) => records,
        Ok(Err(error)) => return tracing::error!(%error, "cannot read the tokens"),
        Err(_) => return,
    };
    for record in records {
        let Some((member, _)) = record.member.filter(|_| record.waits()) else { continue };
        let id = format!("{member:x}");
        match cluster.advance(member).await {
            Ok(Membership::Learner) => {}
            Ok(state) => {
                tracing::info!(
                    "member-id" = id,
                    name = record.name,
                    ?state,
                    "the member is settled"
                );
                let desk = desk.clone();
                let noted = spawn_blocking(move || desk.note(&record.id, member, state)).await;
                if let Ok(Err(error)) = noted {
                    tracing::error!(%error, "cannot keep how far the member is");
                }
            }
            Err(error) => {
                let last = said.insert(member, error.clone());
                if last.as_ref() != Some(&error) {
                    tracing::info!("member-id" = id, error, "the member has no vote yet");
                }
            }
        }
    }
}
