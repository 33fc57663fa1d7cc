//! The HTTP side of the client port, and what of it the metrics and HTTP-only listeners serve.

use crate::compat::assert_same;
use crate::support::http::{Answer, request, request_with};
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

/// Method, path and headers, in which `{address}` stands for the server's.
type Ask = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const BROWSERS: &[Ask] = &[
    ("GET", "/version", &[("Host", "{address}"), ("Origin", "http://good.example:80")]),
    ("GET", "/version", &[("Host", "{address}"), ("Origin", "http://bad.example")]),
    ("OPTIONS", "/version", &[("Host", "{address}"), ("Origin", "http://good.example:80")]),
    ("OPTIONS", "/health", &[("Host", "{address}"), ("Origin", "http://bad.example")]),
    ("GET", "/health", &[("Host", "known.example"), ("Origin", "http://good.example:80")]),
    ("GET", "/version", &[("Host", "known.example")]),
    ("GET", "/version", &[("Host", "known.example:2379")]),
    ("GET", "/version", &[("Host", "rebound.example")]),
    ("GET", "/health", &[("Host", "rebound.example"), ("Origin", "http://good.example:80")]),
    ("GET", "/metrics", &[("Host", "rebound.example")]),
];

#[test]
fn browsers_are_let_in_and_kept_out_like_by_etcd() {
    let Some(folder) = reference::folder() else { return };
    let play = |kind: &Kind| -> Vec<String> {
        let flags = ["--cors=http://good.example:80", "--host-whitelist=known.example,127.0.0.1"];
        let server = Server::start_with(kind, "http", &flags);
        eventually("the cluster version to be decided", || {
            let version = request(server.address(), "GET", "/version").body;
            (!version.contains("not_decided")).then_some(())
        });
        let ask = |(method, path, headers): &Ask| {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.replace("{address}", server.address())))
                .collect();
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let mut answer = request_with(server.address(), method, path, &headers);
            if answer.status == 421 {
                // What to do about it is told in other words.
                let first = answer.body.trim_start().lines().next().unwrap_or_default();
                answer.body = first.to_owned();
            }
            let shown = write_down(method, path, &answer).replace(server.address(), "ADDRESS");
            format!("{:?} {shown}", headers.last().map(|(name, _)| name))
        };
        BROWSERS.iter().map(ask).collect()
    };
    assert_same(&play(&Kind::Reference(folder)), &play(&Kind::Ours));
}

#[test]
fn metrics_are_compressed_for_those_who_take_it_and_variables_have_etcds_names() {
    let Some(folder) = reference::folder() else { return };
    let play = |kind: &Kind| -> Vec<String> {
        let server = Server::start(kind);
        let address = server.address();
        let encoding = |accepted: &str| {
            let headers = [("Host", address), ("Accept-Encoding", accepted)];
            let answer = request_with(address, "GET", "/metrics", &headers);
            let encoding = answer.headers.iter().find(|(name, _)| name == "content-encoding");
            format!("{accepted}: {} {encoding:?}", answer.status)
        };
        let mut record: Vec<String> =
            ["gzip", "gzip;q=0.5, deflate", "deflate", "identity"].map(encoding).into();
        let vars = request(address, "GET", "/debug/vars");
        let vars: serde_json::Value = serde_json::from_str(&vars.body).unwrap();
        record.extend(vars.as_object().unwrap().keys().cloned());
        let raft = vars["raft.status"].as_object().unwrap();
        record.extend(raft.keys().map(|key| format!("raft.status: {key}")));
        record.push(format!("{} {}", raft["lead"], raft["raftState"]));
        record
    };
    assert_same(&play(&Kind::Reference(folder)), &play(&Kind::Ours));
}
