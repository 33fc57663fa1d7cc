//! Responses in the shape Go's HTTP server gives them.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NOSNIFF: (HeaderName, HeaderValue) =
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

/// A response with exactly these headers.
pub(in crate::api) fn with<const N: usize>(
    status: StatusCode,
    headers: [(HeaderName, HeaderValue); N],
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response
}

/// Plain text that a browser must not take for anything else.
pub(in crate::api) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    with(status, [(CONTENT_TYPE, PLAIN), NOSNIFF], body)
}

/// Plain text without that warning, as Go sends what it recognised by itself.
pub(in crate::api) fn bare_text(body: String) -> Response {
    with(StatusCode::OK, [(CONTENT_TYPE, PLAIN)], body)
}

/// A page.
pub(in crate::api) fn html(body: &'static str) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    with(StatusCode::OK, [(CONTENT_TYPE, kind), NOSNIFF], body)
}

/// A JSON object on one line, without a line break.
pub(in crate::api) fn json(body: &impl Serialize) -> Response {
    let kind = HeaderValue::from_static("application/json");
    // Bodies of ours are plain structs of text, which cannot fail to be written.
    let text = serde_json::to_string(body).unwrap_or_default();
    with(StatusCode::OK, [(CONTENT_TYPE, kind)], text)
}

/// As [`json`], with a line break behind it.
pub(in crate::api) fn json_line(body: &impl Serialize) -> Response {
    let kind = HeaderValue::from_static("application/json");
    let text = serde_json::to_string(body).unwrap_or_default();
    with(StatusCode::OK, [(CONTENT_TYPE, kind)], text + "\n")
}

/// Nothing is served there.
pub(in crate::api) fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// [`not_found`] as a handler.
pub(in crate::api) async fn not_found_for() -> Response {
    not_found()
}

/// Only GET is served there; HEAD is not, which is etcd's own rule.
pub(in crate::api) fn method_not_allowed() -> Response {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}
