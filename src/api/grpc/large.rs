//! Answers that may be large, or wait for the disk: made on a thread that may block, within the
//! server's budget.

use std::sync::Arc;

use ::bytes::{Bytes, BytesMut};
use prost::Message;
use prost::encoding::{bytes, message};
use tokio::task::spawn_blocking;
use tonic::Status;

use super::Shared;
use super::body::Encoded;
use super::frame;
use crate::api::backend::Backend;
use crate::api::{header, status};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use crate::state::reader::RangeAnswer;
use crate::state::{ReadError, Reader};

/// Keys up to which an answer is made right where the request is: most of them come from memory,
/// and a change of thread would cost more.
const SMALL_KEYS: i64 = 64;
/// Bytes up to which it is: enough for the largest value there can be, so that a single key never
/// needs room among the large answers. While it is made it is not reserved: one such answer per
/// thread may exist.
const SMALL_BYTES: usize = 2 << 20;

/// Bytes a stored key is taken to need before its value is known.
const KEY_BYTES: u64 = 256;

/// While an answer is made there are its values and their encoding.
const TWICE: usize = 2;
/// How much more room is asked for when it was not enough.
const STEP: usize = 4;
/// The largest message a gRPC client in Go can take.
const MAX_ANSWER: usize = i32::MAX as usize;

/// The number of the field `RangeResponse.kvs`.
const KVS: u32 = 2;

/// An answer whose header only the caller can complete.
pub(super) trait Headed: Send + 'static {
    fn complete(&mut self, backend: &Backend);

    /// Writes it with its prefix.
    ///
    /// # Errors
    /// If it has more than 4 GiB.
    fn write(self, out: &mut BytesMut) -> Result<(), Status>;
}

impl Headed for RangeAnswer {
    fn complete(&mut self, backend: &Backend) {
        self.response.header = header::complete(backend, self.response.header.take());
    }

    /// Gives each key back as soon as it is written, so that a large answer is not there twice. Parts
    /// of a message that follow each other make up the whole, and a record as it is stored is the
    /// encoding of its key and value.
    fn write(mut self, out: &mut BytesMut) -> Result<(), Status> {
        let stored: usize = self.records.iter().map(|record| bytes::encoded_len(KVS, record)).sum();
        frame::begin(self.response.encoded_len() + stored, out)?;
        let kvs = std::mem::take(&mut self.response.kvs);
        let header = self.response.header.take();
        frame::append(&RangeResponse { header, ..RangeResponse::default() }, out)?;
        for kv in kvs {
            message::encode(KVS, &kv, out);
        }
        for record in self.records {
            bytes::encode(KVS, &record, out);
        }
        frame::append(&self.response, out)
    }
}

impl Headed for TxnResponse {
    fn complete(&mut self, backend: &Backend) {
        self.header = header::complete(backend, self.header.take());
    }

    fn write(self, out: &mut BytesMut) -> Result<(), Status> {
        frame::write(&self, out)
    }
}

/// Reads an answer about `keys` keys, here if they are few and reads are quick. `read` is given the
/// bytes it may take, and asked again with more of them if it says that they are not enough.
pub(super) async fn read<M: Headed>(
    shared: &Arc<Shared>,
    keys: i64,
    read: impl Fn(&Reader, usize) -> Result<M, ReadError> + Send + Sync + 'static,
) -> Result<Encoded, Status> {
    let backend = &shared.backend;
    if keys > SMALL_KEYS {
        return read_apart(shared, estimate(&backend.reader, keys), Arc::new(read)).await;
    }
    let began = shared.clock.now();
    if shared.pace.is_slow(began) {
        return read_slow(shared, Arc::new(read)).await;
    }
    let answer = read(&backend.reader, SMALL_BYTES);
    shared.pace.note(began, shared.clock.now());
    match answer {
        Err(ReadError::TooLarge(_)) => read_apart(shared, STEP * SMALL_BYTES, Arc::new(read)).await,
        answer => encode(backend, answer).map(Encoded::small),
    }
}

/// Reads a small answer on a thread that may block. What such threads make at the same time is within
/// the budget; from then on the answer is its connection's like any other small one.
async fn read_slow<M: Headed>(
    shared: &Arc<Shared>,
    read: Arc<impl Fn(&Reader, usize) -> Result<M, ReadError> + Send + Sync + 'static>,
) -> Result<Encoded, Status> {
    let share = shared.budget.take(SMALL_BYTES).await?;
    let made = spawn_blocking({
        let (backend, read) = (Arc::clone(&shared.backend), Arc::clone(&read));
        move || read(&backend.reader, SMALL_BYTES)
    });
    let answer = made.await.map_err(|error| status::internal(&error))?;
    drop(share);
    match answer {
        Err(ReadError::TooLarge(_)) => read_apart(shared, STEP * SMALL_BYTES, read).await,
        answer => encode(&shared.backend, answer).map(Encoded::small),
    }
}

/// As [`read`], for an answer that is larger than any that is made right where the request is.
pub(super) async fn read_large<M: Headed>(
    shared: &Arc<Shared>,
    read: impl Fn(&Reader, usize) -> Result<M, ReadError> + Send + Sync + 'static,
) -> Result<Encoded, Status> {
    read_apart(shared, STEP * SMALL_BYTES, Arc::new(read)).await
}

/// Reads an answer on a thread that may block, beginning with room for `wanted` bytes.
async fn read_apart<M: Headed>(
    shared: &Arc<Shared>,
    mut wanted: usize,
    read: Arc<impl Fn(&Reader, usize) -> Result<M, ReadError> + Send + Sync + 'static>,
) -> Result<Encoded, Status> {
    loop {
        let mut share = shared.budget.take(wanted.saturating_mul(TWICE)).await?;
        let most = if share.is_whole() { MAX_ANSWER } else { share.bytes() / TWICE };
        let made = spawn_blocking({
            let (backend, read) = (Arc::clone(&shared.backend), Arc::clone(&read));
            move || match read(&backend.reader, most) {
                Err(ReadError::TooLarge(_)) if most < MAX_ANSWER => Ok(None),
                answer => encode(&backend, answer).map(Some),
            }
        });
        let made = made.await.map_err(|error| status::internal(&error))?;
        let Some(answer) = made? else {
            wanted = most.saturating_mul(STEP);
            continue;
        };
        share.shrink(answer.len());
        let length = answer.len();
        return Ok(Encoded::large(shared.budget.keep(answer, share), length));
    }
}

/// Completes an answer and writes it.
pub(super) fn encode<M: Headed>(
    backend: &Backend,
    read: Result<M, ReadError>,
) -> Result<Bytes, Status> {
    let mut answer = read.map_err(|error| status::of_read(&error))?;
    answer.complete(backend);
    let mut out = BytesMut::new();
    answer.write(&mut out)?;
    Ok(out.freeze())
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
