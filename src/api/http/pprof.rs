//! `/debug/pprof`: the CPU profile in the format `go tool pprof` reads, and honest refusals.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::any;

use super::answer;
use super::health::Pairs;
use crate::telemetry::profile;

/// What a profile takes when the request does not say.
const DEFAULT: Duration = Duration::from_secs(30);
/// The longest profile: its samples are kept in memory until it ends.
const LONGEST: Duration = Duration::from_secs(300);

const INDEX: &str = "<html>\n<head>\n<title>/debug/pprof/</title>\n</head>\n<body>\n\
    /debug/pprof/<br>\n<ul>\n\
    <li><a href=\"profile?seconds=30\">profile</a>: processor time, sampled</li>\n\
    <li><a href=\"cmdline\">cmdline</a>: the command line</li>\n\
    <li><a href=\"symbol\">symbol</a>: profiles carry their symbols</li>\n\
    </ul>\n<p>Profiles of a Go runtime (heap, goroutine, threadcreate, block, mutex, allocs, trace) \
    do not exist here.</p>\n</body>\n</html>\n";

/// The routes served when profiling is on.
pub(super) fn router() -> Router {
    Router::new()
        .route("/debug/pprof", any(moved))
        .route("/debug/pprof/", any(|| async { answer::html(INDEX) }))
        .route("/debug/pprof/cmdline", any(cmdline))
        .route("/debug/pprof/symbol", any(symbol))
        .route("/debug/pprof/profile", any(cpu))
        .route("/debug/pprof/{name}", any(other))
}

async fn moved() -> Response {
    let to = (LOCATION, HeaderValue::from_static("/debug/pprof/"));
    let kind = (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let body = "<a href=\"/debug/pprof/\">Moved Permanently</a>.\n\n";
    answer::with(StatusCode::MOVED_PERMANENTLY, [kind, to], body)
}

async fn cmdline() -> Response {
    let args: Vec<_> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    answer::text(StatusCode::OK, args.join("\0"))
}

async fn symbol() -> Response {
    answer::text(StatusCode::OK, "num_symbols: 0\n")
}

async fn cpu(query: Pairs) -> Response {
    let pairs = query.map(|Query(pairs)| pairs).unwrap_or_default();
    let seconds = pairs.iter().find(|(name, _)| name == "seconds");
    let seconds: Option<u64> = seconds.and_then(|(_, value)| value.parse().ok());
    let duration = seconds.filter(|s| *s > 0).map_or(DEFAULT, Duration::from_secs);
    if duration > LONGEST {
        let limit = LONGEST.as_secs();
        return refused(
            StatusCode::BAD_REQUEST,
            format!("a profile takes at most {limit} seconds"),
        );
    }
    match profile::cpu(duration).await {
        Ok(profile) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
                (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
                (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"profile\"")),
            ];
            answer::with(StatusCode::OK, headers, profile)
        }
        Err(error) => {
            let text = format!("Could not enable CPU profiling: {error}");
            refused(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    }
}

async fn other(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "heap" | "goroutine" | "threadcreate" | "block" | "mutex" | "allocs" | "trace" => {
            let text = format!("{name} describes a Go runtime, which this server does not have");
            refused(StatusCode::NOT_IMPLEMENTED, text)
        }
        _ => refused(StatusCode::NOT_FOUND, String::from("Unknown profile")),
    }
}

/// A refusal marked the way `go tool pprof` looks for, so that it shows the text.
fn refused(status: StatusCode, text: String) -> Response {
    let mut response = answer::text(status, text + "\n");
    let mark = HeaderName::from_static("x-go-pprof");
    response.headers_mut().insert(mark, HeaderValue::from_static("1"));
    response
}
