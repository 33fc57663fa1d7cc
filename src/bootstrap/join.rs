//! Joining a running cluster: who we are there, and whether the flags describe it.

use super::identity::Identity;
use super::probe::{self, Told, ToldCluster};
use super::resolve::resolve;
use crate::config::Config;
use crate::transport::Credentials;
use crate::types::ids::{ClusterId, MemberId};
use crate::types::url::Url;
use crate::types::version;

/// Why a cluster cannot be joined; the sentences are etcd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// No member told who belongs to the cluster.
    #[error(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from the \
         given URLs"
    )]
    NoAnswer,
    /// The one that answered knows no members.
    #[error(
        "cannot fetch cluster info from peer urls: failed to get raft cluster member(s) from the \
         given URLs"
    )]
    Empty,
    /// `--initial-cluster` names more or fewer members than there are.
    #[error("error validating peerURLs {cluster}: member count is unequal")]
    Count {
        /// The cluster as it was told.
        cluster: String,
    },
    /// A member of the cluster is missing in `--initial-cluster`.
    #[error(
        "error validating peerURLs {cluster}: PeerURLs: no match found for existing member ({id}, \
         [{urls}]), last resolver error ({reason})"
    )]
    NoMatch {
        /// The cluster as it was told.
        cluster: String,
        /// The member.
        id: MemberId,
        /// Where it is reached.
        urls: String,
        /// Why a name was not resolved, if one was not.
        reason: String,
    },
    /// The members work at a version this node does not speak.
    #[error("incompatible with current running cluster: it works at version {0}")]
    Version(String),
}

/// Asks the other members of `--initial-cluster` who belongs to their cluster, and finds this node among
/// them by its addresses.
pub(super) async fn join(
    config: &Config,
    credentials: Option<&Credentials>,
) -> Result<Identity, JoinError> {
    let others = probe::others(config);
    let told = probe::first_cluster(&others, credentials).await;
    let (url, cluster) = told.ok_or(JoinError::NoAnswer)?;
    if cluster.members.is_empty() {
        return Err(JoinError::Empty);
    }
    let own = matched(config, &cluster).await?;
    match probe::versions(&url, credentials).await {
        Ok(versions) if !is_spoken(&versions.cluster) => {
            return Err(JoinError::Version(versions.cluster));
        }
        Ok(versions) => {
            let (server, cluster) = (versions.server, versions.cluster);
            tracing::info!(address = %url, server, cluster, "joining a running cluster");
        }
        Err(error) => tracing::warn!(address = %url, %error, "failed to get version"),
    }
    Ok(Identity { member: own, cluster: cluster.id })
}

/// The id of this node in a cluster all of whose members the flags name, by their addresses: names
/// are not compared, as in etcd.
async fn matched(config: &Config, cluster: &ToldCluster) -> Result<MemberId, JoinError> {
    let named = &config.cluster.initial_members;
    if named.len() != cluster.members.len() {
        return Err(JoinError::Count { cluster: describe(cluster) });
    }
    let mut own = None;
    let mut left: Vec<&(String, Vec<Url>)> = named.iter().collect();
    for told in &cluster.members {
        let mut reason = "<nil>".to_owned();
        let mut place = None;
        for (at, (_, urls)) in left.iter().enumerate() {
            match is_reached_at(told, urls).await {
                Ok(true) => {
                    place = Some(at);
                    break;
                }
                Ok(false) => {}
                Err(why) => reason = why,
            }
        }
        let Some(place) = place else {
            let (id, urls) = (MemberId(told.id), told.peer_urls.join(" "));
            return Err(JoinError::NoMatch { cluster: describe(cluster), id, urls, reason });
        };
        if left.remove(place).0 == config.member.name {
            own = Some(MemberId(told.id));
        }
    }
    // Every member has a name of its own, so one of them was ours.
    own.ok_or_else(|| JoinError::Count { cluster: describe(cluster) })
}

async fn is_reached_at(told: &Told, urls: &[Url]) -> Result<bool, String> {
    let mut written: Vec<String> = urls.iter().map(ToString::to_string).collect();
    let mut reached = told.peer_urls.clone();
    written.sort_unstable();
    reached.sort_unstable();
    if written == reached {
        return Ok(true);
    }
    if written.len() != reached.len() {
        return Ok(false);
    }
    let reached: Result<Vec<Url>, _> = reached.iter().map(|url| Url::parse(url)).collect();
    let reached = reached.map_err(|error| error.to_string())?;
    Ok(resolve(urls).await? == resolve(&reached).await?)
}

/// A cluster on one line, as etcd prints it.
fn describe(cluster: &ToldCluster) -> String {
    let member = |told: &Told| {
        format!(
            "&{{ID:{} Name:{} PeerURLs:[{}]}}",
            MemberId(told.id),
            told.name,
            told.peer_urls.join(" ")
        )
    };
    let members: Vec<String> = cluster.members.iter().map(member).collect();
    let ClusterId(id) = cluster.id;
    format!("{{ClusterID:{id:x} Members:[{}] RemovedMemberIDs:[]}}", members.join(" "))
}

/// Whether this node speaks a cluster's version; one that is not decided yet is no hindrance.
fn is_spoken(cluster: &str) -> bool {
    let minor = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u64>().ok());
        Some((parts.next()??, parts.next()??))
    };
    match minor(cluster) {
        Some(theirs) => {
            minor(version::MIN_CLUSTER).is_some_and(|least| theirs >= least)
                && minor(version::CLUSTER).is_some_and(|most| theirs <= most)
        }
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(id: u64, url: &str) -> Told {
        Told { id, peer_urls: vec![url.to_owned()], name: String::new(), client_urls: Vec::new() }
    }

    fn config(members: &[(&str, &str)]) -> Config {
        let mut config = Config::default();
        config.member.name = "b".into();
        config.cluster.initial_members = members
            .iter()
            .map(|(name, url)| ((*name).to_owned(), vec![Url::parse(url).unwrap()]))
            .collect();
        config
    }

    #[tokio::test]
    async fn we_are_who_is_reached_where_we_are() {
        let members = vec![told(1, "http://127.0.0.1:1"), told(2, "http://127.0.0.1:2")];
        let cluster = ToldCluster { id: ClusterId(7), members };
        let flags = config(&[("other", "http://127.0.0.1:1"), ("b", "http://127.0.0.1:2")]);
        assert_eq!(matched(&flags, &cluster).await, Ok(MemberId(2)));
        let fewer = config(&[("b", "http://127.0.0.1:2")]);
        let fault = matched(&fewer, &cluster).await.unwrap_err().to_string();
        assert!(fault.ends_with("member count is unequal"), "{fault}");
        let moved = config(&[("other", "http://127.0.0.1:9"), ("b", "http://127.0.0.1:2")]);
        let fault = matched(&moved, &cluster).await.unwrap_err().to_string();
        assert!(fault.contains("no match found for existing member (1, "), "{fault}");
    }

    #[test]
    fn versions_above_ours_are_not_spoken() {
        for (version, spoken) in
            [("3.5.0", true), ("3.0.0", true), ("3.6.0", false), ("2.3.0", false), ("", true)]
        {
            assert_eq!(is_spoken(version), spoken, "{version}");
        }
    }
}
