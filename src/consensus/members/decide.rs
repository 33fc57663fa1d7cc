//! The leader makes a change: looks at the members, applies the rules, appends the new configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::raft::{ClientWriteResponse, Precondition};
use openraft::{ChangeMembers, EntryPayload};

use super::replace::replaced;
use super::rules::{Voters, is_ready};
use super::{Change, ChangeError, Changed, Inner};
use crate::consensus::handover::hand_over;
use crate::consensus::others;
use crate::consensus::types::{LogId, Membership, Peer, StoredMembership, TypeConfig};
use crate::types::ids::MemberId;

type Written =
    Result<ClientWriteResponse<TypeConfig>, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>;

impl Inner {
    pub(super) async fn decide(&self, change: &Change) -> Result<Changed, ChangeError> {
        let observed = self.settled().await?;
        self.acquainted(&observed).await;
        match change {
            Change::Add { peer_urls, is_learner } => {
                self.add(&observed, peer_urls, *is_learner).await
            }
            Change::Remove(id) => self.remove(&observed, *id).await,
            Change::Update { id, peer_urls } => self.update(&observed, *id, peer_urls).await,
            Change::Promote(id) => self.promote(&observed, *id).await,
            Change::Replace { id, peer_urls } => self.replace(&observed, *id, peer_urls).await,
        }
    }

    /// Waits until all voters have answered this leader, for an election timeout after it was elected at the
    /// longest: nobody is absent only because there was no time to hear from him.
    async fn acquainted(&self, observed: &StoredMembership) {
        let Some(elected) = self.shared.leadership.borrow().since else { return };
        let mut metrics = self.core.metrics();
        loop {
            let age = self.shared.clock.now().saturating_duration_since(elected);
            let left = self.shared.limits.election.saturating_sub(age);
            if left.is_zero() || observed.voter_ids().all(|id| self.answers(MemberId(id))) {
                return;
            }
            if let Ok(Err(_)) = tokio::time::timeout(left, metrics.changed()).await {
                // The core is gone: the change itself says so.
                return;
            }
        }
    }

    pub(super) fn observed(&self) -> StoredMembership {
        StoredMembership::clone(&self.core.server_metrics().borrow_watched().membership_config)
    }

    async fn add(
        &self,
        observed: &StoredMembership,
        peer_urls: &[String],
        is_learner: bool,
    ) -> Result<Changed, ChangeError> {
        if self.rules.strict {
            self.voters(observed).may_add(is_learner)?;
        }
        let new = peer(String::new(), peer_urls);
        let (next, id) = self.with_new(observed, new, is_learner)?;
        self.append(observed, next, id).await
    }

    /// The members and a new one.
    pub(super) fn with_new(
        &self,
        observed: &StoredMembership,
        new: Peer,
        is_learner: bool,
    ) -> Result<(Next, MemberId), ChangeError> {
        let now = self.shared.clock.unix().as_secs().cast_signed();
        let id = MemberId::derive(&new.peer_urls, "", Some(now));
        if self.reader.members().is_removed(id) {
            return Err(ChangeError::NotFound);
        }
        let mut next = Next::from(observed);
        if next.nodes.contains_key(&id.0) {
            return Err(ChangeError::IdExists);
        }
        next.check_urls(&new.peer_urls, None)?;
        if is_learner && next.nodes.len() - next.voters.len() >= self.rules.max_learners {
            return Err(ChangeError::TooManyLearners);
        }
        next.nodes.insert(id.0, new);
        if !is_learner {
            next.voters.insert(id.0);
        }
        Ok((next, id))
    }

    async fn remove(
        &self,
        observed: &StoredMembership,
        id: MemberId,
    ) -> Result<Changed, ChangeError> {
        let mut next = Next::from(observed);
        if !next.nodes.contains_key(&id.0) {
            return Err(ChangeError::NotFound);
        }
        if self.rules.strict {
            self.voters(observed).may_remove(id)?;
        }
        next.nodes.remove(&id.0);
        next.voters.remove(&id.0);
        if next.voters.is_empty() {
            return Err(ChangeError::NotEnoughStarted);
        }
        self.bow_out(id).await?;
        self.append(observed, next, id).await
    }

