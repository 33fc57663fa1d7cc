//! The conditions of transactions.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::proto::etcdserverpb::Compare;
use crate::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::state::error::ReadError;
use crate::state::mvcc::index::KeyMeta;
use crate::state::mvcc::read::View;
use crate::state::mvcc::record::Fetch;
use crate::types::range::KeyRange;

/// Whether a condition holds for every existing key of its range. A range without keys is compared
/// like a key that does not exist: numbers are zero, and no comparison of values holds.
pub(super) fn holds(
    view: View<'_>,
    source: &impl Fetch,
    compare: &Compare,
) -> Result<bool, ReadError> {
    if compare.target == CompareTarget::Value as i32 {
        return value_holds(view, source, compare);
    }
    let wanted = operand(compare);
    let mut exists = false;
    let mut holds = true;
    visit(view, compare, |meta| {
        exists = true;
        holds = judge(compare.result, number(compare, &meta).cmp(&wanted));
        if holds { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    Ok(if exists { holds } else { judge(compare.result, 0.cmp(&wanted)) })
}

fn value_holds(view: View<'_>, source: &impl Fetch, compare: &Compare) -> Result<bool, ReadError> {
    let mut found = Vec::new();
    visit(view, compare, |meta| {
        found.push(meta.modified);
        ControlFlow::Continue(())
    });
    let wanted = match &compare.target_union {
        Some(TargetUnion::Value(value)) => value.clone(),
        _ => Bytes::new(),
    };
    for at in &found {
        if !judge(compare.result, source.fetch_kv(*at)?.value.cmp(&wanted)) {
            return Ok(false);
        }
    }
    Ok(!found.is_empty())
}

fn visit(view: View<'_>, compare: &Compare, mut see: impl FnMut(KeyMeta) -> ControlFlow<()>) {
    match KeyRange::new(compare.key.clone(), compare.range_end.clone()) {
        KeyRange::Single(key) => {
            if let Some(meta) = view.root.get(&key) {
                let _ = see(meta);
            }
        }
        range => view.root.for_each(&range, |_, meta| see(meta)),
    }
}

/// The number of a key that a condition looks at; zero for a target nobody knows.
fn number(compare: &Compare, meta: &KeyMeta) -> i64 {
    match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Version) => meta.version,
        Ok(CompareTarget::Create) => meta.create,
        Ok(CompareTarget::Mod) => meta.modified.main,
        Ok(CompareTarget::Lease) => meta.lease,
        Ok(CompareTarget::Value) | Err(_) => 0,
    }
}

/// The number a condition compares with; zero when the request carries one for another target.
fn operand(compare: &Compare) -> i64 {
    match (CompareTarget::try_from(compare.target), &compare.target_union) {
        (Ok(CompareTarget::Version), Some(TargetUnion::Version(number)))
        | (Ok(CompareTarget::Create), Some(TargetUnion::CreateRevision(number)))
        | (Ok(CompareTarget::Mod), Some(TargetUnion::ModRevision(number)))
        | (Ok(CompareTarget::Lease), Some(TargetUnion::Lease(number))) => *number,
        _ => 0,
    }
}

/// An unknown kind of comparison always holds, as in etcd.
fn judge(result: i32, ordering: Ordering) -> bool {
    match CompareResult::try_from(result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Err(_) => true,
    }
}
