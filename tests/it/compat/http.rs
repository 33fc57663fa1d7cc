//! The HTTP side of the client port, and what of it the metrics and HTTP-only listeners serve.

use crate::compat::assert_same;
use crate::support::http::{Answer, request};
use crate::support::reference;
use crate::support::server::{Kind, Server};
use crate::support::wait::eventually;

const PATHS: &[(&str, &str)] = &[
    ("GET", "/version"),
    ("POST", "/version"),
    ("GET", "/health"),
    ("GET", "/health?serializable=true"),
    ("GET", "/health?exclude=NOSPACE"),
    ("POST", "/health"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/livez/serializable_read"),
    ("GET", "/readyz/linearizable_read"),
    ("GET", "/readyz/data_corruption"),
    ("GET", "/readyz/nonsense"),
    ("POST", "/readyz"),
    ("GET", "/"),
    ("GET", "/nonsense"),
    ("GET", "/v2/keys"),
    ("GET", "/config/local/log"),
    ("GET", "/debug/pprof/"),
    ("OPTIONS", "/version"),
];

/// Headers that clients and browsers act upon.
const HEADERS: &[&str] = &[
    "content-type",
    "allow",
    "x-content-type-options",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
];

fn write_down(method: &str, path: &str, answer: &Answer) -> String {
    let kept: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| HEADERS.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let body =
        answer.body.replace("3.5.16", "VERSION").replace(etcd::types::version::ETCD_API, "VERSION");
    format!("{method} {path} => {} {kept:?} {body:?}", answer.status)
}

#[test]
fn the_client_port_answers_http_like_etcd() {
    let Some(folder) = reference::folder() else { return };
    let play = |kind: &Kind| -> Vec<String> {
        let server = Server::start(kind);
        // etcd agrees on it through its log, a moment after it is ready.
        eventually("the cluster version to be decided", || {
            let version = request(server.address(), "GET", "/version").body;
            (!version.contains("not_decided")).then_some(())
        });
        PATHS
            .iter()
            .map(|(method, path)| {
                write_down(method, path, &request(server.address(), method, path))
            })
            .collect()
    };
    assert_same(&play(&Kind::Reference(folder)), &play(&Kind::Ours));
}
