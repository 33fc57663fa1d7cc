//! The cluster as the issuer sees it: new machines become learners, and learners voters.

use std::path::PathBuf;
use std::time::Duration;

use tonic::{Code, Status};

use super::records::Membership;
use crate::certs::{Files, Layout, Purpose};
use crate::client::{Client, ClientError, Options};
use crate::config::Tls;
use crate::proto::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberPromoteRequest,
};

/// How long the cluster may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why somebody is not a member yet, or the members are not known.
#[derive(Debug)]
pub enum NotYet {
    /// It may come true by waiting; says for what.
    Wait(String),
    /// It will not; says why.
    Never(String),
}

impl std::fmt::Display for NotYet {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Wait(text) | Self::Never(text)) = self;
        out.write_str(text)
    }
}

impl From<ClientError> for NotYet {
    fn from(error: ClientError) -> Self {
        Self::Wait(format!("the issuer does not reach the cluster (--endpoints): {error}"))
    }
}

/// How the cluster is reached.
#[derive(Clone, Debug)]
pub struct Cluster {
    endpoints: Vec<String>,
    root: PathBuf,
    client: Files,
}

impl Cluster {
    /// The one at `endpoints`, to which the issuer of a directory shows its own certificate.
    pub fn of(layout: &Layout, endpoints: Vec<String>) -> Self {
        Self { endpoints, root: layout.root(), client: layout.issuer_pair(Purpose::Client) }
    }

    /// Ids and names of the members, as the cluster agrees on them.
    ///
    /// # Errors
    /// If the cluster is not reached, or has no leader.
    pub async fn members(&self) -> Result<Vec<(u64, String)>, NotYet> {
        let client = self.connect().await?;
        let members = list(&client).await.map_err(|status| judge(&status))?;
        Ok(members.into_iter().map(|member| (member.id, member.name)).collect())
    }

    /// A fresh connection with the certificate of this moment.
    async fn connect(&self) -> Result<Client, ClientError> {
        let tls = Tls {
            trusted_ca_file: Some(self.root.clone()),
            cert_file: Some(self.client.certificate.clone()),
            key_file: Some(self.client.key.clone()),
            ..Tls::default()
        };
        let (endpoints, tls) = (self.endpoints.clone(), Some(tls));
        Client::connect(&Options { endpoints, tls, ..Options::default() }).await
    }

    /// Makes a learner of whoever is reached at `peer_urls`, unless it is a member already. Tells its
    /// id and who belongs to the cluster then.
    pub(super) async fn register(
        &self,
        name: &str,
        peer_urls: &[String],
    ) -> Result<(u64, String), NotYet> {
        let client = self.connect().await?;
        let members = list(&client).await.map_err(|status| judge(&status))?;
        if let Some(there) = find(&members, name, peer_urls)? {
            return Ok((there, initial_cluster(&members, there, name)));
        }
        // Whoever starts has to know everybody: with two that have not started, the first would not
        // know of the second.
        if let Some(other) = members.iter().find(|member| member.name.is_empty()) {
            let urls = other.peer_ur_ls.join(",");
            return Err(NotYet::Wait(format!("the member at {urls} has not started yet")));
        }
        let request = MemberAddRequest { peer_ur_ls: peer_urls.to_vec(), is_learner: true };
        let added = within(client.cluster().member_add(request)).await;
        let added = added.map_err(|status| judge(&status))?;
        let id = added.member.as_ref().map_or(0, |member| member.id);
        Ok((id, initial_cluster(&added.members, id, name)))
    }

    /// Makes a voter of a learner that has caught up, and tells how far it is.
    pub(super) async fn advance(&self, id: u64) -> Result<Membership, String> {
        let client = self.connect().await.map_err(|error| error.to_string())?;
        let members = list(&client).await.map_err(|status| status.message().to_owned())?;
        match members.iter().find(|member| member.id == id) {
            None => return Ok(Membership::Removed),
            Some(member) if !member.is_learner => return Ok(Membership::Voter),
            Some(member) if member.name.is_empty() => {
                return Err("it has not started yet".to_owned());
            }
            Some(_) => {}
        }
        let request = MemberPromoteRequest { id };
        let promoted = within(client.cluster().member_promote(request)).await;
        promoted.map(|_| Membership::Voter).map_err(|status| status.message().to_owned())
    }
}

