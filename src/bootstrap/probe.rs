//! Asking other members who belongs to their cluster.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::config::Config;
use crate::transport::{Credentials, dial};
use crate::types::ids::{ClusterId, MemberId};
use crate::types::url::Url;

/// How long a member may take that is asked before a cluster is founded.
const SHORT: Duration = Duration::from_secs(1);
/// How long one may take that is asked to be joined.
const LONG: Duration = Duration::from_secs(10);
/// The largest answer taken, in bytes; thousands of members fit in.
const MOST: usize = 1 << 20;

/// A member as the peer port tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Told {
    pub(super) id: u64,
    #[serde(default, rename = "peerURLs")]
    pub(super) peer_urls: Vec<String>,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default, rename = "clientURLs")]
    pub(super) client_urls: Vec<String>,
}

/// A cluster as one of its members tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToldCluster {
    pub(super) id: ClusterId,
    pub(super) members: Vec<Told>,
}

/// What versions a member tells.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Versions {
    #[serde(rename = "etcdserver")]
    pub(super) server: String,
    #[serde(rename = "etcdcluster")]
    pub(super) cluster: String,
}

/// Where the other first members are reached, sorted, as etcd asks them.
pub(super) fn others(config: &Config) -> Vec<Url> {
    let own = &config.member.name;
    let members = config.cluster.initial_members.iter().filter(|(name, _)| name != own);
    let mut urls: Vec<Url> = members.flat_map(|(_, urls)| urls.iter().cloned()).collect();
    urls.sort_by_key(ToString::to_string);
    urls
}

/// Whether a running cluster knows this member as one that has served. Nobody who does not answer is
/// held against it.
pub(super) async fn knows_as_started(
    config: &Config,
    member: MemberId,
    credentials: Option<&Credentials>,
) -> bool {
    for url in others(config) {
        let Ok(cluster) = members_within(&url, credentials, SHORT).await else { continue };
        let own = cluster.members.iter().find(|told| told.id == member.0);
        return own.is_some_and(|own| !own.client_urls.is_empty());
    }
    false
}

/// The cluster of the first of `urls` that answers.
pub(super) async fn first_cluster(
    urls: &[Url],
    credentials: Option<&Credentials>,
) -> Option<(Url, ToldCluster)> {
    for url in urls {
        match members_within(url, credentials, LONG).await {
            Ok(cluster) => return Some((url.clone(), cluster)),
            Err(error) => {
                tracing::warn!(address = %url, %error, "failed to get cluster response");
            }
        }
    }
    None
}

async fn members_within(
    url: &Url,
    credentials: Option<&Credentials>,
    limit: Duration,
) -> Result<ToldCluster, String> {
    let (cluster, members) = get(url, "/members", credentials, limit).await?;
    let id = cluster.as_deref().map(|text| u64::from_str_radix(text, 16));
    match id {
        Some(Ok(id)) => Ok(ToldCluster { id: ClusterId(id), members }),
        Some(Err(error)) => Err(format!("failed to parse cluster ID: {error}")),
        None => Err("the answer names no cluster ID".to_owned()),
    }
}

/// The versions of a member.
pub(super) async fn versions(
    url: &Url,
    credentials: Option<&Credentials>,
) -> Result<Versions, String> {
    get(url, "/version", credentials, LONG).await.map(|(_, versions)| versions)
}

/// One question on the peer port: the id of the cluster that answers, if it says it, and the answer.
async fn get<T: DeserializeOwned>(
    url: &Url,
    path: &str,
    credentials: Option<&Credentials>,
    limit: Duration,
) -> Result<(Option<String>, T), String> {
    let asked = ask(url, path, credentials);
    match timeout(limit, asked).await {
        Ok(answer) => {
            let (cluster, body) = answer?;
            let read = serde_json::from_slice(&body);
            Ok((cluster, read.map_err(|error| format!("failed to unmarshal {path}: {error}"))?))
        }
        Err(_) => Err(format!("no answer to {url}{path} within {limit:?}")),
    }
}

async fn ask(
    url: &Url,
    path: &str,
    credentials: Option<&Credentials>,
) -> Result<(Option<String>, Vec<u8>), String> {
    let tls = credentials.and_then(|held| held.live().client);
    let stream = dial(url, tls.as_ref()).await.map_err(|error| error.to_string())?;
    let lost = |error: hyper::Error| format!("{url}{path}: {error}");
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(lost)?;
    let request = Request::get(format!("http://{}{path}", url.authority))
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(lost)?;
        let (head, body) = response.into_parts();
        let body = to_bytes(Body::new(body), MOST).await.map_err(|error| error.to_string())?;
        if head.status != StatusCode::OK {
            return Err(format!("{url}{path}: {}", head.status));
        }
        let cluster = head.headers.get("x-etcd-cluster-id").and_then(|id| id.to_str().ok());
        Ok((cluster.map(str::to_owned), body.to_vec()))
    };
    // The connection ends with the question.
    tokio::select! {
        answer = answered => answer,
        ended = connection => Err(ended.err().map_or_else(|| "closed".to_owned(), lost)),
    }
}
