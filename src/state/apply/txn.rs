//! Transactions: choose the path, look at everything that could refuse it, then carry it out.

use bytes::Bytes;

use super::kv::builds_on_previous;
use super::{Apply, compare};
use crate::proto::etcdserverpb::request_op::Request as Inner;
use crate::proto::etcdserverpb::response_op::Response as Answer;
use crate::proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, ResponseHeader,
    ResponseOp, TxnRequest, TxnResponse,
};
use crate::state::error::{ApplyError, Failure, ReadError};
use crate::state::late::Missing;
use crate::state::mvcc::read::{self, Meter, View};
use crate::state::mvcc::record::Fetch;
use crate::types::range::KeyRange;

/// The branches that conditions chose, nested ones included.
struct Path<'a> {
    succeeded: bool,
    steps: Vec<Step<'a>>,
}

enum Step<'a> {
    Range(&'a RangeRequest),
    Put(&'a PutRequest),
    Delete(&'a DeleteRangeRequest),
    Txn(Path<'a>),
}

/// Whether all conditions of a transaction hold, and the operations that are its turn then.
pub(in crate::state) fn branch<'a>(
    view: View<'_>,
    source: &impl Fetch,
    txn: &'a TxnRequest,
) -> Result<(bool, &'a [RequestOp]), ReadError> {
    for one in &txn.compare {
        if !compare::holds(view, source, one)? {
            return Ok((false, &txn.failure));
        }
    }
    Ok((true, &txn.success))
}

/// Chooses the path of a transaction. All conditions, nested ones too, look at the same state.
fn choose<'a>(
    view: View<'_>,
    source: &impl Fetch,
    txn: &'a TxnRequest,
) -> Result<Path<'a>, Failure> {
    let (succeeded, ops) = branch(view, source, txn)?;
    let steps = ops.iter().map(|op| match &op.request {
        Some(Inner::RequestRange(range)) => Ok(Step::Range(range)),
        Some(Inner::RequestPut(put)) => Ok(Step::Put(put)),
        Some(Inner::RequestDeleteRange(delete)) => Ok(Step::Delete(delete)),
        Some(Inner::RequestTxn(txn)) => choose(view, source, txn).map(Step::Txn),
        None => Err(ApplyError::KeyNotFound.into()),
    });
    Ok(Path { succeeded, steps: steps.collect::<Result<_, Failure>>()? })
}

/// Refuses ranges that have no answer.
fn check_ranges(view: View<'_>, path: &Path<'_>) -> Result<(), ReadError> {
    for step in &path.steps {
        match step {
            Step::Range(request) => read::check_in_txn(view, request)?,
            Step::Txn(inner) => check_ranges(view, inner)?,
            Step::Put(_) | Step::Delete(_) => {}
        }
    }
    Ok(())
}

/// Answers a transaction that only ranges.
///
/// # Errors
/// Those of its ranges, or it holds another operation.
pub(in crate::state) fn read_only(
    view: View<'_>,
    source: &impl Fetch,
    request: &TxnRequest,
    meter: &Meter,
) -> Result<TxnResponse, ReadError> {
    let path = match choose(view, source, request) {
        Ok(path) => path,
        Err(Failure::Refused(_)) => return Err(ReadError::NotReadOnly),
        Err(Failure::Fatal(error)) => return Err(error.into()),
    };
    check_ranges(view, &path)?;
    let answers = path.steps.iter().map(|step| match step {
        Step::Range(request) => {
            let answer = Answer::ResponseRange(read::range(view, source, request, meter)?);
            Ok(ResponseOp { response: Some(answer) })
        }
        Step::Put(_) | Step::Delete(_) | Step::Txn(_) => Err(ReadError::NotReadOnly),
    });
    Ok(TxnResponse {
        header: read::header(view.revision),
        succeeded: path.succeeded,
        responses: answers.collect::<Result<_, ReadError>>()?,
    })
}

/// What an earlier step of a path does to keys.
enum Effect {
    Put(Bytes),
    Delete(KeyRange),
}

impl Apply<'_> {
    /// Applies a transaction as a whole, or refuses it as a whole.
    pub(super) fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse, Failure> {
        let writer = &self.tables.writer;
        let path = choose(writer.view(), writer, request)?;
        self.check_puts(&path, &mut Vec::new())?;
        check_ranges(writer.view(), &path)?;
        self.carry_out(&path)
    }

    /// Refuses what cannot be written. Remembers what the path does before each put, because a put
    /// that keeps a key's value needs the key to be still there when its turn comes.
    fn check_puts(&self, path: &Path<'_>, effects: &mut Vec<Effect>) -> Result<(), ApplyError> {
        for step in &path.steps {
            match step {
                Step::Put(put) if put.key.is_empty() => return Err(ApplyError::EmptyKey),
                Step::Delete(delete) if delete.key.is_empty() => return Err(ApplyError::EmptyKey),
                Step::Put(put) => {
                    if builds_on_previous(put) && !self.will_be_live(&put.key, effects) {
                        return Err(ApplyError::KeyNotFound);
                    }
                    self.check_lease(put)?;
                    effects.push(Effect::Put(put.key.clone()));
                }
                Step::Delete(delete) => {
                    let range = KeyRange::new(delete.key.clone(), delete.range_end.clone());
                    effects.push(Effect::Delete(range));
                }
                Step::Txn(inner) => self.check_puts(inner, effects)?,
                Step::Range(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a key lives before the transaction and still does after these effects.
    fn will_be_live(&self, key: &Bytes, effects: &[Effect]) -> bool {
        let last = effects.iter().rev().find(|effect| match effect {
            Effect::Put(put) => put == key,
            Effect::Delete(range) => range.contains(key),
        });
        self.live(key).is_some() && !matches!(last, Some(Effect::Delete(_)))
    }

    fn carry_out(&mut self, path: &Path<'_>) -> Result<TxnResponse, Failure> {
        let mut responses = Vec::with_capacity(path.steps.len());
        for (number, step) in path.steps.iter().enumerate() {
            self.place.push(number);
            let answer = match step {
                Step::Range(request) => Answer::ResponseRange(self.range(request)?),
                Step::Put(request) => Answer::ResponsePut(self.write_put(request)?),
                Step::Delete(request) => Answer::ResponseDeleteRange(self.write_delete(request)?),
                Step::Txn(inner) => Answer::ResponseTxn(self.carry_out(inner)?),
            };
            self.place.pop();
            responses.push(ResponseOp { response: Some(answer) });
        }
        // A nested answer has a header without content; clients may count on its presence.
        let header = Some(ResponseHeader::default());
        Ok(TxnResponse { header, succeeded: path.succeeded, responses })
    }

    /// The answer to a range, unless it must come late.
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
        let writer = &self.tables.writer;
        match read::range(writer.view(), writer, request, self.early) {
            Err(ReadError::TooLarge(_)) => {
                let (root, revision) = (writer.root(), writer.visible());
                self.leave(Missing::Range { request: request.clone(), root, revision });
                Ok(RangeResponse::default())
            }
            answer => answer,
        }
    }
}
