//! A member is replaced in one step: the new one learns while the old one has its vote still, and
//! whoever leads exchanges the two once the new one has caught up.
//!
//! It is asked for while other things go wrong and goes on while they do, so that it may come about, or
//! not, or nobody knows. Now and then trouble waits for the moment at which both configurations hold.

use std::sync::Arc;
use std::time::Duration;

use super::member::{Death, ELECTION, Running, Slot};
use super::network::address;
use super::replacement::{AGAIN, PATIENCE};
use super::run::Cluster;
use crate::consensus::{Change, ChangeError, Member};
use crate::types::ids::MemberId;

/// How long trouble waits for the moment between the two configurations.
const SOON: Duration = ELECTION.saturating_mul(5);

/// Places of a member that leaves and of the one that takes its place.
#[derive(Clone, Copy)]
pub(super) struct Exchange {
    pub(super) old: usize,
    pub(super) new: usize,
}

impl Exchange {
    pub(super) fn concerns(self, place: usize) -> bool {
        [self.old, self.new].contains(&place)
    }
}

impl Cluster {
    /// Has somebody asked for a new member in the place of an old one; starts it if it is to.
    pub(super) async fn ask_to_replace(&mut self, old: usize) {
        if self.exchange.is_some() || self.leavers.contains(&old) {
            return;
        }
        self.places += 1;
        let exchange = Exchange { old, new: self.places - 1 };
        self.exchange = Some(exchange);
        let Some(asked) = self.somebody(self.world.pick(&self.places())) else { return };
        let change = self.change(exchange);
        let done = asked.node.changes().change(change.clone()).await;
        self.world.note(format_args!("{change:?}: {done:?}"));
        if let Ok(id) = done {
            self.comes(exchange.new, id).await;
        }
    }

    fn change(&self, exchange: Exchange) -> Change {
        Change::Replace { id: self.slots[&exchange.old].id, peer_urls: vec![address(exchange.new)] }
    }

    /// A new member with an empty disk.
    async fn comes(&mut self, place: usize, id: MemberId) {
        self.world.note(format_args!("{place} is {id}"));
        let slot = Slot::of(self, place, id, None);
        self.slots.insert(place, slot);
        self.start(place).await;
    }

    /// Waits until both configurations hold; tells whether they do.
    pub(super) async fn is_between(&self) -> bool {
        let between = async {
            while !self.slots.keys().any(|place| self.knows(*place, Running::is_between)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let is_between = tokio::time::timeout(SOON, between).await.is_ok();
        self.world.count("between", usize::from(is_between));
        is_between
    }

    fn knows(&self, place: usize, what: impl FnOnce(&Running) -> bool) -> bool {
        self.running(place).is_some_and(|running| what(&running))
    }

    /// Finishes what was begun.
    pub(super) async fn finish_exchange(&mut self) {
        let Some(exchange) = self.exchange else { return };
        let finished = tokio::time::timeout(PATIENCE, self.exchange(exchange)).await;
        if finished.is_err() {
            let id = self.slots[&exchange.old].id;
            self.world.fail(format!("nobody takes the place of member {id} within {PATIENCE:?}"));
        }
        self.exchange = None;
    }

    async fn exchange(&mut self, exchange: Exchange) {
        let Exchange { old, new } = exchange;
        if !self.slots.contains_key(&new) {
            // It is there already if an earlier answer was lost.
            let is_made = |error| error == ChangeError::UrlExists;
            let asked = self.insist(old, self.change(exchange), is_made).await;
            let id = known(&asked, &address(new)).await;
            self.comes(new, id).await;
        }
        if self.world.chance(300) {
            self.somebody_dies().await;
        }
        let (leaves, takes) = (self.slots[&old].id, self.slots[&new].id);
        // Nobody asks for the rest: whoever leads does it.
        let done = |running: &Running| {
            let members = running.node.members();
            let votes = |member: &Member| member.id == takes && !member.is_learner;
            members.iter().any(votes) && members.iter().all(|member| member.id != leaves)
        };
        // Whoever is to leave may be gone, and hear nothing any more.
        let mut others = self.others(old);
        others.retain(|place| !self.leavers.contains(place));
        while !others.iter().all(|place| self.knows(*place, done)) {
            tokio::time::sleep(AGAIN).await;
        }
        self.crash(old, Death::Process);
        self.slots.remove(&old);
        self.world.count("exchanged", 1);
    }
}

/// The id of the member at an address, once the member that is asked knows it.
pub(super) async fn known(asked: &Arc<Running>, address: &str) -> MemberId {
    loop {
        let members = asked.node.members();
        let found = members.iter().find(|member| member.peer_urls.iter().any(|url| url == address));
        if let Some(member) = found {
            return member.id;
        }
        tokio::time::sleep(AGAIN).await;
    }
}
