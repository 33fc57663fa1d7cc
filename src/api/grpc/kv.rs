//! Keys.

use std::sync::Arc;

use bytes::BytesMut;
use futures::{Stream, stream};
use tokio::task::spawn_blocking;
use tonic::Status;

use super::Shared;
use super::body::Encoded;
use super::frame;
use super::identity::Asker;
use super::large::{self, Headed};
use super::propose::{mismatch, propose};
use crate::api::backend::Backend;
use crate::api::budget::Share;
use crate::api::{check, header, status};
use crate::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, PutRequest, RangeRequest,
    RangeStreamResponse, TxnRequest,
};
use crate::proto::internal::request::Op;
use crate::state::reader::RangeStream;
use crate::state::{Demand, Outcome, Reader, Response};

/// Waits until the local state is as new as the request asks for.
pub(super) async fn settle(backend: &Backend, serializable: bool) -> Result<(), Status> {
    if serializable {
        return Ok(());
    }
    if backend.node.status().is_learner {
        return Err(status::not_for_learners());
    }
    backend.linear.read_index().await.map_err(status::of_linear)
}

pub(super) async fn range(
    shared: Arc<Shared>,
    asker: Asker,
    request: RangeRequest,
) -> Result<Encoded, Status> {
    check::range(&request)?;
    settle(&shared.backend, request.serializable).await?;
    let admitted = asker.admit(&shared, demand(&request)).await?;
    let keys = large::keys_of(&shared.backend.reader, &request);
    let read = move |reader: &Reader, most| reader.range_stored(&request, most);
    let answer = large::read(&shared, keys, read).await?;
    admitted.still(&shared.backend)?;
    Ok(answer)
}

fn demand(request: &RangeRequest) -> Demand<'_> {
    Demand::Read { key: &request.key, range_end: &request.range_end }
}

pub(super) async fn range_stream(
    shared: Arc<Shared>,
    asker: Asker,
    request: RangeRequest,
) -> Result<impl Stream<Item = Result<RangeStreamResponse, Status>> + Send + Unpin, Status> {
    check::range(&request)?;
    if !is_streamable_order(&request) {
        return Err(status::no_sorted_stream());
    }
    let filters = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    if filters.iter().any(|bound| *bound != 0) {
        return Err(status::no_filtered_stream());
    }
    settle(&shared.backend, request.serializable).await?;
    let admitted = asker.admit(&shared, demand(&request)).await?;
    let piece_bytes = shared.backend.limits.max_request_bytes;
    let pieces = shared.backend.reader.range_stream(request, piece_bytes);
    let pieces = pieces.map_err(|error| status::of_read(&error))?;
    // All of them are of one revision, from which nothing is read that was written later.
    admitted.still(&shared.backend)?;
    let state = Pieces { shared, pieces: Some(pieces), share: None };
    Ok(Box::pin(stream::unfold(state, |mut state| async move {
        let piece = state.next().await.transpose()?;
        Some((piece, state))
    })))
}

/// Only what the default order gives anyway.
fn is_streamable_order(request: &RangeRequest) -> bool {
    let rising = [SortOrder::None as i32, SortOrder::Ascend as i32].contains(&request.sort_order);
    rising && request.sort_target == SortTarget::Key as i32
}

/// A range on its way in pieces. The share of a piece is held until the next is asked for, which is
/// when the connection has taken it.
struct Pieces {
    shared: Arc<Shared>,
    pieces: Option<RangeStream>,
    share: Option<Share>,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<RangeStreamResponse>, Status> {
        self.share = None;
        let Some(mut pieces) = self.pieces.take() else { return Ok(None) };
        let expected = self.shared.backend.limits.max_request_bytes;
        self.share = Some(self.shared.budget.take(expected).await?);
        let read = spawn_blocking(move || pieces.next_piece().map(|piece| (piece, pieces)));
        let read = read.await.map_err(|error| status::internal(&error))?;
        let (piece, pieces) = read.map_err(|error| status::of_read(&error))?;
        self.pieces = Some(pieces);
        Ok(piece.map(|mut piece| {
            if piece.header.is_some() {
                piece.header = header::complete(&self.shared.backend, piece.header.take());
            }
            RangeStreamResponse { range_response: Some(piece) }
        }))
    }
}

pub(super) async fn put(
    shared: Arc<Shared>,
    asker: Asker,
    request: PutRequest,
) -> Result<Encoded, Status> {
    write(&shared, &asker, Op::Put(request)).await
}

pub(super) async fn delete_range(
    shared: Arc<Shared>,
    asker: Asker,
    request: DeleteRangeRequest,
) -> Result<Encoded, Status> {
    write(&shared, &asker, Op::DeleteRange(request)).await
}

