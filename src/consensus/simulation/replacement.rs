//! A member leaves for ever, and another one with an empty disk comes in its place: learner first, voter
//! once it has nearly everything, as an operator does it.
//!
//! The removal is asked for while other things go wrong, so that it may come about, or not, or nobody
//! knows. The rest follows when they are over, with a death in the middle now and then.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::known;
use super::member::{Death, ELECTION, Running};
use super::network::address;
use super::run::Cluster;
use crate::consensus::{Change, ChangeError};
use crate::tasks::Stage;

/// Between two tries.
pub(super) const AGAIN: Duration = Duration::from_millis(50);
/// How long an operator tries while all is well.
pub(super) const PATIENCE: Duration = ELECTION.saturating_mul(100);

impl Cluster {
    /// Has somebody asked to remove the member at a place, and waits for no answer.
    pub(super) fn ask_to_leave(&mut self, place: usize) {
        if self.exchange.is_some_and(|exchange| exchange.concerns(place)) {
            return;
        }
        self.leavers.insert(place);
        let Some(asked) = self.somebody(place) else { return };
        let (id, world) = (self.slots[&place].id, Arc::clone(&self.world));
        self.owner.spawn("operator", Stage::Serving, async move {
            tokio::select! {
                biased;
                () = asked.death() => {}
                removed = asked.node.changes().change(Change::Remove(id)) => {
                    world.note(format_args!("{id} leaves: {removed:?}"));
                }
            }
        });
    }

    /// Finishes what was begun.
    pub(super) async fn replace_leavers(&mut self) {
        while let Some(place) = self.leavers.pop_first() {
            let replaced = tokio::time::timeout(PATIENCE, self.replace(place)).await;
            if replaced.is_err() {
                let id = self.slots[&place].id;
                self.world.fail(format!("member {id} is not replaced within {PATIENCE:?}"));
            }
        }
    }

    async fn replace(&mut self, place: usize) {
        let old = self.slots[&place].id;
        self.insist(place, Change::Remove(old), |error| error == ChangeError::NotFound).await;
        self.crash(place, Death::Process);
        let add = Change::Add { peer_urls: vec![address(place)], is_learner: true };
        // It is there already if an earlier answer was lost.
        let asked = self.insist(place, add, |error| error == ChangeError::UrlExists).await;
        let id = known(&asked, &address(place)).await;
        self.slots.get_mut(&place).unwrap().renew(id);
        self.start(place).await;
        if self.world.chance(300) {
            self.somebody_dies().await;
        }
        self.insist(place, Change::Promote(id), |error| error == ChangeError::NotLearner).await;
        self.world.count("replaced", 1);
    }

    /// And comes back soon.
    pub(super) async fn somebody_dies(&mut self) {
        let unlucky = self.world.pick(&self.places());
        self.die(unlucky).await;
        self.pause(0, 300).await;
        self.start(unlucky).await;
    }

    /// Asks the others until the change is made, or `is_made` says that it was made before.
    pub(super) async fn insist(
        &self,
        place: usize,
        change: Change,
        is_made: impl Fn(ChangeError) -> bool,
    ) -> Arc<Running> {
        loop {
            if let Some(asked) = self.somebody(place) {
                let done = asked.node.changes().change(change.clone()).await;
                self.world.note(format_args!("{change:?}: {done:?}"));
                if done.is_ok() || done.is_err_and(&is_made) {
                    return asked;
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// A member that runs at another place.
    pub(super) fn somebody(&self, place: usize) -> Option<Arc<Running>> {
        let others = self.others(place).into_iter().filter_map(|other| self.running(other));
        let others: Vec<Arc<Running>> = others.collect();
        (!others.is_empty()).then(|| Arc::clone(&others[self.world.below(others.len())]))
    }
}
