//! The same address under two names. etcd compares addresses of members as they are written, and if
//! they differ, as they resolve.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::types::url::Url;

/// How long names are tried that do not resolve, as in etcd: at the start of a machine the name service
/// may come late.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_secs(1);

/// Whether this member advertises what the first members say of it.
///
/// # Errors
/// The sentence etcd says.
pub(super) async fn check_advertised(config: &Config) -> Result<(), String> {
    let Err(fault) = config.check_advertised(None) else { return Ok(()) };
    let named = config.own_initial_urls()?;
    let advertised = &config.member.initial_advertise_peer_urls;
    if named.len() != advertised.len() {
        return Err(fault);
    }
    match (resolve(advertised).await, resolve(named).await) {
        (Ok(advertised), Ok(named)) => config.check_advertised(Some((&advertised, &named))),
        (Err(why), _) | (_, Err(why)) => {
            let urls: Vec<String> = advertised.iter().map(ToString::to_string).collect();
            let initial = &config.cluster.initial_cluster;
            Err(format!(
                "failed to resolve {} to match --initial-cluster={initial} ({why})",
                urls.join(",")
            ))
        }
    }
}

/// URLs with their host names replaced by addresses, sorted.
///
/// # Errors
/// The name that does not resolve, and why.
pub(super) async fn resolve(urls: &[Url]) -> Result<Vec<String>, String> {
    let mut resolved = Vec::with_capacity(urls.len());
    for url in urls {
        resolved.push(resolve_one(url).await?);
    }
    resolved.sort_unstable();
    Ok(resolved)
}

async fn resolve_one(url: &Url) -> Result<String, String> {
    if url.scheme.is_unix() {
        return Ok(url.to_string());
    }
    let insisted = async {
        loop {
            match tokio::net::lookup_host(&url.authority).await {
                Ok(found) => return first(found),
                Err(error) => {
                    tracing::warn!(url = %url, %error, "failed to resolve URL Host");
                    sleep(RETRY).await;
                }
            }
        }
    };
    match timeout(PATIENCE, insisted).await {
        Ok(Some(address)) => Ok(format!("{}://{address}", url.scheme.as_str())),
        Ok(None) => Err(format!("{url} has no address")),
        Err(_) => Err(format!("{url} did not resolve within {PATIENCE:?}")),
    }
}

/// Of several addresses behind a name Go takes the first of version 4.
fn first(found: impl Iterator<Item = std::net::SocketAddr>) -> Option<std::net::SocketAddr> {
    found.min_by_key(std::net::SocketAddr::is_ipv6)
}
