//! What is applied within microseconds, so that somebody with other things to do may apply it.

use super::apply::branch;
use super::machine::Machine;
use crate::proto::etcdserverpb::compare::CompareTarget;
use crate::proto::etcdserverpb::request_op::Request as Inner;
use crate::proto::etcdserverpb::{Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};
use crate::proto::internal::request::Op;
use crate::proto::internal::{ProposalBatch, Request};

/// Operations, or conditions, above which it costs little in proportion to change threads.
const MOST: usize = 4;

impl Machine {
    /// Whether a batch of a few kilobytes, if it is applied next, takes microseconds and waits for no disk,
    /// as far as can be known: it does little, reads no record, there is no work in the background, and
    /// the database is calm.
    pub fn is_quick(&self, batch: &ProposalBatch) -> bool {
        let little = match batch.requests.as_slice() {
            [Request { op: Some(Op::Txn(txn)), .. }] => self.is_light(txn),
            [Request { op: Some(Op::DeleteRange(delete)), .. }] => deletes_one(delete),
            puts => puts.len() <= MOST && puts.iter().all(is_light_put),
        };
        little && self.is_at_rest() && self.engine.is_calm()
    }

    /// Looks at what the transaction would do now. Permissions are looked at in both branches.
    fn is_light(&self, txn: &TxnRequest) -> bool {
        let writer = &self.tables.writer;
        let mut both = txn.success.iter().chain(&txn.failure);
        txn.compare.len() <= MOST
            && txn.compare.iter().all(looks_at_one)
            && both.clone().count() <= 2 * MOST
            && both.all(|op| !is_heavy(op))
            && branch(writer.view(), writer, txn).is_ok_and(|(_, ops)| ops.iter().all(is_light_op))
    }
}

/// Numbers are in the index; a value is a record.
fn looks_at_one(compare: &Compare) -> bool {
    compare.target != CompareTarget::Value as i32 && compare.range_end.is_empty()
}

/// Whether it is much even if it is not carried out.
fn is_heavy(op: &RequestOp) -> bool {
    match &op.request {
        Some(Inner::RequestPut(put)) => put.lease != 0,
        Some(Inner::RequestTxn(_)) => true,
        _ => false,
    }
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

/// Who puts on a lease needs a right to each key that is on it.
fn puts_one(put: &PutRequest) -> bool {
    put.lease == 0 && !put.prev_kv && !put.ignore_value
}

fn deletes_one(delete: &DeleteRangeRequest) -> bool {
    delete.range_end.is_empty() && !delete.prev_kv
}
