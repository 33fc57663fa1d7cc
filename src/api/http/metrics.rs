//! `/metrics`: the text a Prometheus server scrapes.

use std::io::Write;

use axum::extract::State;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::answer;
use crate::telemetry::metrics::{self, IntCounter, IntGauge, Registry};

/// The endpoint, which counts its own use.
#[derive(Clone)]
pub(super) struct Scrapes {
    registry: Registry,
    under_way: IntGauge,
    answered: IntCounter,
}

impl Scrapes {
    /// Of this node.
    pub(super) fn new(registry: &Registry) -> Self {
        let answered = registry.counter_vec(
            "promhttp_metric_handler_requests_total",
            "Total number of scrapes by HTTP status code.",
            &["code"],
        );
        // Nothing here ends in the other two, which dashboards look for.
        let [ok, ..] = ["200", "500", "503"].map(|code| answered.with_label_values(&[code]));
        Self {
            registry: registry.clone(),
            under_way: registry.gauge(
                "promhttp_metric_handler_requests_in_flight",
                "Current number of scrapes being served.",
            ),
            answered: ok,
        }
    }

    fn render(&self) -> String {
        self.under_way.inc();
        let text = self.registry.render();
        self.under_way.dec();
        self.answered.inc();
        text
    }
}

/// All metrics of the node, compressed if the client takes that.
pub(super) async fn metrics(State(scrapes): State<Scrapes>, headers: HeaderMap) -> Response {
    let text = scrapes.render();
    let kind = (CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    if takes_gzip(&headers)
        && let Ok(packed) = gzip(text.as_bytes())
    {
        let encoding = (CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return answer::with(StatusCode::OK, [kind, encoding], packed);
    }
    answer::with(StatusCode::OK, [kind], text)
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        coding.trim() == "gzip" && !refused
    })
}

fn gzip(text: &[u8]) -> std::io::Result<Vec<u8>> {
    // A scrape happens every few seconds: the cheapest level takes most of the gain.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish()
}
