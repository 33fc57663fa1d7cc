//! What is applied within microseconds and without waiting for a disk, so that somebody with other things
//! to do may apply it.

use super::apply::branch;
use super::machine::Machine;
use crate::proto::etcdserverpb::compare::CompareTarget;
use crate::proto::etcdserverpb::request_op::Request as Inner;
use crate::proto::etcdserverpb::{Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};
use crate::proto::internal::request::Op;
use crate::proto::internal::{ProposalBatch, Request};
use crate::storage::engine::Space;

/// Operations, or conditions, above which it costs little in proportion to change threads.
const MOST: usize = 4;
/// Bytes of a value: what is written is copied, and hashed.
const VALUE: usize = 16 << 10;

impl Machine {
    /// Whether a batch, if it is applied next, takes microseconds and certainly waits for no disk: it does
    /// little, reads no record, and the database has nothing to write out.
    pub fn is_quick(&self, batch: &ProposalBatch) -> bool {
        let little = match batch.requests.as_slice() {
            [Request { op: Some(Op::Txn(txn)), .. }] => self.is_light(txn),
            [Request { op: Some(Op::DeleteRange(delete)), .. }] => deletes_one(delete),
            puts => puts.len() <= MOST && puts.iter().all(is_light_put),
        };
        little
            && self.is_at_rest()
            && self.engine.is_calm(&[Space::Records, Space::Meta, Space::Leases])
    }

    /// Looks at what the transaction would do now.
    fn is_light(&self, txn: &TxnRequest) -> bool {
        let writer = &self.tables.writer;
        txn.compare.len() <= MOST
            && txn.compare.iter().all(looks_at_one)
            && branch(writer.view(), writer, txn)
                .is_ok_and(|(_, ops)| ops.len() <= MOST && ops.iter().all(is_light_op))
    }
}

/// Numbers are in the index; a value is a record.
fn looks_at_one(compare: &Compare) -> bool {
    compare.target != CompareTarget::Value as i32 && compare.range_end.is_empty()
}

fn is_light_op(op: &RequestOp) -> bool {
    match &op.request {
        Some(Inner::RequestPut(put)) => puts_one(put),
        Some(Inner::RequestDeleteRange(delete)) => deletes_one(delete),
        Some(Inner::RequestRange(_) | Inner::RequestTxn(_)) | None => false,
    }
}

fn is_light_put(request: &Request) -> bool {
    matches!(&request.op, Some(Op::Put(put)) if puts_one(put))
}

fn puts_one(put: &PutRequest) -> bool {
    put.value.len() <= VALUE && !put.prev_kv && !put.ignore_value
}

fn deletes_one(delete: &DeleteRangeRequest) -> bool {
    delete.range_end.is_empty() && !delete.prev_kv
}