/// Has a write applied and answers it, with what was too large to be read at apply.
async fn write(shared: &Arc<Shared>, asker: &Asker, op: Op) -> Result<Encoded, Status> {
    let Outcome { revision, result, late, .. } = propose(&shared.backend, asker, op).await?;
    let response = result.map_err(status::of_apply)?;
    if late.is_empty() {
        return large::encode(&shared.backend, Ok(Written { response, revision }))
            .map(Encoded::small);
    }
    let read = move |reader: &Reader, most| {
        let response = reader.complete(&response, &late, most)?;
        Ok(Written { response, revision })
    };
    large::read_large(shared, read)
        .await
        .map_err(|error| status::applied_without_answer(revision, &error))
}

/// The answer to a write.
struct Written {
    response: Response,
    revision: i64,
}

impl Headed for Written {
    fn complete(&mut self, backend: &Backend) {
        let header = header::at(backend, self.revision);
        match &mut self.response {
            Response::Put(put) => put.header = header,
            Response::DeleteRange(delete) => delete.header = header,
            Response::Txn(txn) => txn.header = header,
            _ => {}
        }
    }

    fn write(self, out: &mut BytesMut) -> Result<(), Status> {
        match &self.response {
            Response::Put(put) => frame::write(put, out),
            Response::DeleteRange(delete) => frame::write(delete, out),
            Response::Txn(txn) => frame::write(txn, out),
            _ => Err(mismatch()),
        }
    }
}

pub(super) async fn txn(
    shared: Arc<Shared>,
    asker: Asker,
    request: TxnRequest,
) -> Result<Encoded, Status> {
    if is_read_only(&request) {
        check::txn(&request, shared.backend.limits.max_txn_ops)?;
        settle(&shared.backend, is_serializable(&request)).await?;
        let admitted = asker.admit(&shared, Demand::Txn(&request)).await?;
        let keys = large::keys_of_txn(&shared.backend.reader, &request);
        let read = move |reader: &Reader, most| reader.txn_readonly(&request, most);
        let answer = large::read(&shared, keys, read).await?;
        admitted.still(&shared.backend)?;
        return Ok(answer);
    }
    write(&shared, &asker, Op::Txn(request)).await
}

fn ranges(request: &TxnRequest) -> impl Iterator<Item = Option<&RangeRequest>> {
    request.success.iter().chain(&request.failure).map(|op| match &op.request {
        Some(Request::RequestRange(range)) => Some(range),
        _ => None,
    })
}

/// Whether nothing but ranges can run. A nested transaction counts as a write, whatever is in it.
fn is_read_only(request: &TxnRequest) -> bool {
    ranges(request).all(|range| range.is_some())
}

/// Whether every range agrees to stale data; a transaction without any asks for nothing newer.
fn is_serializable(request: &TxnRequest) -> bool {
    ranges(request).flatten().all(|range| range.serializable)
}

pub(super) async fn compact(
    shared: Arc<Shared>,
    asker: Asker,
    request: CompactionRequest,
) -> Result<CompactionResponse, Status> {
    let outcome = propose(&shared.backend, &asker, Op::Compaction(request)).await?;
    outcome.result.map_err(status::of_apply)?;
    if let Some(deleted) = outcome.physical {
        deleted.await.map_err(|_| status::stopped())?;
    }
    Ok(CompactionResponse { header: header::at(&shared.backend, outcome.revision) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::etcdserverpb::RequestOp;

    fn op(request: Request) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    fn range_of(serializable: bool) -> RequestOp {
        op(Request::RequestRange(RangeRequest { serializable, ..Default::default() }))
    }

    #[test]
    fn only_ranges_make_a_transaction_read_only() {
        let txn = |success, failure| TxnRequest { compare: vec![], success, failure };
        let both = txn(vec![range_of(true)], vec![range_of(false)]);
        assert!(is_read_only(&both) && !is_serializable(&both));
        let stale = txn(vec![range_of(true)], vec![range_of(true)]);
        assert!(is_read_only(&stale) && is_serializable(&stale));
        assert!(is_read_only(&TxnRequest::default()) && is_serializable(&TxnRequest::default()));
        let nested = op(Request::RequestTxn(TxnRequest::default()));
        let empty = RequestOp::default();
        let put = op(Request::RequestPut(PutRequest::default()));
        for other in [nested, empty, put] {
            assert!(!is_read_only(&txn(vec![range_of(true)], vec![other])));
        }
    }

    #[test]
    fn streams_come_in_key_order_only() {
        let order = |sort_order, sort_target| {
            is_streamable_order(&RangeRequest { sort_order, sort_target, ..Default::default() })
        };
        assert!(order(0, 0) && order(1, 0));
        assert!(!order(2, 0) && !order(1, 1) && !order(0, 3));
    }
}