async fn list(client: &Client) -> Result<Vec<Member>, Status> {
    let mut cluster = client.cluster();
    let request = MemberListRequest { linearizable: true };
    within(cluster.member_list(request)).await.map(|answer| answer.members)
}

async fn within<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    let answer = tokio::time::timeout(PATIENCE, call).await;
    let late = || Status::deadline_exceeded("the cluster did not answer in time");
    answer.unwrap_or_else(|_| Err(late())).map(tonic::Response::into_inner)
}

/// The id of the member with these URLs, if it can be the one that asks.
fn find(members: &[Member], name: &str, peer_urls: &[String]) -> Result<Option<u64>, NotYet> {
    let mut wanted = peer_urls.to_vec();
    wanted.sort_unstable();
    for member in members {
        let mut urls = member.peer_ur_ls.clone();
        urls.sort_unstable();
        let is_called = member.name.is_empty() || member.name == name;
        if urls == wanted && is_called {
            return Ok(Some(member.id));
        }
        let id = member.id;
        let hint = format!("remove it first if it is gone: etcdctl member remove {id:x}");
        if let Some(url) = urls.iter().find(|url| wanted.contains(url)) {
            return Err(NotYet::Never(format!("{url} belongs to member {id:x} already; {hint}")));
        }
        if member.name == name {
            let urls = urls.join(",");
            return Err(NotYet::Never(format!("{name:?} is a member already, at {urls}; {hint}")));
        }
    }
    Ok(None)
}

/// Members as `--initial-cluster` names them. The names of others are not compared with anything.
fn initial_cluster(members: &[Member], own: u64, name: &str) -> String {
    let mut all = Vec::new();
    for member in members {
        let called = match member.name.as_str() {
            _ if member.id == own => name.to_owned(),
            "" => format!("member-{:x}", member.id),
            known => known.to_owned(),
        };
        all.extend(member.peer_ur_ls.iter().map(|url| format!("{called}={url}")));
    }
    all.join(",")
}

/// Whether a refusal of the cluster passes by itself.
fn judge(status: &Status) -> NotYet {
    let said = status.message();
    let passes = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
        || said.contains("too many learner")
        || said.contains("unhealthy cluster")
        || said.contains("enough started members");
    let text = format!("the cluster says: {said}");
    if passes { NotYet::Wait(text) } else { NotYet::Never(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, name: &str, urls: &[&str]) -> Member {
        let peer_ur_ls = urls.iter().map(|url| (*url).to_owned()).collect();
        Member { id, name: name.to_owned(), peer_ur_ls, ..Member::default() }
    }

    #[test]
    fn a_member_that_asks_again_is_found_and_others_are_in_the_way() {
        let members =
            [member(1, "a", &["https://a:1"]), member(2, "", &["https://b:2", "https://b:1"])];
        let look = |name: &str, urls: &[&str]| {
            let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            find(&members, name, &urls).map_err(|why| format!("{why:?}"))
        };
        assert_eq!(look("b", &["https://b:1", "https://b:2"]), Ok(Some(2)));
        assert_eq!(look("a", &["https://a:1"]), Ok(Some(1)));
        assert_eq!(look("c", &["https://c:1"]), Ok(None));
        assert!(look("c", &["https://a:1"]).unwrap_err().contains("belongs to member 1"));
        assert!(look("c", &["https://b:1"]).unwrap_err().contains("belongs to member 2"));
        assert!(look("a", &["https://c:1"]).unwrap_err().contains("is a member already"));
    }

    #[test]
    fn everybody_is_named() {
        let members =
            [member(1, "a", &["https://a:1"]), member(2, "", &["u", "v"]), member(3, "", &["w"])];
        assert_eq!(initial_cluster(&members, 2, "b"), "a=https://a:1,b=u,b=v,member-3=w");
    }
}
