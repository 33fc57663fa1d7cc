//! Answers that may be large: made on a thread that may block, within the server's budget.

use std::sync::Arc;

use bytes::BytesMut;
use prost::Message;
use tokio::task::spawn_blocking;
use tonic::Status;

use super::Shared;
use super::body::Encoded;
use super::frame;
use crate::api::backend::Backend;
use crate::api::{header, status};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use crate::state::{ReadError, Reader};

/// Keys up to which an answer is made right where the request is: most of them come from memory,
/// and a change of thread would cost more.
const SMALL_KEYS: i64 = 64;

/// Bytes a stored key is taken to need before its value is known.
const KEY_BYTES: u64 = 128;

/// An answer whose header only the caller can complete.
pub(super) trait Headed: Message + Send + 'static {
    fn complete(&mut self, backend: &Backend);
}

impl Headed for RangeResponse {
    fn complete(&mut self, backend: &Backend) {
        self.header = header::complete(backend, self.header.take());
    }
}

impl Headed for TxnResponse {
    fn complete(&mut self, backend: &Backend) {
        self.header = header::complete(backend, self.header.take());
    }
}

/// Reads `keys` keys, here if they are few.
pub(super) async fn read<M: Headed>(
    shared: &Arc<Shared>,
    keys: i64,
    read: impl FnOnce(&Reader) -> Result<M, ReadError> + Send + 'static,
) -> Result<Encoded, Status> {
    let backend = Arc::clone(&shared.backend);
    if keys <= SMALL_KEYS {
        let answer = finish(&backend, read(&backend.reader))?;
        return encode(&answer);
    }
    let share = shared.budget.take(estimate(&backend.reader, keys)).await?;
    let made = spawn_blocking(move || {
        let answer = finish(&backend, read(&backend.reader))?;
        let encoded = encode(&answer)?;
        Ok::<_, Status>(encoded)
    });
    let mut encoded = made.await.map_err(|error| status::internal(&error))??;
    encoded.share = Some(shared.budget.fit(share, encoded.bytes.len()).await?);
    Ok(encoded)
}

fn finish<M: Headed>(backend: &Backend, read: Result<M, ReadError>) -> Result<M, Status> {
    let mut answer = read.map_err(|error| status::of_read(&error))?;
    answer.complete(backend);
    Ok(answer)
}

fn encode(answer: &impl Message) -> Result<Encoded, Status> {
    let mut out = BytesMut::new();
    frame::write(answer, &mut out)?;
    Ok(Encoded { bytes: out.freeze(), share: None })
}

/// What so many keys of the average size come to.
fn estimate(reader: &Reader, keys: i64) -> usize {
    let (_, records) = reader.key_counts();
    let average = reader.sizes().in_use / records.max(1) + KEY_BYTES;
    let keys = u64::try_from(keys).unwrap_or(0);
    usize::try_from(keys.saturating_mul(average)).unwrap_or(usize::MAX)
}

/// How many keys a range must look at, if that matters.
pub(super) fn keys_of(reader: &Reader, request: &RangeRequest) -> i64 {
    let filtered = request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0;
    let sorted = request.sort_order != 0;
    let limited = request.limit > 0 && !filtered && !sorted;
    if request.range_end.is_empty() || (request.count_only && !filtered) {
        return 1;
    }
    if limited && request.limit <= SMALL_KEYS {
        return request.limit;
    }
    let count = RangeRequest {
        key: request.key.clone(),
        range_end: request.range_end.clone(),
        revision: request.revision,
        count_only: true,
        ..RangeRequest::default()
    };
    // Whatever is wrong with the range will be told by the read itself.
    let keys = reader.range(&count).map_or(0, |answer| answer.count);
    if limited { keys.min(request.limit) } else { keys }
}

/// As [`keys_of`], for all ranges a read-only transaction may run.
pub(super) fn keys_of_txn(reader: &Reader, request: &TxnRequest) -> i64 {
    let branch = |ops: &[crate::proto::etcdserverpb::RequestOp]| {
        let ranges = ops.iter().filter_map(|op| match &op.request {
            Some(Request::RequestRange(range)) => Some(keys_of(reader, range)),
            _ => None,
        });
        ranges.fold(0, i64::saturating_add)
    };
    branch(&request.success).max(branch(&request.failure))
}
