//! Put and delete.

use super::Apply;
use crate::proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
};
use crate::proto::mvccpb::KeyValue;
use crate::state::error::{ApplyError, Failure, StateError};
use crate::state::mvcc::index::KeyMeta;
use crate::state::mvcc::read::header;
use crate::state::mvcc::record::Fetch;
use crate::types::ids::LeaseId;
use crate::types::range::KeyRange;

impl Apply<'_> {
    /// A put on its own: lease first, then the key it builds on.
    pub(super) fn put(&mut self, request: &PutRequest) -> Result<PutResponse, Failure> {
        if request.key.is_empty() {
            return Err(ApplyError::EmptyKey.into());
        }
        self.check_lease(request)?;
        if builds_on_previous(request) && self.live(&request.key).is_none() {
            return Err(ApplyError::KeyNotFound.into());
        }
        Ok(self.write_put(request)?)
    }

    /// Refuses a put that hangs its key on a lease that does not exist.
    pub(super) fn check_lease(&self, request: &PutRequest) -> Result<(), ApplyError> {
        if request.lease != 0 && !self.tables.leases.contains(LeaseId(request.lease)) {
            return Err(ApplyError::LeaseNotFound);
        }
        Ok(())
    }

    /// Carries out a put whose conditions have been looked at.
    pub(super) fn write_put(&mut self, request: &PutRequest) -> Result<PutResponse, StateError> {
        let mut prev_kv = None;
        if request.prev_kv || request.ignore_value {
            prev_kv = self.live(&request.key).map(|meta| self.record(meta)).transpose()?;
        }
        let value = match &prev_kv {
            Some(kv) if request.ignore_value => kv.value.clone(),
            _ => request.value.clone(),
        };
        let lease = if request.ignore_lease {
            self.live(&request.key).map_or(0, |meta| meta.lease)
        } else {
            request.lease
        };
        let previous = self.tables.writer.put(&request.key, value, lease)?;
        let detached = previous.map_or(0, |meta| meta.lease);
        self.tables.leases.attach(&request.key, detached, lease);
        Ok(PutResponse {
            header: header(self.tables.writer.visible()),
            prev_kv: prev_kv.filter(|_| request.prev_kv),
        })
    }

    /// Deletes a range of keys.
    pub(super) fn delete_range(
        &mut self,
        request: &DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Failure> {
        if request.key.is_empty() {
            return Err(ApplyError::EmptyKey.into());
        }
        Ok(self.write_delete(request)?)
    }

    /// Carries out a deletion whose key is not empty.
    pub(super) fn write_delete(
        &mut self,
        request: &DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, StateError> {
        let range = KeyRange::new(request.key.clone(), request.range_end.clone());
        let deleted = self.tables.writer.delete(&range);
        let mut prev_kvs = Vec::new();
        for (key, meta) in &deleted {
            self.tables.leases.attach(key, meta.lease, 0);
            if request.prev_kv {
                prev_kvs.push(self.record(*meta)?);
            }
        }
        Ok(DeleteRangeResponse {
            header: header(self.tables.writer.visible()),
            deleted: i64::try_from(deleted.len()).unwrap_or(i64::MAX),
            prev_kvs,
        })
    }

    /// The key's state as the open transaction sees it.
    pub(super) fn live(&self, key: &[u8]) -> Option<KeyMeta> {
        self.tables.writer.view().root.get(key)
    }

    fn record(&self, meta: KeyMeta) -> Result<KeyValue, StateError> {
        self.tables.writer.fetch_kv(meta.modified)
    }
}

/// Whether a put keeps something of the key as it is.
pub(super) fn builds_on_previous(request: &PutRequest) -> bool {
    request.ignore_value || request.ignore_lease
}
