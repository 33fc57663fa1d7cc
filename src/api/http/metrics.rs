//! `/metrics`: the text a Prometheus server scrapes.

use std::io::Write;

use axum::extract::State;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Facts, answer};
use crate::telemetry::metrics;

/// All metrics of the node, compressed if the client takes that.
pub(super) async fn metrics<F: Facts>(State(facts): State<F>, headers: HeaderMap) -> Response {
    let text = facts.registry().render();
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
