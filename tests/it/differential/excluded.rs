//! Where etcd 3.5.16 is known to be wrong, or promises nothing, and how narrowly that is left out.
//! What is found here is never compared; everything else is.

use std::collections::VecDeque;

use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::response_op::Response;
use etcd::proto::etcdserverpb::{
    CompactionRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse,
    WatchCreateRequest,
};
use etcd::proto::mvccpb::KeyValue;
use etcd::types::range::KeyRange;
use tonic::{Code, Status};

/// Up to so many elements Go sorts by insertion, which keeps ties in the order of keys.
const STABLE: i64 = 12;
const VERSION: i32 = 1;
const CREATE: i32 = 2;
const MOD: i32 = 3;
const VALUE: i32 = 4;

/// etcd checks that a put with `ignore_value` or `ignore_lease` finds its key before the transaction
/// begins. When an operation of the same transaction deletes the key first, which its check for
/// duplicates lets pass in some forms, the put fails half way and the process ends on purpose. Such
/// puts become plain ones.
pub(super) fn spare_the_reference(txn: &mut TxnRequest) {
    let deleted = deletions(txn);
    visit(txn, &mut |op| {
        if let Some(Request::RequestPut(put)) = &mut op.request
            && deleted.iter().any(|range| range.contains(&put.key))
        {
            (put.ignore_value, put.ignore_lease) = (false, false);
        }
    });
}

/// Whether a transaction may delete a key and write it anew. A compaction at the revision of one that
/// did takes the new record away as well: etcd looks only as far as the deletion. The next look at the
/// key ends the process.
pub(super) fn may_recreate(txn: &mut TxnRequest) -> bool {
    let deleted = deletions(txn);
    let mut found = false;
    visit(txn, &mut |op| {
        if let Some(Request::RequestPut(put)) = &op.request {
            found |= deleted.iter().any(|range| range.contains(&put.key));
        }
    });
    found
}

fn deletions(txn: &mut TxnRequest) -> Vec<KeyRange> {
    let mut deleted = Vec::new();
    visit(txn, &mut |op| {
        if let Some(Request::RequestDeleteRange(delete)) = &op.request {
            deleted.push(KeyRange::new(delete.key.clone(), delete.range_end.clone()));
        }
    });
    deleted
}

fn visit(txn: &mut TxnRequest, look: &mut impl FnMut(&mut RequestOp)) {
    for op in txn.success.iter_mut().chain(&mut txn.failure) {
        look(op);
        if let Some(Request::RequestTxn(inner)) = &mut op.request {
            visit(inner, look);
        }
    }
}

/// Revisions whose hash etcd does not compute when asked but takes from its last ten compactions:
/// that hash leaves out what only the compaction before it decides.
#[derive(Debug, Default)]
pub(super) struct CachedHashes(VecDeque<i64>);

impl CachedHashes {
    /// Takes note of a compaction.
    pub(super) fn compacted(&mut self, revision: i64) {
        self.0.push_back(revision);
        if self.0.len() > 10 {
            self.0.pop_front();
        }
    }

    /// Whether a hash at this revision is not compared.
    pub(super) fn holds(&self, revision: i64) -> bool {
        self.0.contains(&revision)
    }
}

/// The first compaction of etcd may be at revision zero, and it then takes the hash of that one for
/// the hash of the newest revision ever after.
pub(super) fn spoils_hashes(request: &CompactionRequest, compacted: i64) -> bool {
    compacted < 0 && request.revision == 0
}

/// A watcher from revision -1 counts as not compacted before the first compaction, but etcd then reads
/// no history for it, and misses what is written until it is done with that.
pub(super) fn loses_events(request: &WatchCreateRequest, compacted: i64) -> bool {
    request.start_revision == -1 && compacted == -1
}

/// Whether etcd might do after a crash what it refused. When it plays its log again nobody waits for
/// answers, so it takes the ranges out of transactions; one that was refused because of the revision of
/// a range is then carried out.
pub(super) fn may_succeed_after_a_crash(refusal: &Status) -> bool {
    refusal.code() == Code::OutOfRange
}

/// Elements that are equal where they are sorted come in no promised order from a sort that is not
/// stable, and a limit may keep any of the last of them. They are put in the order of their keys, and
/// of those a limit may have chosen from only the number is kept.
pub(super) fn order_ties(request: &RangeRequest, answer: &mut RangeResponse) {
    if request.sort_target == 0 || answer.count <= STABLE {
        return;
    }
    let equal = |a: &KeyValue, b: &KeyValue| match request.sort_target {
        VERSION => a.version == b.version,
        CREATE => a.create_revision == b.create_revision,
        MOD => a.mod_revision == b.mod_revision,
        // Without values nobody can tell which of them were equal.
        VALUE => request.keys_only || a.value == b.value,
        _ => false,
    };
    for run in answer.kvs.chunk_by_mut(equal) {
        run.sort_by(|a, b| a.key.cmp(&b.key));
    }
    if answer.more
        && let Some(last) = answer.kvs.chunk_by_mut(equal).last()
    {
        for kv in last {
            let sorted_by = kv.clone();
            *kv = KeyValue::default();
            match request.sort_target {
                VERSION => kv.version = sorted_by.version,
                CREATE => kv.create_revision = sorted_by.create_revision,
                MOD => kv.mod_revision = sorted_by.mod_revision,
                _ => kv.value = sorted_by.value,
            }
        }
    }
}

/// [`order_ties`] for every range of a transaction.
pub(super) fn order_ties_within(request: &TxnRequest, answer: &mut TxnResponse) {
    let branch = if answer.succeeded { &request.success } else { &request.failure };
    for (op, response) in branch.iter().zip(&mut answer.responses) {
        match (&op.request, &mut response.response) {
            (Some(Request::RequestRange(range)), Some(Response::ResponseRange(answer))) => {
                order_ties(range, answer);
            }
            (Some(Request::RequestTxn(txn)), Some(Response::ResponseTxn(answer))) => {
                order_ties_within(txn, answer);
            }
            _ => {}
        }
    }
}
