//! When leases end: a table of deadlines that decides and never acts. Time is an argument.
//!
//! Deadlines live on a clock of their own that runs with the monotonic clock, except that it never
//! moves by more than [`MAX_STEP`] between two looks. A member that was stopped, swapped out or
//! starved could not hear renewals meanwhile; it must not wake up and end every lease at once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use crate::types::ids::LeaseId;

/// The most that lease time advances between two looks at the clock; looks come every half second.
pub(super) const MAX_STEP: Duration = Duration::from_secs(2);
/// How long a revocation may take before it is proposed again.
const RETRY: Duration = Duration::from_secs(3);
/// Leases that may end per second after a change of leader; three quarters of what can be revoked.
const SPREAD_PER_SECOND: u32 = 750;
/// From this many leases on they are spread.
const SPREAD_FROM: usize = 1000;
/// Time between two checkpoints of a lease; shorter leases have none.
pub(super) const CHECKPOINT_EVERY: Duration = Duration::from_secs(300);

/// A lease that is known here.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Granted seconds.
    ttl: i64,
    /// Seconds left by the newest checkpoint; zero when there is none.
    checkpointed: i64,
    /// When it ends, in lease time.
    deadline: Duration,
    /// Whether a revocation has been handed out since it ended.
    revoking: bool,
    /// When it is looked at next; other entries of the heap are leftovers.
    look: Duration,
}

impl Held {
    /// What a new leader gives the lease.
    fn remaining_or_full(&self) -> Duration {
        seconds(if self.checkpointed > 0 { self.checkpointed } else { self.ttl })
    }
}

/// What a client that renews a lease is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewed {
    /// It lives for the granted time again, in seconds; the flag says that its checkpoint must be
    /// taken back.
    Alive(i64, bool),
    /// It has ended and its revocation is on the way.
    Ending,
    /// There is no such lease.
    Unknown,
}

/// Deadlines of all leases.
#[derive(Debug)]
pub(super) struct Deadlines {
    leases: HashMap<LeaseId, Held>,
    /// When to look at a lease; one entry for each, possibly early, plus leftovers of revoked ones.
    expiry: BinaryHeap<Reverse<(Duration, LeaseId)>>,
    checkpoints: BinaryHeap<Reverse<(Duration, LeaseId)>>,
    /// Time between two checkpoints of a lease, if there are any.
    every: Option<Duration>,
    /// Lease time, and the moment it was read.
    elapsed: Duration,
    looked: Instant,
}

impl Deadlines {
    /// An empty table whose clock starts at `now`.
    pub(super) fn new(now: Instant, every: Option<Duration>) -> Self {
        Self {
            leases: HashMap::new(),
            expiry: BinaryHeap::new(),
            checkpoints: BinaryHeap::new(),
            every,
            elapsed: Duration::ZERO,
            looked: now,
        }
    }

