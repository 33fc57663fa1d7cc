//! What a request must be before anyone is asked about it. Pure functions of the request.

use std::collections::{BTreeMap, HashSet};

use crate::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A key that must be given is empty.
    #[error("a key is empty")]
    EmptyKey,
    /// An operation of a transaction says nothing.
    #[error("an operation of the transaction is empty")]
    EmptyOperation,
    /// A put keeps the old value and brings one.
    #[error("a put that keeps the value brings one")]
    ValueProvided,
    /// A put keeps the old lease and brings one.
    #[error("a put that keeps the lease brings one")]
    LeaseProvided,
    /// A transaction, or one inside it, is longer than allowed.
    #[error("the transaction has too many operations")]
    TooManyOps,
    /// One branch would write a key twice.
    #[error("a branch of the transaction writes a key twice")]
    DuplicateKey,
    /// A sort order or target nobody knows.
    #[error("the sort order or target is not a known one")]
    InvalidSortOption,
}

/// Checks a range request.
///
/// # Errors
/// [`CheckError::EmptyKey`], [`CheckError::InvalidSortOption`].
pub fn range(request: &RangeRequest) -> Result<(), CheckError> {
    key(&request.key)?;
    let known = SortOrder::try_from(request.sort_order).is_ok()
        && SortTarget::try_from(request.sort_target).is_ok();
    if known { Ok(()) } else { Err(CheckError::InvalidSortOption) }
}

/// Checks a put.
///
/// # Errors
/// [`CheckError::EmptyKey`], [`CheckError::ValueProvided`], [`CheckError::LeaseProvided`].
pub fn put(request: &PutRequest) -> Result<(), CheckError> {
    key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(CheckError::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(CheckError::LeaseProvided);
    }
    Ok(())
}

/// Checks a deletion.
///
/// # Errors
/// [`CheckError::EmptyKey`].
pub fn delete_range(request: &DeleteRangeRequest) -> Result<(), CheckError> {
    key(&request.key)
}

/// Checks a transaction and all those inside it.
///
/// # Errors
/// Any [`CheckError`], the first in etcd's order: the operations one by one, then duplicate keys in
/// the first branch, then in the second.
pub fn txn(request: &TxnRequest, max_ops: usize) -> Result<(), CheckError> {
    operations(request, max_ops)?;
    Writes::of(&request.success)?;
    Writes::of(&request.failure)?;
    Ok(())
}

fn key(key: &[u8]) -> Result<(), CheckError> {
    if key.is_empty() { Err(CheckError::EmptyKey) } else { Ok(()) }
}

/// A transaction inside another may have as many operations as the outer one left over; siblings do
/// not share that.
fn operations(request: &TxnRequest, budget: usize) -> Result<(), CheckError> {
    let longest = request.compare.len().max(request.success.len()).max(request.failure.len());
    let left = budget.checked_sub(longest).ok_or(CheckError::TooManyOps)?;
    request.compare.iter().try_for_each(|compare| key(&compare.key))?;
    request.success.iter().chain(&request.failure).try_for_each(|op| match &op.request {
        Some(Request::RequestRange(request)) => range(request),
        Some(Request::RequestPut(request)) => put(request),
        Some(Request::RequestDeleteRange(request)) => delete_range(request),
        Some(Request::RequestTxn(request)) => operations(request, left),
        None => Err(CheckError::EmptyOperation),
    })
}

/// The keys a branch puts and the intervals it deletes.
///
/// A key may not be put twice, nor put and deleted, whatever the order. etcd looks at a branch in
/// three passes, and what those overlook is allowed: a deletion without upper bound, and a nested put
/// before a sibling's nested deletion. Clients may rely on it, so it stays.
#[derive(Default)]
struct Writes<'a> {
    puts: HashSet<&'a [u8]>,
    deleted: Deleted<'a>,
}

impl<'a> Writes<'a> {
    fn of(branch: &'a [RequestOp]) -> Result<Self, CheckError> {
        let mut writes = Self::default();
        for op in branch {
            if let Some(Request::RequestDeleteRange(request)) = &op.request {
                writes.deleted.add(&request.key, &request.range_end);
            }
        }
        for op in branch {
            if let Some(Request::RequestTxn(request)) = &op.request {
                writes.take_in(Self::of(&request.success)?, Self::of(&request.failure)?)?;
            }
        }
        for op in branch {
            if let Some(Request::RequestPut(request)) = &op.request {
                writes.put(&request.key)?;
            }
        }
        Ok(writes)
    }

    fn put(&mut self, key: &'a [u8]) -> Result<(), CheckError> {
        if self.deleted.holds(key) || !self.puts.insert(key) {
            return Err(CheckError::DuplicateKey);
        }
        Ok(())
    }

    /// Adds the branches of a nested transaction; only one of them will run, so they may meet.
    fn take_in(&mut self, success: Self, failure: Self) -> Result<(), CheckError> {
        let only_in_failure = failure.puts.difference(&success.puts).copied().collect::<Vec<_>>();
        for key in success.puts.iter().copied().chain(only_in_failure) {
            self.put(key)?;
        }
        self.deleted.add_all(success.deleted);
        self.deleted.add_all(failure.deleted);
        Ok(())
    }
}

/// A union of intervals, kept disjoint so that a look-up costs one search.
#[derive(Default)]
struct Deleted<'a> {
    keys: HashSet<&'a [u8]>,
    /// Start to end, the end not included.
    spans: BTreeMap<&'a [u8], &'a [u8]>,
}

impl<'a> Deleted<'a> {
    fn add(&mut self, key: &'a [u8], range_end: &'a [u8]) {
        if range_end.is_empty() {
            self.keys.insert(key);
        } else if key < range_end {
            self.add_span(key, range_end);
        }
    }

    fn add_span(&mut self, mut start: &'a [u8], mut end: &'a [u8]) {
        while let Some((&other_start, &other_end)) = self.spans.range(..=end).next_back()
            && other_end >= start
        {
            self.spans.remove(other_start);
            start = start.min(other_start);
            end = end.max(other_end);
        }
        self.spans.insert(start, end);
    }

    fn add_all(&mut self, other: Self) {
        self.keys.extend(other.keys);
        for (start, end) in other.spans {
            self.add_span(start, end);
        }
    }

    fn holds(&self, key: &[u8]) -> bool {
        let span = self.spans.range(..=key).next_back();
        self.keys.contains(key) || span.is_some_and(|(_, end)| key < *end)
    }
}

#[cfg(test)]
mod tests;
