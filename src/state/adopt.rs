//! Taking over a state that was received from another member.

use std::sync::Arc;

use super::error::StateError;
use super::lease::LeaseEvent;
use super::machine::Machine;
use super::receiver::Received;
use crate::failpoint::{self, Point};

impl Machine {
    /// Goes on from a state that was received from another member instead of the present one. The next
    /// start finds either the one or the other; every reader sees the new one when this returns, or
    /// a moment earlier. Watchers that have not been told of all that lies between read history.
    ///
    /// A received state that is not ahead of the present one is dropped: what it holds is here.
    ///
    /// # Errors
    /// The disk failed: the process must stop.
    pub fn adopt(&mut self, received: Received) -> Result<(), StateError> {
        let ours = self.facts.progress.applied;
        let theirs = received.loaded.facts.progress.applied;
        if theirs <= ours {
            tracing::info!(
                applied_index = ours,
                received_index = theirs,
                "a received state is not ahead of this member's and is dropped"
            );
            return Ok(());
        }
        let Received { loaded, engine, fresh } = received;
        failpoint::hit(Point::AdoptBefore);
        let checkpoint = fresh.checkpoint();
        fresh.make_valid()?;
        failpoint::hit(Point::AdoptSwitched);
        let leases = Arc::clone(&self.tables.leases);
        let (facts, mut tables) =
            loaded.into_tables(&engine, leases, self.cache_bytes, self.tables.quota);
        tables.waiters = std::mem::take(&mut self.tables.waiters);
        (self.facts, self.tables, self.sweep) = (facts, tables, None);
        self.retired.add(std::mem::replace(&mut self.engine, engine));
        self.checkpoints.move_to(checkpoint);
        // Whose they are may have changed in what was not applied here. Clients ask for new ones.
        self.shared.tokens.end_all();
        self.show();
        tracing::info!(
            revision = self.facts.progress.revision,
            applied_index = theirs,
            applied_before = ours,
            "took over the state of another member"
        );
        Ok(())
    }

    /// Tells everybody that everything is another.
    fn show(&mut self) {
        let marks = self.tables.compactions;
        self.shared.trail.restart(self.facts.rolling.at(self.facts.progress.applied));
        self.publish();
        // After the state, as with every batch: whoever is woken finds what it was woken for.
        self.shared.recent.restart(self.facts.progress.revision, marks.scheduled);
        // Fails only when nobody listens.
        let _ = self.shared.lease_events.send(LeaseEvent::Replaced);
        self.release(marks.finished);
        self.measure_anew();
    }
}
