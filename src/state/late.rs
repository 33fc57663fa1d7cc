//! Parts of answers that are read after their request was applied.
//!
//! A transaction may range over everything, and a deletion may ask for all it deleted. To read that
//! while applying would hold up everybody, for an answer nobody has reserved memory for. So what
//! exceeds a small share is left out, and whoever answers the client reads it from the state as it was.

use super::error::{ReadError, StateError};
use super::mvcc::index::Root;
use super::mvcc::read::{self, Meter, View};
use super::mvcc::record::{Fetch, Records, decode};
use super::outcome::Response;
use crate::proto::etcdserverpb::response_op::Response as Answer;
use crate::proto::etcdserverpb::{RangeRequest, TxnResponse};
use crate::proto::mvccpb::KeyValue;
use crate::types::revision::Revision;

/// Bytes of answers read while one group of entries is applied; what is beyond comes late.
pub(super) const EARLY_BYTES: usize = 4 << 20;

/// A part of an answer that has not been read yet.
#[derive(Clone, Debug)]
pub struct Late {
    /// Where it belongs: the number of the operation in each transaction from the outermost on.
    pub(super) place: Vec<usize>,
    pub(super) what: Missing,
    /// The compacted revision when the request was applied.
    pub(super) compacted: i64,
}

#[derive(Clone, Debug)]
pub(super) enum Missing {
    /// The answer to a range, as the state was at that point of the transaction.
    Range { request: RangeRequest, root: Root, revision: i64 },
    /// The previous value of a put.
    PrevKv(Revision),
    /// The previous values of a deletion.
    PrevKvs(Vec<Revision>),
}

/// An answer without its late parts, made whole.
pub(super) fn complete(
    records: &Records,
    response: &Response,
    late: &[Late],
    limit: usize,
) -> Result<Response, ReadError> {
    let meter = Meter::new(limit);
    let mut whole = response.clone();
    for part in late {
        part.read(records, &mut whole, &meter)?;
    }
    Ok(whole)
}

impl Late {
    fn read(
        &self,
        records: &Records,
        whole: &mut Response,
        meter: &Meter,
    ) -> Result<(), ReadError> {
        match &self.what {
            Missing::Range { request, root, revision } => {
                let view = View { root, revision: *revision, compacted: self.compacted };
                let answer = read::range(view, records, request, meter)?;
                if let Some(Answer::ResponseRange(range)) = nested(whole, &self.place) {
                    *range = answer;
                }
            }
            Missing::PrevKv(at) => {
                let kv = keep(records.fetch_kv(*at)?, meter)?;
                match (whole, self.place.as_slice()) {
                    (Response::Put(put), []) => put.prev_kv = Some(kv),
                    (whole, place) => {
                        if let Some(Answer::ResponsePut(put)) = nested(whole, place) {
                            put.prev_kv = Some(kv);
                        }
                    }
                }
            }
            Missing::PrevKvs(all) => {
                let kvs = records
                    .fetch_each(all, &|at, record| keep(decode(at, record)?, meter).map(Some))?;
                match (whole, self.place.as_slice()) {
                    (Response::DeleteRange(delete), []) => delete.prev_kvs = kvs,
                    (whole, place) => {
                        if let Some(Answer::ResponseDeleteRange(delete)) = nested(whole, place) {
                            delete.prev_kvs = kvs;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a record that is gone was taken by a compaction since.
    pub(super) fn is_compacted(&self, error: &ReadError, compacted: i64) -> bool {
        matches!(error, ReadError::State(StateError::MissingRecord(_)))
            && compacted > self.compacted
    }
}

fn keep(kv: KeyValue, meter: &Meter) -> Result<KeyValue, ReadError> {
    meter.take(size_of::<KeyValue>())?;
    meter.take_kv(kv)
}

/// The answer at a place inside a transaction's.
fn nested<'a>(whole: &'a mut Response, place: &[usize]) -> Option<&'a mut Answer> {
    let Response::Txn(txn) = whole else { return None };
    let mut txn: &mut TxnResponse = txn;
    let (last, outer) = place.split_last()?;
    for number in outer {
        match txn.responses.get_mut(*number)?.response.as_mut()? {
            Answer::ResponseTxn(inner) => txn = inner,
            _ => return None,
        }
    }
    txn.responses.get_mut(*last)?.response.as_mut()
}
