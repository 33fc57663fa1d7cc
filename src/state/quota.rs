//! The space quota: what a request costs, and whether there is room for it.

use crate::proto::etcdserverpb::request_op::Request as Inner;
use crate::proto::etcdserverpb::{PutRequest, RequestOp, TxnRequest};
use crate::proto::internal::request::Op;

/// The quota when none is set: 2 GiB.
pub const DEFAULT_BYTES: u64 = 2 << 30;
/// What a key costs beside its own bytes and its value's.
const KEY_COST: u64 = 256;
/// What a lease costs.
const LEASE_COST: u64 = 64;

/// What a lease that is held takes: its place in the tables of leases and of deadlines. Leases are no
/// records, so without it nothing would bound their number.
const HELD_LEASE: u64 = 256;

/// What counts against the quota: live bytes of records, and the leases.
pub(super) fn used(live: u64, leases: usize) -> u64 {
    live.saturating_add((leases as u64).saturating_mul(HELD_LEASE))
}

/// The quota in bytes that a setting means: zero is the default, below zero is no limit.
pub fn bytes(setting: i64) -> u64 {
    match setting {
        0 => DEFAULT_BYTES,
        set => u64::try_from(set).unwrap_or(u64::MAX),
    }
}

/// Bytes a request is reckoned to add; zero for what never needs room.
pub fn cost(op: &Op) -> u64 {
    match op {
        Op::Put(put) => put_cost(put),
        Op::Txn(txn) => txn_cost(txn),
        Op::LeaseGrant(_) => LEASE_COST,
        _ => 0,
    }
}

/// Bytes a transaction is reckoned to add: the dearer of its branches. Nested transactions count,
/// or wrapping a put into one would get it past the quota.
pub(super) fn txn_cost(txn: &TxnRequest) -> u64 {
    branch_cost(&txn.success).max(branch_cost(&txn.failure))
}

fn branch_cost(ops: &[RequestOp]) -> u64 {
    let cost = |op: &RequestOp| match &op.request {
        Some(Inner::RequestPut(put)) => put_cost(put),
        Some(Inner::RequestTxn(txn)) => txn_cost(txn),
        _ => 0,
    };
    ops.iter().map(cost).sum()
}

fn put_cost(put: &PutRequest) -> u64 {
    KEY_COST + (put.key.len() + put.value.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(value: &'static str) -> RequestOp {
        let put = PutRequest { key: "k".into(), value: value.into(), ..Default::default() };
        RequestOp { request: Some(Inner::RequestPut(put)) }
    }

    #[test]
    fn a_transaction_costs_as_much_as_its_dearer_branch() {
        let inner = TxnRequest { success: vec![put("12345")], ..Default::default() };
        let nested = RequestOp { request: Some(Inner::RequestTxn(inner)) };
        let txn = TxnRequest {
            compare: vec![],
            success: vec![put("1"), put("22")],
            failure: vec![put("1"), put("22"), nested],
        };
        assert_eq!(cost(&Op::Txn(txn)), 3 * 257 + 1 + 2 + 5);
        assert_eq!(cost(&Op::Compaction(Default::default())), 0);
    }

    #[test]
    fn settings_mean_what_etcd_says() {
        assert_eq!((bytes(0), bytes(-1), bytes(7)), (2 << 30, u64::MAX, 7));
    }
}
