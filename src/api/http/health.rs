//! `/health`: one verdict with a reason, for load balancers and `etcdctl endpoint health`.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use serde_json::json;

use super::{Facts, answer};
use crate::proto::etcdserverpb::AlarmType;
use crate::telemetry::metrics::IntCounter;

/// The endpoint with its counters.
#[derive(Clone)]
pub(super) struct Health<F> {
    facts: F,
    good: IntCounter,
    bad: IntCounter,
}

/// The query of a request: pairs, of which a name may come up several times.
pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

impl<F: Facts> Health<F> {
    /// Registers the counters.
    pub(super) fn new(facts: F) -> Self {
        let registry = facts.registry();
        let good = registry.counter("etcd_server_health_success", "Good answers of /health.");
        let bad = registry.counter("etcd_server_health_failures", "Bad answers of /health.");
        Self { facts, good, bad }
    }

    /// The routes served.
    pub(super) fn router(self) -> Router {
        Router::new().route("/health", any(answer_health::<F>)).with_state(self)
    }

    /// Alarms first, then the leader and the disk that keeps it in office, then a read: the first
    /// that fails is the reason.
    async fn verdict(&self, excluded: &[&str], serializable: bool) -> Result<(), String> {
        for alarm in self.facts.alarms() {
            let name = alarm.as_str_name();
            if excluded.contains(&name) {
                tracing::debug!(alarm = name, "/health excluded alarm");
                continue;
            }
            tracing::warn!(alarm = name, "serving /health false due to an alarm");
            let known = matches!(alarm, AlarmType::Nospace | AlarmType::Corrupt);
            return Err(format!("ALARM {}", if known { name } else { "UNKNOWN" }));
        }
        if !serializable && !self.facts.has_leader() {
            tracing::warn!("serving /health false; no leader");
            return Err(String::from("RAFT NO LEADER"));
        }
        if let Some(took) = self.facts.slow_disk().filter(|_| !serializable) {
            tracing::warn!(took = ?took, "serving /health false; the disk is slow");
            return Err(format!(
                "DISK SLOW: a sync of the log took {took:.1?}, longer than the election timeout"
            ));
        }
        self.facts.read(!serializable).await.map_err(|error| {
            tracing::warn!(error, "serving /health false; Range fails");
            format!("RANGE ERROR:{error}")
        })
    }
}

async fn answer_health<F: Facts>(
    State(health): State<Health<F>>,
    method: Method,
    query: Pairs,
) -> Response {
    if method != Method::GET {
        tracing::warn!("status-code" = 405, "/health error");
        return answer::method_not_allowed();
    }
    let pairs = query.map(|Query(pairs)| pairs).unwrap_or_default();
    let serializable = pairs.iter().find(|(name, _)| name == "serializable");
    let serializable = serializable.is_some_and(|(_, value)| value == "true");
    let verdict = health.verdict(&excluded(&pairs), serializable).await;
    let reason = verdict.as_ref().err().map_or("", String::as_str);
    let health_word = if verdict.is_ok() { "true" } else { "false" };
    let body = json!({ "health": health_word, "reason": reason }).to_string();
    if verdict.is_ok() {
        health.good.inc();
        tracing::debug!("status-code" = 200, "/health OK");
        answer::bare_text(body)
    } else {
        health.bad.inc();
        tracing::warn!(output = body, "status-code" = 503, "/health error");
        answer::text(StatusCode::SERVICE_UNAVAILABLE, body + "\n")
    }
}

/// The values of every `exclude` in a query.
pub(super) fn excluded(pairs: &[(String, String)]) -> Vec<&str> {
    let named = pairs.iter().filter(|(name, value)| name == "exclude" && !value.is_empty());
    named.map(|(_, value)| value.as_str()).collect()
}
