//! `/debug/vars`: a few facts about the process and Raft as JSON.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Facts, answer};
use crate::telemetry::metrics;

/// The four variables of etcd; of the memory statistics only those that have a meaning here.
pub(super) async fn vars<F: Facts>(State(facts): State<F>, method: Method) -> Response {
    if method != Method::GET {
        return answer::method_not_allowed();
    }
    let process = metrics::process();
    let cmdline: Vec<_> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    let memory = json!({ "Alloc": process.resident_bytes, "Sys": process.virtual_bytes });
    let vars: [(&str, Value); 4] = [
        ("cmdline", json!(cmdline)),
        ("file_descriptor_limit", json!(process.file_limit)),
        ("memstats", memory),
        ("raft.status", facts.raft_status()),
    ];
    let lines: Vec<String> =
        vars.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    let body = format!("{{\n{}\n}}\n", lines.join(",\n"));
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    answer::with(StatusCode::OK, [(CONTENT_TYPE, kind)], body)
}
