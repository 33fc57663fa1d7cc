//! The peer port: what members say to each other, and what etcd tells there over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use serde::{Deserialize, Serialize};
use tonic::service::Routes;

use super::backend::Backend;
use super::http::{answer, peer_router};
use crate::proto::etcdserverpb::Member;

/// The header that names the cluster.
const CLUSTER: &str = "x-etcd-cluster-id";

/// A member as the peer port tells it, in etcd's order.
#[derive(Serialize)]
struct Told {
    id: u64,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not", rename = "isLearner")]
    is_learner: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty", rename = "clientURLs")]
    client_urls: Vec<String>,
}

/// The question of `/members/hashkv`.
#[derive(Deserialize)]
pub(super) struct HashQuestion {
    revision: i64,
}

#[derive(Serialize)]
struct HashAnswer {
    header: HashHeader,
    hash: u32,
    compact_revision: i64,
}

#[derive(Serialize)]
struct HashHeader {
    cluster_id: u64,
    member_id: u64,
    revision: i64,
    raft_term: u64,
}

/// Everything served on the peer port.
pub fn router(backend: &Arc<Backend>) -> Router {
    let grpc = Routes::new(backend.node.peers().server())
        .add_service(backend.lessor.server(backend.node.peers().clone()))
        .add_service(backend.comparing.server(backend.node.peers().clone()))
        .add_service(backend.passing.server(backend.node.peers().clone()))
        .into_axum_router();
    let members = Router::new()
        .route("/members", any(members))
        .route("/members/hashkv", any(hash_kv))
        .route("/downgrade/enabled", any(downgrade))
        .with_state(Arc::clone(backend));
    // What tonic says to strangers is no HTTP, so its routes are taken without its fallback.
    grpc.reset_fallback().merge(members).merge(peer_router(backend)).fallback(answer::not_found_for)
}

fn of_cluster(backend: &Backend, mut response: Response) -> Response {
    // Hexadecimal digits are always valid there.
    if let Ok(id) = HeaderValue::try_from(backend.cluster.to_string()) {
        response.headers_mut().insert(CLUSTER, id);
    }
    response
}

async fn members(State(backend): State<Arc<Backend>>, method: Method) -> Response {
    if method != Method::GET {
        return of_cluster(&backend, answer::method_not_allowed());
    }
    let told = |member: Member| Told {
        id: member.id,
        peer_urls: member.peer_ur_ls,
        is_learner: member.is_learner,
        name: member.name,
        client_urls: member.client_ur_ls,
    };
    let members: Vec<Told> = backend.members().into_iter().map(told).collect();
    of_cluster(&backend, answer::json_line(&members))
}

async fn hash_kv(
    State(backend): State<Arc<Backend>>,
    method: Method,
    body: axum::body::Bytes,
) -> Response {
    if method != Method::GET {
        return of_cluster(&backend, answer::method_not_allowed());
    }
    let Ok(question) = serde_json::from_slice::<HashQuestion>(&body) else {
        let text = "error unmarshalling request\n";
        return of_cluster(&backend, answer::text(StatusCode::BAD_REQUEST, text));
    };
    let response = match backend.hash_kv(question.revision).await {
        Ok(hashed) => answer::json(&HashAnswer {
            header: HashHeader {
                cluster_id: backend.cluster.0,
                member_id: backend.member.0,
                revision: hashed.current,
                raft_term: backend.node.status().term,
            },
            hash: hashed.hash,
            compact_revision: hashed.compacted,
        }),
        Err(status) => {
            // Members are told without the word that says who speaks.
            let text = status.message();
            let text = text.split_once(": ").map_or(text, |(_, text)| text);
            answer::text(StatusCode::BAD_REQUEST, format!("{text}\n"))
        }
    };
    of_cluster(&backend, response)
}

/// No downgrade is ever under way here.
async fn downgrade(State(backend): State<Arc<Backend>>) -> Response {
    let kind = HeaderValue::from_static("text/plain");
    of_cluster(&backend, answer::with(StatusCode::OK, [(CONTENT_TYPE, kind)], "false"))
}
