//! Revisions that mean the same place in history after steps before them were left out.
//!
//! A number near [`NEWEST`] or [`COMPACTED`] stands for the newest or the compacted revision the
//! player knows of, plus the difference. Every other number stands for itself.

use etcd::proto::etcdserverpb::compare::TargetUnion;
use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{RangeRequest, TxnRequest};

/// Stands for the newest revision.
pub(super) const NEWEST: i64 = 1 << 60;
/// Stands for the compacted revision, zero when there is none.
pub(super) const COMPACTED: i64 = 1 << 61;
/// How far a relative revision may lie from its base.
const REACH: u64 = 1 << 40;

/// What a player has learned from the answers so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Revisions {
    /// The newest revision seen in an answer.
    pub(super) newest: i64,
    /// The revision of the last successful compaction, -1 before the first.
    pub(super) compacted: i64,
}

/// A relative revision in words; `None` for a number that stands for itself.
pub(super) fn words(number: i64) -> Option<String> {
    let named = [(NEWEST, "newest"), (COMPACTED, "compacted")];
    let (base, name) = named.into_iter().find(|(base, _)| number.abs_diff(*base) < REACH)?;
    Some(format!("{name}{:+}", number - base))
}

impl Revisions {
    /// The revision a number stands for now.
    pub(super) fn resolve(&self, number: i64) -> i64 {
        for (base, known) in [(NEWEST, self.newest), (COMPACTED, self.compacted.max(0))] {
            if number.abs_diff(base) < REACH {
                return known + (number - base);
            }
        }
        number
    }

    /// Makes every revision of a range absolute.
    pub(super) fn range(&self, range: &mut RangeRequest) {
        for number in [
            &mut range.revision,
            &mut range.min_mod_revision,
            &mut range.max_mod_revision,
            &mut range.min_create_revision,
            &mut range.max_create_revision,
        ] {
            *number = self.resolve(*number);
        }
    }

    /// Makes every revision of a transaction absolute.
    pub(super) fn txn(&self, txn: &mut TxnRequest) {
        for compare in &mut txn.compare {
            if let Some(TargetUnion::ModRevision(number) | TargetUnion::CreateRevision(number)) =
                &mut compare.target_union
            {
                *number = self.resolve(*number);
            }
        }
        for op in txn.success.iter_mut().chain(&mut txn.failure) {
            match &mut op.request {
                Some(Request::RequestRange(range)) => self.range(range),
                Some(Request::RequestTxn(inner)) => self.txn(inner),
                _ => {}
            }
        }
    }
}