    /// Moves lease time on. Returns how much time was not counted.
    pub(super) fn look(&mut self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.looked);
        self.looked = now;
        self.elapsed += passed.min(MAX_STEP);
        passed.saturating_sub(MAX_STEP)
    }

    /// Adds a lease that lives for its whole time from now.
    pub(super) fn grant(&mut self, id: LeaseId, ttl: i64, checkpointed: i64) {
        let deadline = self.elapsed + seconds(ttl);
        let held = Held { ttl, checkpointed, deadline, revoking: false, look: deadline };
        self.leases.insert(id, held);
        self.schedule(id, deadline);
    }

    /// Removes a lease.
    pub(super) fn revoke(&mut self, id: LeaseId) {
        self.leases.remove(&id);
        self.tidy();
    }

    /// Notes the remaining seconds that a checkpoint stored; zero takes an earlier one back.
    pub(super) fn checkpointed(&mut self, id: LeaseId, remaining: i64) {
        if let Some(held) = self.leases.get_mut(&id) {
            held.checkpointed = remaining;
        }
    }

    /// Gives a lease its granted time again, unless it has ended.
    pub(super) fn renew(&mut self, id: LeaseId) -> Renewed {
        let Some(held) = self.leases.get_mut(&id) else { return Renewed::Unknown };
        if held.revoking || held.deadline <= self.elapsed {
            return Renewed::Ending;
        }
        // The heap keeps the old time: a look that comes early finds the new one.
        held.deadline = self.elapsed + seconds(held.ttl);
        Renewed::Alive(held.ttl, held.checkpointed > 0)
    }

    /// Whether the lease is known.
    pub(super) fn contains(&self, id: LeaseId) -> bool {
        self.leases.contains_key(&id)
    }

    /// Whole seconds a lease has left, at least zero, and the seconds it was granted.
    pub(super) fn remaining(&self, id: LeaseId) -> Option<(i64, i64)> {
        let held = self.leases.get(&id)?;
        let left = held.deadline.saturating_sub(self.elapsed).as_secs();
        Some((left.cast_signed(), held.ttl))
    }

    /// When a lease ends, in lease time.
    pub(super) fn deadline(&self, id: LeaseId) -> Option<Duration> {
        self.leases.get(&id).map(|held| held.deadline)
    }

    /// Ids of all leases, in no order.
    pub(super) fn ids(&self) -> impl Iterator<Item = LeaseId> {
        self.leases.keys().copied()
    }

    /// Starts every lease anew, as this member came to lead: nobody knows what was renewed with
    /// the leader before. `extend` is added to each, for clients that have to find the new leader.
    pub(super) fn promote(&mut self, extend: Duration) {
        self.expiry.clear();
        self.checkpoints.clear();
        let mut order: Vec<(Duration, LeaseId)> = self
            .leases
            .iter()
            .map(|(id, held)| (self.elapsed + held.remaining_or_full() + extend, *id))
            .collect();
        if order.len() >= SPREAD_FROM {
            order.sort_unstable();
            spread(&mut order);
        }
        for (deadline, id) in order {
            if let Some(held) = self.leases.get_mut(&id) {
                held.deadline = deadline;
                held.look = deadline;
                held.revoking = false;
            }
            self.schedule(id, deadline);
        }
    }

    /// Up to `limit` leases to revoke now. Each is handed out again if it is still here after a
    /// while.
    pub(super) fn due(&mut self, limit: usize) -> Vec<LeaseId> {
        let mut due = Vec::new();
        while due.len() < limit {
            let Some((at, id)) = pop(&mut self.expiry, self.elapsed) else { break };
            let Some(held) = self.leases.get_mut(&id).filter(|held| held.look == at) else {
                continue;
            };
            if held.deadline > self.elapsed {
                // Renewed since it was scheduled.
                held.look = held.deadline;
            } else {
                held.revoking = true;
                held.look = self.elapsed + RETRY;
                due.push(id);
            }
            self.expiry.push(Reverse((held.look, id)));
        }
        due
    }

    /// Up to `limit` leases whose remaining seconds should be stored now.
    pub(super) fn due_checkpoints(&mut self, limit: usize) -> Vec<(LeaseId, i64)> {
        let mut due = Vec::new();
        while due.len() < limit {
            let Some((_, id)) = pop(&mut self.checkpoints, self.elapsed) else { break };
            let Some(held) = self.leases.get(&id) else { continue };
            let left = held.deadline.saturating_sub(self.elapsed);
            if left.is_zero() {
                continue;
            }
            if let Some(every) = self.every {
                self.checkpoints.push(Reverse((self.elapsed + every, id)));
            }
            // Rounded up: a checkpoint of zero would mean that there is none.
            due.push((id, left.as_secs().cast_signed() + i64::from(left.subsec_nanos() > 0)));
        }
        due
    }

    fn schedule(&mut self, id: LeaseId, deadline: Duration) {
        self.expiry.push(Reverse((deadline, id)));
        if let Some(every) = self.every
            && deadline.saturating_sub(self.elapsed) > every
        {
            self.checkpoints.push(Reverse((self.elapsed + every, id)));
        }
    }

    /// Drops leftovers of revoked leases once they are the larger part.
    fn tidy(&mut self) {
        let limit = 2 * self.leases.len() + SPREAD_FROM;
        for heap in [&mut self.expiry, &mut self.checkpoints] {
            if heap.len() > limit {
                heap.retain(|Reverse((_, id))| self.leases.contains_key(id));
            }
        }
    }
}

/// Takes the first entry that is due.
fn pop(
    heap: &mut BinaryHeap<Reverse<(Duration, LeaseId)>>,
    now: Duration,
) -> Option<(Duration, LeaseId)> {
    let Reverse((at, id)) = *heap.peek()?;
    if at > now {
        return None;
    }
    heap.pop();
    Some((at, id))
}

/// Moves deadlines back, in their order, until no second holds too many.
fn spread(order: &mut [(Duration, LeaseId)]) {
    let gap = Duration::from_secs(1) / SPREAD_PER_SECOND;
    let mut free = Duration::ZERO;
    for (deadline, _) in order {
        *deadline = (*deadline).max(free);
        free = *deadline + gap;
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests;