    /// Before the leader leaves it has another voter lead, who is then asked to remove it: the cluster does
    /// not miss a leader for an election timeout. If nobody takes over it leaves all the same.
    ///
    /// # Errors
    /// [`ChangeError::NotLeader`] when another one leads now.
    pub(super) async fn bow_out(&self, leaving: MemberId) -> Result<(), ChangeError> {
        if leaving == self.id && hand_over(&self.core, &self.shared, self.id).await {
            return Err(ChangeError::NotLeader);
        }
        Ok(())
    }

    async fn update(
        &self,
        observed: &StoredMembership,
        id: MemberId,
        peer_urls: &[String],
    ) -> Result<Changed, ChangeError> {
        let next = Next::from(observed);
        let Some(known) = next.nodes.get(&id.0) else { return Err(ChangeError::NotFound) };
        next.check_urls(peer_urls, Some(id))?;
        let moved = Peer { replaces: known.replaces, ..peer(known.name.clone(), peer_urls) };
        let set = ChangeMembers::SetNodes(BTreeMap::from([(id.0, moved)]));
        self.settle(observed, id, self.core.change_membership(set, false)).await
    }

    pub(super) async fn promote(
        &self,
        observed: &StoredMembership,
        id: MemberId,
    ) -> Result<Changed, ChangeError> {
        let mut next = Next::from(observed);
        if !next.nodes.contains_key(&id.0) {
            return Err(ChangeError::NotFound);
        }
        if next.voters.contains(&id.0) {
            return Err(ChangeError::NotLearner);
        }
        if !is_ready(self.matched(id.0), self.matched(self.id.0)) {
            return Err(ChangeError::LearnerNotReady);
        }
        if let Some(old) = replaced(observed, id) {
            return self.exchange(observed, id, old).await;
        }
        if self.rules.strict {
            self.voters(observed).may_promote()?;
        }
        next.voters.insert(id.0);
        self.append(observed, next, id).await
    }

    /// How much of the log a member is known to have, in entries.
    pub(super) fn matched(&self, id: u64) -> u64 {
        let metrics = self.core.metrics();
        let metrics = metrics.borrow_watched();
        if id == self.id.0 {
            return metrics.last_log_index.map_or(0, |index| index + 1);
        }
        others::matched(&metrics, id).map_or(0, |id| id.index + 1)
    }

    pub(super) fn voters(&self, observed: &StoredMembership) -> Voters {
        let all: BTreeSet<MemberId> = observed.voter_ids().map(MemberId).collect();
        let published = self.reader.members();
        // As in etcd, whoever has a name counts: published, or from the first list.
        let named = |id: &MemberId| observed.membership().get_node(&id.0).is_some_and(has_name);
        let has_started = |id: &&MemberId| published.get(**id).is_some() || named(id);
        Voters {
            started: all.iter().filter(has_started).copied().collect(),
            active: all.iter().filter(|id| self.answers(**id)).copied().collect(),
            all,
        }
    }

    /// Whether a member has answered within the last election timeout.
    pub(super) fn answers(&self, id: MemberId) -> bool {
        if id == self.id {
            return true;
        }
        let metrics = self.core.metrics();
        others::answers(&metrics.borrow_watched(), id.0, self.shared.limits.election)
    }

    pub(super) async fn append(
        &self,
        observed: &StoredMembership,
        next: Next,
        id: MemberId,
    ) -> Result<Changed, ChangeError> {
        let membership = membership(vec![next.voters], next.nodes)?;
        let unchanged =
            Precondition::LastMembershipLogId { last_membership_log_id: *observed.log_id() };
        let written = self.core.append_membership(membership, EntryPayload::Blank, [unchanged]);
        self.settle(observed, id, written).await
    }

