//! Found a cluster, or go on where the node stopped. The checks and their texts are etcd's.

use super::identity::{Identity, IdentityError};
use crate::config::{Cluster, ClusterState, Config};
use crate::consensus::Member;
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
            Self::Found { identity, .. } | Self::Restart { identity } => *identity,
        }
    }

    /// What to do now that the log turned out to hold nothing. A member that is remembered all the
    /// same was interrupted in its first start, before it could promise anything to anybody: it
    /// founds its cluster again, as the flags say now.
    ///
    /// # Errors
    /// As [`plan`].
    pub fn with_empty_log(self, config: &Config) -> Result<Self, PlanError> {
        match self {
            Self::Found { .. } => Ok(self),
            Self::Restart { .. } => plan(config, None),
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
    /// More than this version can do.
    #[error(
        "--initial-cluster names {0} members; this version runs a single member only, so name just \
         this one"
    )]
    SeveralMembers(usize),
    /// More than this version can do.
    #[error(
        "--initial-cluster-state=existing: this version runs a single member only and cannot join \
         a cluster; use \"new\""
    )]
    Existing,
    /// The data directory remembers nonsense.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Decides how a node begins; `remembered` is what its data directory says it is, if anything.
///
/// # Errors
/// If the flags contradict each other or ask for what is not there.
pub fn plan(config: &Config, remembered: Option<&[u8]>) -> Result<Plan, PlanError> {
    if let Some(text) = remembered {
        return Ok(Plan::Restart { identity: Identity::from_text(text)? });
    }
    config.check_founding().map_err(PlanError::Founding)?;
    if config.cluster.initial_cluster_state == ClusterState::Existing {
        return Err(PlanError::Existing);
    }
    let founders = members(&config.cluster)?;
    let [founder] = founders.as_slice() else {
        return Err(PlanError::SeveralMembers(founders.len()));
    };
    let member = founder.id;
    let identity = Identity { member, cluster: ClusterId::derive(&[member]) };
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

    #[test]
    fn all_defaults_give_etcds_ids() {
        let found = plan(&Config::default(), None).unwrap().identity();
        assert_eq!(found.member.to_string(), "8e9e05c52164694d");
        assert_eq!(found.cluster.to_string(), "cdf818194e3a8c32");
    }

    #[test]
    fn a_remembered_identity_wins_over_every_flag() {
        let identity = Identity { member: MemberId(1), cluster: ClusterId(2) };
        let text = identity.to_text();
        let mut config = Config::default();
        config.cluster.initial_members.clear();
        let planned = plan(&config, Some(text.as_bytes()));
        assert_eq!(planned, Ok(Plan::Restart { identity }));
        assert!(matches!(plan(&config, Some(b"?")), Err(PlanError::Identity(_))));
        assert!(matches!(plan(&config, None), Err(PlanError::Founding(_))));
    }

    #[test]
    fn a_remembered_identity_without_a_log_promised_nothing() {
        let text = Identity { member: MemberId(1), cluster: ClusterId(2) }.to_text();
        let config = Config::default();
        let fresh = plan(&config, None).unwrap();
        let remembered = plan(&config, Some(text.as_bytes())).unwrap();
        assert_eq!(remembered.with_empty_log(&config).as_ref(), Ok(&fresh));
        assert_eq!(fresh.clone().with_empty_log(&config), Ok(fresh));
    }

    #[test]
    fn what_needs_other_members_is_refused_by_name() {
        let mut several = Config::default();
        let other = Url::parse("http://other:2380").unwrap();
        several.cluster.initial_members.push(("other".into(), vec![other]));
        assert_eq!(plan(&several, None), Err(PlanError::SeveralMembers(2)));
        let mut existing = Config::default();
        existing.cluster.initial_cluster_state = ClusterState::Existing;
        assert_eq!(plan(&existing, None), Err(PlanError::Existing));
    }
}
