//! `/livez` and `/readyz`: named checks, together or one by one, for Kubernetes probes.

use std::fmt::Write;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::any;

use super::health::{Pairs, excluded};
use super::{Facts, answer};
use crate::proto::etcdserverpb::AlarmType;
use crate::telemetry::metrics::{IntCounterVec, IntGaugeVec};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::DataCorruption => "data_corruption",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
        }
    }
}

/// One of the two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Whether the process works at all: without quorum it still does.
    Live,
    /// Whether traffic should come here.
    Ready,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Live => "livez",
            Self::Ready => "readyz",
        }
    }

    fn checks(self) -> &'static [Check] {
        match self {
            Self::Live => &[Check::SerializableRead],
            Self::Ready => {
                &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead]
            }
        }
    }
}

/// Both endpoints with their metrics.
#[derive(Clone)]
pub(super) struct Checks<F> {
    facts: F,
    last: IntGaugeVec,
    count: IntCounterVec,
}

impl<F: Facts> Checks<F> {
    /// Registers the metrics.
    pub(super) fn new(facts: F) -> Self {
        let registry = facts.registry();
        let last = registry.gauge_vec(
            "etcd_server_healthcheck",
            "The last result of each check of /livez and /readyz: 1 is good.",
            &["name", "type"],
        );
        let count = registry.counter_vec(
            "etcd_server_healthchecks_total",
            "How often each check of /livez and /readyz ended how.",
            &["name", "status", "type"],
        );
        Self { facts, last, count }
    }

    /// The routes served.
    pub(super) fn router(self) -> Router {
        let mut router = Router::new();
        for kind in [Kind::Live, Kind::Ready] {
            let all = move |State(checks): State<Self>, method: Method, uri: Uri, query: Pairs| async move {
                checks.answer(kind, None, &method, &uri, query).await
            };
            let one = move |State(checks): State<Self>,
                            method: Method,
                            uri: Uri,
                            Path(name): Path<String>| async move {
                checks.answer(kind, Some(name), &method, &uri, Ok(Query(Vec::new()))).await
            };
            let root = format!("/{}", kind.name());
            router = router.route(&root, any(all)).route(&format!("{root}/{{check}}"), any(one));
        }
        router.with_state(self)
    }

    /// Runs all checks of `kind` that are not excluded, or the one that is asked for by name.
    async fn answer(
        &self,
        kind: Kind,
        only: Option<String>,
        method: &Method,
        uri: &Uri,
        query: Pairs,
    ) -> Response {
        let known = |name: &str| kind.checks().iter().copied().find(|c| c.name() == name);
        let only = match only.as_deref().map(known) {
            Some(None) => return answer::not_found(),
            Some(check) => check,
            None => None,
        };
        let path = uri.path();
        if method != Method::GET {
            tracing::warn!(path, "status-code" = 405, "Health request error");
            return answer::method_not_allowed();
        }
        let pairs = query.map(|Query(pairs)| pairs).unwrap_or_default();
        let excluded = excluded(&pairs);
        let missing: Vec<_> = excluded.iter().filter(|name| known(name).is_none()).collect();
        if !missing.is_empty() {
            tracing::warn!("missing-health-checks" = ?missing, "some health checks cannot be excluded");
        }
        let verbose = uri.query().is_some_and(|query| {
            query.split('&').any(|pair| pair.split('=').next() == Some("verbose"))
        });
        let chosen = |check: &Check| {
            only.map_or_else(|| !excluded.contains(&check.name()), |only| only == *check)
        };
        let checks: Vec<Check> = kind.checks().iter().copied().filter(chosen).collect();
        let (mut lines, good) = self.run(kind, &checks).await;
        if kind == Kind::Ready && only.is_none() {
            // What was in use goes on, so it is no reason to send traffic elsewhere.
            for fault in self.facts.refused_files() {
                // Writing to a string cannot fail.
                let _ = writeln!(
                    lines,
                    "[!]certificate files refused, the last good ones are used: {fault}"
                );
            }
        }
        if !good {
            tracing::error!(path, reason = lines, "status-code" = 503, "Health check error");
            return answer::text(StatusCode::SERVICE_UNAVAILABLE, lines + "\n");
        }
        answer::text(StatusCode::OK, if verbose { lines + "ok\n" } else { String::from("ok\n") })
    }

    /// One line per check, and whether all are good.
    async fn run(&self, kind: Kind, checks: &[Check]) -> (String, bool) {
        let (mut lines, mut good) = (String::new(), true);
        for check in checks {
            let (name, result) = (check.name(), self.result(*check).await);
            // Writing to a string cannot fail.
            let _ = match &result {
                Ok(()) => writeln!(lines, "[+]{name} ok"),
                Err(reason) => writeln!(lines, "[-]{name} failed: {reason}"),
            };
            let status = if result.is_ok() { "success" } else { "error" };
            let (kind, value) = (kind.name(), i64::from(result.is_ok()));
            self.last.with_label_values(&[name, kind]).set(value);
            self.count.with_label_values(&[name, status, kind]).inc();
            good &= result.is_ok();
        }
        (lines, good)
    }

    async fn result(&self, check: Check) -> Result<(), String> {
        match check {
            Check::DataCorruption if self.facts.alarms().contains(&AlarmType::Corrupt) => {
                Err(String::from("alarm activated: CORRUPT"))
            }
            Check::DataCorruption => Ok(()),
            Check::SerializableRead => self.facts.read(false).await,
            Check::LinearizableRead => self.facts.read(true).await,
        }
    }
}
