//! Leases: grant, revoke, checkpoint.

use super::Apply;
use crate::proto::etcdserverpb::{
    LeaseCheckpointRequest, LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest,
};
use crate::state::error::{ApplyError, Failure};
use crate::state::lease::{Lease, LeaseEvent, MAX_TTL};
use crate::types::ids::LeaseId;
use crate::types::range::KeyRange;

impl Apply<'_> {
    pub(super) fn lease_grant(
        &mut self,
        request: LeaseGrantRequest,
    ) -> Result<LeaseGrantResponse, Failure> {
        let id = LeaseId(request.id);
        // A server-chosen id is filled in before the request is proposed.
        if id.0 == 0 {
            return Err(ApplyError::LeaseNotFound.into());
        }
        if request.ttl > MAX_TTL {
            return Err(ApplyError::TtlTooLarge.into());
        }
        if self.tables.leases.contains(id) {
            return Err(ApplyError::LeaseExists.into());
        }
        // Whoever proposes has raised it to the shortest that its timers allow; a second is what a
        // lease lives at the very least, whoever proposed it.
        let ttl = request.ttl.max(1);
        self.tables.leases.store(Lease { id, ttl, remaining: 0 }, self.changes);
        self.tables.lease_events.push(LeaseEvent::Granted { id, ttl });
        Ok(LeaseGrantResponse { id: id.0, ttl, ..LeaseGrantResponse::default() })
    }

    /// Removes a lease and, in one revision, its keys in ascending order.
    pub(super) fn lease_revoke(&mut self, request: LeaseRevokeRequest) -> Result<(), Failure> {
        let id = LeaseId(request.id);
        if !self.tables.leases.contains(id) {
            return Err(ApplyError::LeaseNotFound.into());
        }
        for key in self.tables.leases.keys(id) {
            self.tables.writer.delete(&KeyRange::Single(key));
        }
        self.tables.leases.remove(id, self.changes);
        self.tables.lease_events.push(LeaseEvent::Revoked { id });
        Ok(())
    }

    /// Stores how long leases have left; unknown ones are skipped, they were revoked meanwhile.
    pub(super) fn lease_checkpoint(&mut self, request: &LeaseCheckpointRequest) {
        for one in &request.checkpoints {
            let id = LeaseId(one.id);
            let Some(lease) = self.tables.leases.get(id) else { continue };
            let remaining = one.remaining_ttl;
            self.tables.leases.store(Lease { remaining, ..lease }, self.changes);
            self.tables.lease_events.push(LeaseEvent::Checkpointed { id, remaining });
        }
    }
}
