//! Turns queued requests into log entries: our own if this member leads, else the leader's.
//!
//! No timers: whenever one of a few slots is free, everything that waits becomes an entry. Alone,
//! a request leaves at once; under load, requests gather while the log syncs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openraft::Raft;
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;

use super::forward::{self, Forwarded};
use super::machine::Applier;
use super::peers::Links;
use super::proposer::Shared;
use super::queue::Queued;
use super::status::Leadership;
use super::ticket::Ticket;
use super::types::{Proposal, TypeConfig};
use crate::proto::internal::ProposalBatch;
use crate::tasks::{Stage, Stop, Supervisor};
use crate::types::ids::{MemberId, RequestIds};

/// Entries proposed and not committed. More would split the same requests over more entries; fewer
/// would leave the log idle while the core works.
const SLOTS: usize = 4;
/// Pause before a member that does not lead, or does not answer, is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// How often clients are looked at whose time may be up.
const EXPIRE_EVERY: Duration = Duration::from_millis(250);

/// The task between the queue and the core.
pub(crate) struct Batcher {
    shared: Arc<Shared>,
    raft: Raft<TypeConfig, Applier>,
    links: Links,
    supervisor: Supervisor,
    id: MemberId,
    /// Numbers of batches, different from those of earlier runs that the log may still hold.
    ids: RequestIds,
    in_flight: Arc<AtomicUsize>,
}

impl Batcher {
    /// A batcher of this member that proposes to `raft`, or through `links` to whoever leads.
    pub(crate) fn new(
        shared: Arc<Shared>,
        raft: Raft<TypeConfig, Applier>,
        links: Links,
        supervisor: Supervisor,
    ) -> Self {
        let id = links.identity().member;
        let started = shared.clock.unix().as_millis() as u64;
        let ids = RequestIds::new(id, started);
        Self { shared, raft, links, supervisor, id, ids, in_flight: Arc::default() }
    }

    /// Proposes until `stop`.
    pub(crate) async fn run(self, stop: Stop) {
        let mut leadership = self.shared.leadership.subscribe();
        let mut expiry = tokio::time::interval(EXPIRE_EVERY);
        expiry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stopped = stop.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => break,
                () = self.shared.queue.filled() => {}
                _ = leadership.changed() => {}
                _ = expiry.tick() => self.shared.expire(),
            }
            // Only a leader that knows everything committed before takes requests; until there
            // is one they wait in the queue, where their time runs.
            let Some(leader) = self.taker(*leadership.borrow_and_update()) else { continue };
            while self.has_slot() && self.propose_next(leader).await {}
        }
    }

    fn has_slot(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) < SLOTS
    }

    /// Who takes requests now.
    fn taker(&self, now: Leadership) -> Option<MemberId> {
        now.leader.filter(|leader| now.is_leader || *leader != self.id)
    }

    /// Proposes what waits; `false` when nothing does.
    async fn propose_next(&self, leader: MemberId) -> bool {
        let batch = self.shared.queue.take_batch();
        if batch.is_empty() {
            return false;
        }
        let id = self.ids.next_id();
        let mut requests = Vec::with_capacity(batch.len());
        let mut waiters = Vec::with_capacity(batch.len());
        for Queued { request, waiter, .. } in batch {
            requests.push(request);
            waiters.push(waiter);
        }
        self.shared.waiters.insert(id, waiters);
        let proposal = Proposal::new(ProposalBatch { origin: self.id.0, id, requests });
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        if leader == self.id {
            let ticket = self.ticket(proposal.clone());
            if let Err(error) = self.raft.client_write_ff(proposal, Some(ticket)).await {
                tracing::error!(error = %error, "consensus core is gone");
                self.shared.stop();
            }
        } else {
            self.forward(leader, proposal);
        }
        true
    }

    /// Has another member propose a batch. What becomes of it is seen when it is applied here.
    fn forward(&self, leader: MemberId, proposal: Proposal) {
        let shared = Arc::clone(&self.shared);
        let in_flight = Arc::clone(&self.in_flight);
        let channel = self.links.to(leader.0);
        self.supervisor.spawn("forward", Stage::Consensus, async move {
            if forward::propose(channel, &proposal).await == Forwarded::NotTaken {
                give_back(&shared, &proposal);
                tokio::time::sleep(ASK_AGAIN).await;
            }
            free_slot(&shared, &in_flight);
        });
    }

    /// What happens when the core has answered for `proposal`: its slot is free, and if it was
    /// never appended its requests go back to the queue.
    fn ticket(&self, proposal: Proposal) -> Ticket<ClientWriteResult<TypeConfig>> {
        let shared = Arc::clone(&self.shared);
        let in_flight = Arc::clone(&self.in_flight);
        Ticket::new(move |result: ClientWriteResult<TypeConfig>| {
            match result {
                Ok(_) => {}
                Err(ClientWriteError::LogEntryDiscarded(_)) => {
                    // Another leader may still commit the entry, and it is answered if it comes
                    // to be applied here; else its clients' time runs out.
                }
                Err(error) => {
                    tracing::debug!(error = %error, "proposal was not taken; it waits for a leader");
                    give_back(&shared, &proposal);
                }
            }
            free_slot(&shared, &in_flight);
        })
    }
}

fn free_slot(shared: &Shared, in_flight: &AtomicUsize) {
    in_flight.fetch_sub(1, Ordering::AcqRel);
    if !shared.queue.is_empty() {
        shared.queue.wake();
    }
}

/// Returns the requests of a batch nobody appended to the queue, with their clients.
fn give_back(shared: &Shared, proposal: &Proposal) {
    let batch = proposal.batch();
    let waiters = shared.waiters.remove(batch.id);
    let queued = waiters.into_iter().zip(&batch.requests).filter_map(|(waiter, request)| {
        let request = request.clone();
        let size = prost::Message::encoded_len(&request);
        Some(Queued { request, size, waiter: waiter? })
    });
    let queued: Vec<Queued> = queued.collect();
    shared.queue.give_back(queued.into_iter());
}
