//! Found a cluster, join one, or go on where the node stopped. The checks and their texts are etcd's.

use super::identity::{Identity, IdentityError};
use super::{join, probe, resolve};
use crate::config::{Cluster, ClusterState, Config};
use crate::consensus::{Beginning, Member};
use crate::transport::Credentials;
use crate::types::ids::{ClusterId, MemberId};

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Found a cluster with these members.
    Found {
        /// Who this node becomes.
        identity: Identity,
        /// All founding members, itself included.
        founders: Vec<Member>,
    },
    /// Join a running cluster, which has this node among its members already.
    Join {
        /// Who this node is there.
        identity: Identity,
    },
    /// Go on; whatever the flags say about the cluster has no effect any more.
    Restart {
        /// Who this node is.
        identity: Identity,
    },
}

impl Plan {
    /// Who this node is, or becomes.
    pub fn identity(&self) -> Identity {
        match self {
            Self::Found { identity, .. } | Self::Join { identity } | Self::Restart { identity } => {
                *identity
            }
        }
    }

    /// Whether the data directory has to remember it.
    pub fn is_new(&self) -> bool {
        !matches!(self, Self::Restart { .. })
    }

    /// What to do now that it is known whether the log is empty. A member that is remembered and has
    /// nothing in its log was interrupted in its first start, before it could promise anything to
    /// anybody, or has not heard of its leader yet: it begins again, as the flags say now.
    ///
    /// # Errors
    /// As [`plan`].
    pub async fn with_log(
        self,
        empty: bool,
        config: &Config,
        credentials: Option<&Credentials>,
    ) -> Result<Self, PlanError> {
        match self {
            Self::Restart { .. } if empty => plan(config, None, credentials).await,
            known => Ok(known),
        }
    }

    /// What consensus begins with.
    pub fn beginning(self, config: &Config) -> Beginning {
        match self {
            Self::Found { founders, .. } => Beginning::Found(founders),
            Self::Join { .. } => Beginning::Join,
            Self::Restart { .. } if config.cluster.force_new => Beginning::Alone,
            Self::Restart { .. } => Beginning::Resume,
        }
    }
}

/// Why a node cannot begin this way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The founding members do not describe this node; the sentence is etcd's.
    #[error("{0}")]
    Founding(String),
    /// Two members have the same id because they have the same URLs.
    #[error("member exists with identical ID {0}")]
    SameId(MemberId),
    /// The other founders run already, and know this node as one that has served.
    #[error("member {0} has already been bootstrapped")]
    AlreadyBootstrapped(MemberId),
    /// The running cluster cannot be joined.
    #[error(transparent)]
    Join(#[from] join::JoinError),
    /// The data directory remembers nonsense.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Decides how a node begins; `remembered` is what its data directory says it is, if anything.
/// `credentials` are for talking to other members.
///
/// # Errors
/// If the flags contradict each other, or the other members them.
pub async fn plan(
    config: &Config,
    remembered: Option<&[u8]>,
    credentials: Option<&Credentials>,
) -> Result<Plan, PlanError> {
    if let Some(text) = remembered {
        return Ok(Plan::Restart { identity: Identity::from_text(text)? });
    }
    config.check_initial_members().map_err(PlanError::Founding)?;
    if config.cluster.initial_cluster_state == ClusterState::Existing {
        let identity = join::join(config, credentials).await?;
        return Ok(Plan::Join { identity });
    }
    resolve::check_advertised(config).await.map_err(PlanError::Founding)?;
    let founders = members(&config.cluster)?;
    let ids: Vec<MemberId> = founders.iter().map(|founder| founder.id).collect();
    let own = founders.iter().find(|founder| founder.name == config.member.name);
    let Some(member) = own.map(|own| own.id) else {
        let name = &config.member.name;
        return Err(PlanError::Founding(format!(
            "couldn't find local name {name:?} in the initial cluster configuration"
        )));
    };
    let identity = Identity { member, cluster: ClusterId::derive(&ids) };
    if probe::knows_as_started(config, member, credentials).await {
        return Err(PlanError::AlreadyBootstrapped(member));
    }
    Ok(Plan::Found { identity, founders })
}

fn members(cluster: &Cluster) -> Result<Vec<Member>, PlanError> {
    let mut members: Vec<Member> = Vec::with_capacity(cluster.initial_members.len());
    for (name, urls) in &cluster.initial_members {
        let peer_urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
        let id = MemberId::derive(&peer_urls, &cluster.token, None);
        if members.iter().any(|member| member.id == id) {
            return Err(PlanError::SameId(id));
        }
        members.push(Member { id, name: name.clone(), peer_urls, is_learner: false });
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::url::Url;

    #[tokio::test]
    async fn all_defaults_give_etcds_ids() {
        let found = plan(&Config::default(), None, None).await.unwrap().identity();
        assert_eq!(found.member.to_string(), "8e9e05c52164694d");
        assert_eq!(found.cluster.to_string(), "cdf818194e3a8c32");
    }

    #[tokio::test]
    async fn several_founders_give_etcds_ids() {
        let mut config = Config::default();
        config.cluster.token = "etcd-cluster-1".into();
        config.member.name = "infra2".into();
        let urls = |port: u32| vec![Url::parse(&format!("http://127.0.0.1:{port}")).unwrap()];
        config.cluster.initial_members = [(1, 12380), (2, 22380), (3, 32380)]
            .map(|(n, port)| (format!("infra{n}"), urls(port)))
            .to_vec();
        config.member.initial_advertise_peer_urls = urls(22380);
        let Ok(Plan::Found { identity, founders }) = plan(&config, None, None).await else {
            panic!("no cluster is founded");
        };
        assert_eq!(identity.cluster.to_string(), "ef37ad9dc622a7c4");
        assert_eq!(identity.member.to_string(), "91bc3c398fb3c146");
        let ids: Vec<String> = founders.iter().map(|founder| founder.id.to_string()).collect();
        assert_eq!(ids, ["8211f1d0f64f3269", "91bc3c398fb3c146", "fd422379fda50e48"]);
    }

    #[tokio::test]
    async fn a_remembered_identity_wins_over_every_flag() {
        let identity = Identity { member: MemberId(1), cluster: ClusterId(2) };
        let text = identity.to_text();
        let mut config = Config::default();
        config.cluster.initial_members.clear();
        let planned = plan(&config, Some(text.as_bytes()), None).await;
        assert_eq!(planned, Ok(Plan::Restart { identity }));
        assert!(matches!(plan(&config, Some(b"?"), None).await, Err(PlanError::Identity(_))));
        assert!(matches!(plan(&config, None, None).await, Err(PlanError::Founding(_))));
    }

    #[tokio::test]
    async fn a_remembered_identity_without_a_log_promised_nothing() {
        let text = Identity { member: MemberId(1), cluster: ClusterId(2) }.to_text();
        let config = Config::default();
        let fresh = plan(&config, None, None).await.unwrap();
        let remembered = plan(&config, Some(text.as_bytes()), None).await.unwrap();
        assert_eq!(remembered.with_log(true, &config, None).await.as_ref(), Ok(&fresh));
        assert_eq!(fresh.clone().with_log(true, &config, None).await, Ok(fresh));
    }

    #[tokio::test]
    async fn nobody_to_ask_is_nobody_to_join() {
        let mut config = Config::default();
        config.cluster.initial_cluster_state = ClusterState::Existing;
        assert!(matches!(plan(&config, None, None).await, Err(PlanError::Join(_))));
    }
}
