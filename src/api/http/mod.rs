//! The HTTP face beside gRPC: version, health, metrics, profiles.
//!
//! [`client_router`] serves a client listener, [`metrics_router`] one of `--listen-metrics-urls`.
//! What they need to know about the node they ask through [`Facts`]; they change nothing.

pub(super) mod answer;
mod checks;
mod gate;
mod health;
mod metrics;
mod pprof;
mod vars;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::Method;
use axum::middleware;
use axum::response::Response;
use axum::routing::any;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::proto::etcdserverpb::AlarmType;
use crate::telemetry::metrics::Registry;
use crate::types::clock::Clock;
use crate::types::version;

/// What the HTTP endpoints need to know about the node.
pub trait Facts: Clone + Send + Sync + 'static {
    /// The metrics of the node.
    fn registry(&self) -> &Registry;

    /// The version the cluster has decided on, as `3.5.0`; `None` before it has.
    fn cluster_version(&self) -> Option<String>;

    /// The alarms that are raised, one per member and kind; a full disk of this member is one.
    fn alarms(&self) -> Vec<AlarmType>;

    /// How long the disk takes for a sync of the log, if that is longer than the election timeout.
    fn slow_disk(&self) -> Option<Duration>;

    /// Whether this member knows a leader.
    fn has_leader(&self) -> bool;

    /// Reads one key, through the leader if `linearizable`, within the time a request may take.
    ///
    /// # Errors
    /// The error a client would see, as text; a missing right to read is no error.
    fn read(&self, linearizable: bool) -> impl Future<Output = Result<(), String>> + Send;

    /// Why new certificate files are not used, as far as there are any; the last good ones are.
    fn refused_files(&self) -> Vec<String>;

    /// The state of Raft for `/debug/vars`, under etcd's names.
    fn raft_status(&self) -> serde_json::Value;
}

/// What a client listener lets through and shows.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Origins of web pages that may ask; `*` stands for all.
    pub cors: Vec<String>,
    /// Names a plaintext request may be addressed to; empty or `*` stands for all.
    pub host_whitelist: Vec<String>,
    /// Whether the listener speaks TLS, which proves the name in another way.
    pub secure: bool,
    /// Whether `/debug/pprof` is there.
    pub pprof: bool,
}

/// Everything etcd serves over HTTP on a client listener.
pub fn client_router<F: Facts>(facts: &F, access: Access) -> Router {
    let pprof = access.pprof;
    let mut router = Router::new()
        .route("/version", any(version::<F>))
        .route("/debug/vars", any(vars::vars::<F>))
        .with_state(facts.clone())
        .merge(shared(facts));
    if pprof {
        router = router.merge(pprof::router());
    }
    let gate = middleware::from_fn_with_state(Arc::new(access), gate::gate);
    router.fallback(answer::not_found_for).layer(gate)
}

/// What a metrics listener serves: metrics and health, without rules for browsers.
pub fn metrics_router<F: Facts>(facts: &F) -> Router {
    shared(facts).fallback(answer::not_found_for)
}

/// What the peer listener serves besides what concerns members alone: version and health.
pub fn peer_router<F: Facts>(facts: &F) -> Router {
    let health = health::Health::new(facts.clone());
    Router::new()
        .route("/version", any(version::<F>))
        .route("/raft/probing", any(probing))
        .with_state(facts.clone())
        .merge(health.router())
}

/// Tells other members that this one is there, and what time it has.
async fn probing() -> Response {
    let now = Clock.unix().as_nanos().cast_signed();
    let now = OffsetDateTime::from_unix_timestamp_nanos(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let now = now.format(&Rfc3339).unwrap_or_default();
    answer::json_line(&Probed { ok: true, now })
}

#[derive(serde::Serialize)]
struct Probed {
    #[serde(rename = "OK")]
    ok: bool,
    #[serde(rename = "Now")]
    now: String,
}

fn shared<F: Facts>(facts: &F) -> Router {
    let health = health::Health::new(facts.clone());
    let checks = checks::Checks::new(facts.clone());
    let scrapes = metrics::Scrapes::new(facts.registry());
    let metrics = Router::new().route("/metrics", any(metrics::metrics)).with_state(scrapes);
    metrics.merge(health.router()).merge(checks.router())
}

async fn version<F: Facts>(State(facts): State<F>, method: Method) -> Response {
    if method != Method::GET {
        return answer::method_not_allowed();
    }
    let cluster = facts.cluster_version();
    answer::json(&Versions {
        etcdserver: version::ETCD_API,
        etcdcluster: cluster.as_deref().unwrap_or("not_decided"),
    })
}

/// The answer of `/version`, in etcd's order.
#[derive(serde::Serialize)]
struct Versions<'a> {
    etcdserver: &'a str,
    etcdcluster: &'a str,
}
