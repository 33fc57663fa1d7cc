//! What a browser may ask for, checked before anything is served on a client listener.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST,
    ORIGIN,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::{Access, answer};

const ANY: &str = "*";

/// Refuses hosts that are not listed, answers preflight requests, adds the CORS headers.
pub(super) async fn gate(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(host) = check_host(&access, &request) {
        tracing::warn!(host, "rejecting HTTP request to prevent DNS rebinding attacks");
        return answer::text(StatusCode::MISDIRECTED_REQUEST, refusal(&host));
    }
    let origin = allowed_origin(&access, &request);
    let mut response = if request.method() == Method::OPTIONS {
        Response::new(Body::empty())
    } else {
        next.run(request).await
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let methods = HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE");
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        let names = HeaderValue::from_static("accept, content-type, authorization");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    response
}

/// A page that has its own name resolve to us cannot forge the name it asks for; TLS proves it.
fn check_host(access: &Access, request: &Request) -> Result<(), String> {
    let list = &access.host_whitelist;
    if access.secure || list.is_empty() || list.iter().any(|host| host == ANY) {
        return Ok(());
    }
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let host = without_port(header.or(authority).unwrap_or_default());
    if list.iter().any(|allowed| allowed == host) { Ok(()) } else { Err(String::from(host)) }
}

/// `name`, `name:port`, `[v6]` and `[v6]:port` without port and brackets.
fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match host.split_once(':') {
        // More than one colon is an address without a port.
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

fn allowed_origin(access: &Access, request: &Request) -> Option<HeaderValue> {
    if access.cors.iter().any(|allowed| allowed == ANY) {
        return Some(HeaderValue::from_static(ANY));
    }
    let origin = request.headers().get(ORIGIN)?;
    access
        .cors
        .iter()
        .any(|allowed| allowed.as_bytes() == origin.as_bytes())
        .then(|| origin.clone())
}

fn refusal(host: &str) -> String {
    format!(
        "\netcd received your request, but the Host header was unrecognized.\n\n\
         Either serve TLS, where the certificate proves the name, or allow this name:\n\
         \x20 - e.g. etcd --host-whitelist \"{host}\"\n\n\
         The rule keeps web pages from reaching etcd by DNS rebinding (CVE-2018-5702).\n"
    )
}

#[cfg(test)]
mod tests {
    use super::without_port;

    #[test]
    fn the_port_does_not_count() {
        for (host, name) in [
            ("a.b:2379", "a.b"),
            ("a.b", "a.b"),
            ("[::1]:2379", "::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("", ""),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
