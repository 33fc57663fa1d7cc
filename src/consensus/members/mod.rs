//! Changes of who belongs to the cluster: asked for anywhere, checked and made by the leader.
//!
//! A change is one log entry that adds, removes, promotes or renames one member; consecutive
//! configurations share a quorum, so no second phase is needed (Raft dissertation, 4.1). Only the
//! replacement of a member, which etcd has not, takes two (`replace.rs`). The rules that refuse a change
//! are etcd's, and so is the order they are looked at in.

mod change;
mod decide;
mod replace;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

pub use change::{Change, ChangeError};
pub use rules::Rules;

pub(crate) use change::{Changed, answer};

use super::node::Core;
use super::peers::Links;
use super::proposer::Shared;
use crate::proto::peer::raft_client::RaftClient;
use crate::state::Reader;
use crate::types::ids::MemberId;

/// How long to wait for news before another leader is asked.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The way to change the members. Clones share one.
#[derive(Clone)]
pub struct Changes {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    core: Core,
    shared: Arc<Shared>,
    links: Links,
    /// Tells who was removed for ever and who has started.
    reader: Reader,
    rules: Rules,
    id: MemberId,
    /// One change at a time: the rules look at what the one before has made.
    turn: tokio::sync::Mutex<()>,
}

impl Changes {
    pub(crate) fn new(
        core: Core,
        shared: Arc<Shared>,
        links: Links,
        reader: Reader,
        rules: Rules,
    ) -> Self {
        let id = links.identity().member;
        let turn = tokio::sync::Mutex::new(());
        let inner = Inner { core, shared, links, reader, rules, id, turn };
        Self { inner: Arc::new(inner) }
    }

    /// Has the leader make a change, and waits until this member knows it.
    ///
    /// # Errors
    /// Why the change is refused, or that no leader answered within the time of a proposal.
    pub async fn change(&self, change: Change) -> Result<MemberId, ChangeError> {
        let limit = self.inner.shared.limits.timeout();
        match tokio::time::timeout(limit, self.insist(&change)).await {
            Ok(result) => result,
            Err(_) => Err(ChangeError::Timeout),
        }
    }

    /// Asks whoever leads until somebody does.
    async fn insist(&self, change: &Change) -> Result<MemberId, ChangeError> {
        loop {
            let mut leadership = self.inner.shared.leadership.subscribe();
            let now = *leadership.borrow_and_update();
            let decided = match now.leader {
                Some(leader) if leader == self.inner.id => self.decide(change).await,
                Some(leader) => self.ask(leader, change).await,
                None => Err(ChangeError::NotLeader),
            };
            match decided {
                Ok(changed) => {
                    self.inner.follow(changed.index).await;
                    return Ok(changed.id);
                }
                Err(ChangeError::NotLeader) => {}
                Err(error) => return Err(error),
            }
            // A new leader may be there at once; without news the old one is asked again.
            let _ = tokio::time::timeout(ASK_AGAIN, leadership.changed()).await;
        }
    }

    async fn ask(&self, leader: MemberId, change: &Change) -> Result<Changed, ChangeError> {
        let Some(channel) = self.inner.links.to(leader.0) else {
            return Err(ChangeError::NotLeader);
        };
        let mut client = RaftClient::new(channel);
        match client.change_members(change.message()).await {
            Ok(answer) => change::read_answer(answer.into_inner()),
            Err(status) => Err(lost(&status)),
        }
    }

    /// Makes a change as the leader.
    ///
    /// # Errors
    /// Why it is refused; [`ChangeError::NotLeader`] if nothing was tried.
    pub(crate) async fn decide(&self, change: &Change) -> Result<Changed, ChangeError> {
        let _turn = self.inner.turn.lock().await;
        if !self.inner.shared.leadership.borrow().is_leader {
            return Err(ChangeError::NotLeader);
        }
        self.inner.decide(change).await
    }
}

/// A leader that could not be asked: whether it has made the change is unknown, so it is not asked
/// again.
fn lost(status: &Status) -> ChangeError {
    tracing::warn!(code = ?status.code(), error = status.message(), "the leader did not answer");
    ChangeError::Timeout
}

impl Inner {
    /// Waits a while until this member has applied an entry. No longer: with the change itself a
    /// quorum may need a member that has not started.
    async fn follow(&self, index: u64) {
        let mut applied = self.shared.progress.watch_applied();
        let reached = applied.wait_for(|(applied, _)| *applied >= index);
        let _ = tokio::time::timeout(self.shared.limits.election, reached).await;
    }
}