    /// Waits until a change is decided: committed, or held by a quorum of the members before it. The
    /// second is what etcd waits for, and all there can be when the change itself makes a member
    /// needed that has not started yet.
    async fn settle(
        &self,
        observed: &StoredMembership,
        id: MemberId,
        written: impl Future<Output = Written>,
    ) -> Result<Changed, ChangeError> {
        let limit = self.shared.limits.timeout();
        let log_id = tokio::select! {
            written = written => outcome(written)?,
            held = self.held(observed) => held,
            () = tokio::time::sleep(limit) => return Err(ChangeError::Timeout),
        };
        Ok(Changed { id, index: log_id.index + 1 })
    }

    /// Waits until a quorum of the voters of `before` has the configuration that follows it.
    async fn held(&self, before: &StoredMembership) -> LogId {
        let mut metrics = self.core.metrics();
        loop {
            let held = {
                let now = metrics.borrow_watched();
                let next = *now.membership_config.log_id();
                next.filter(|_| next != *before.log_id())
            };
            if let Some(next) = held {
                let has = |id: &u64| self.durable(*id) > next.index;
                let (all, have) =
                    (before.voter_ids().count(), before.voter_ids().filter(has).count());
                if have > all / 2 {
                    return next;
                }
            }
            if metrics.changed().await.is_err() {
                // The core is gone: the write itself says so.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Entries a member has on its disk, as far as is known.
    fn durable(&self, id: u64) -> u64 {
        if id != self.id.0 {
            return self.matched(id);
        }
        let flushed = self.core.watch_log_progress().get();
        flushed.and_then(|point| point.last_log_id).map_or(0, |id| id.index + 1)
    }
}

/// A member as the log knows it: its addresses sorted, as etcd has them.
pub(super) fn peer(name: String, peer_urls: &[String]) -> Peer {
    let mut peer_urls = peer_urls.to_vec();
    peer_urls.sort_unstable();
    Peer { name, peer_urls, replaces: 0 }
}

fn has_name(peer: &Peer) -> bool {
    !peer.name.is_empty()
}

/// A configuration in the making.
pub(super) struct Next {
    pub(super) voters: BTreeSet<u64>,
    pub(super) nodes: BTreeMap<u64, Peer>,
}

impl From<&StoredMembership> for Next {
    fn from(observed: &StoredMembership) -> Self {
        let nodes = observed.nodes().map(|(id, peer)| (*id, peer.clone()));
        Self { voters: observed.voter_ids().collect(), nodes: nodes.collect() }
    }
}

impl Next {
    /// Refuses addresses where somebody other than `own` is reached.
    fn check_urls(&self, peer_urls: &[String], own: Option<MemberId>) -> Result<(), ChangeError> {
        let mut others = self.nodes.iter().filter(|(id, _)| own.is_none_or(|own| own.0 != **id));
        let taken =
            others.any(|(_, peer)| peer.peer_urls.iter().any(|url| peer_urls.contains(url)));
        if taken { Err(ChangeError::UrlExists) } else { Ok(()) }
    }
}

pub(super) fn membership(
    configs: Vec<BTreeSet<u64>>,
    nodes: BTreeMap<u64, Peer>,
) -> Result<Membership, ChangeError> {
    Membership::new(configs, nodes).map_err(|error| refused("the new configuration", &error))
}

/// The entry of a change that is committed, or why it is none.
pub(super) fn outcome(written: Written) -> Result<LogId, ChangeError> {
    match written {
        Ok(response) => Ok(response.log_id),
        Err(RaftError::APIError(error)) => Err(why(&error)),
        Err(RaftError::Fatal(_)) => Err(ChangeError::Stopped),
    }
}

/// What openraft's refusal means to whoever asked.
fn why(error: &ClientWriteError<TypeConfig>) -> ChangeError {
    match error {
        ClientWriteError::ForwardToLeader(_) | ClientWriteError::PreconditionFailed(_) => {
            ChangeError::NotLeader
        }
        // One before it is not decided yet, or this leader knows too little so far.
        ClientWriteError::ChangeMembershipError(
            ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
        ) => ChangeError::Unhealthy,
        ClientWriteError::LogEntryDiscarded(_) => ChangeError::Timeout,
        error => refused("a change of members", error),
    }
}

fn refused(what: &str, error: &impl std::fmt::Display) -> ChangeError {
    tracing::error!(%error, "consensus refused {what}");
    ChangeError::Unhealthy
}
