//! Put and delete.

use bytes::Bytes;

use super::Apply;
use crate::failpoint;
use crate::proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
};
use crate::proto::mvccpb::KeyValue;
use crate::state::error::{ApplyError, Failure, StateError};
use crate::state::late::Missing;
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
        let before = self.live(&request.key);
        let value = match before {
            Some(meta) if request.ignore_value => self.record(meta)?.value,
            _ => failpoint::altered(request.value.clone()),
        };
        let prev_kv = match before {
            Some(meta) if request.prev_kv => self.previous(meta)?,
            _ => None,
        };
        let lease =
            if request.ignore_lease { before.map_or(0, |meta| meta.lease) } else { request.lease };
        let previous = self.tables.writer.put(&request.key, value, lease)?;
        let detached = previous.map_or(0, |meta| meta.lease);
        self.tables.leases.attach(&request.key, detached, lease);
        Ok(PutResponse { header: header(self.tables.writer.visible()), prev_kv })
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
        for (key, meta) in &deleted {
            self.tables.leases.attach(key, meta.lease, 0);
        }
        let prev_kvs = if request.prev_kv { self.all_previous(&deleted)? } else { Vec::new() };
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

    /// The previous value of a key, unless it must come late.
    fn previous(&mut self, meta: KeyMeta) -> Result<Option<KeyValue>, StateError> {
        let kv = self.record(meta)?;
        let early = self.early.take_kv(kv).ok();
        if early.is_none() {
            self.leave(Missing::PrevKv(meta.modified));
        }
        Ok(early)
    }

    /// The previous values of deleted keys, unless they must come late.
    fn all_previous(&mut self, deleted: &[(Bytes, KeyMeta)]) -> Result<Vec<KeyValue>, StateError> {
        let mut early = Vec::new();
        for (_, meta) in deleted {
            let kv = self.record(*meta)?;
            let fits = self.early.take(size_of::<KeyValue>()).and_then(|()| self.early.take_kv(kv));
            let Ok(kv) = fits else {
                let all = deleted.iter().map(|(_, meta)| meta.modified).collect();
                self.leave(Missing::PrevKvs(all));
                return Ok(Vec::new());
            };
            early.push(kv);
        }
        Ok(early)
    }

    fn record(&self, meta: KeyMeta) -> Result<KeyValue, StateError> {
        self.tables.writer.fetch_kv(meta.modified)
    }
}

/// Whether a put keeps something of the key as it is.
pub(super) fn builds_on_previous(request: &PutRequest) -> bool {
    request.ignore_value || request.ignore_lease
}
