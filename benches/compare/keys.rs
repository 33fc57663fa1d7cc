//! Keys, values and how a store is filled with them.

use bytes::Bytes;
use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{PutRequest, RangeRequest, RequestOp, TxnRequest};
use tokio::task::JoinSet;

use crate::Error;
use crate::wire::Wire;

/// Bytes of every value.
pub(crate) const VALUE_BYTES: usize = 256;
/// Puts in one transaction while filling; etcd takes 128 at most.
const BATCH: u64 = 100;
/// Transactions in flight while filling.
const FILLERS: u64 = 16;

/// Numbers that look random and are the same in every run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next of them.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.roll() >> 11) % end.max(1)
    }

    /// A value that no compression makes smaller.
    pub(crate) fn value(&mut self) -> Bytes {
        let mut value = Vec::with_capacity(VALUE_BYTES);
        while value.len() < VALUE_BYTES {
            value.extend_from_slice(&self.roll().to_le_bytes());
        }
        value.into()
    }
}

/// What all keys begin with.
pub(crate) const PREFIX: &str = "/registry/bench/";

/// The key of a number; keys are in the order of numbers.
pub(crate) fn key(number: u64) -> Bytes {
    format!("{PREFIX}{number:016}").into()
}

/// A put of a new value.
pub(crate) fn put(number: u64, dice: &mut Dice) -> PutRequest {
    PutRequest { key: key(number), value: dice.value(), ..PutRequest::default() }
}

/// A linearizable get.
pub(crate) fn get(number: u64) -> RangeRequest {
    RangeRequest { key: key(number), ..RangeRequest::default() }
}

/// All keys from one number up to another.
pub(crate) fn between(from: u64, to: u64) -> RangeRequest {
    RangeRequest { key: key(from), range_end: key(to), ..RangeRequest::default() }
}

/// Writes every key below `keys` once; tells the newest revision seen.
///
/// # Errors
/// If a write fails.
pub(crate) async fn fill(wires: &[Wire], keys: u64) -> Result<i64, Error> {
    let mut tasks = JoinSet::new();
    for filler in 0..FILLERS {
        let wire = wires.get(filler as usize % wires.len()).ok_or("no connection")?;
        tasks.spawn(fill_part(wire.clone(), filler, keys));
    }
    let mut newest = 0;
    while let Some(task) = tasks.join_next().await {
        newest = newest.max(task??);
    }
    Ok(newest)
}

async fn fill_part(wire: Wire, filler: u64, keys: u64) -> Result<i64, Error> {
    let mut client = wire.kv();
    let mut dice = Dice::new(filler);
    let mut newest = 0;
    for batch in (filler..keys.div_ceil(BATCH)).step_by(FILLERS as usize) {
        let numbers = batch * BATCH..((batch + 1) * BATCH).min(keys);
        let puts = numbers.map(|number| Request::RequestPut(put(number, &mut dice)));
        let success = puts.map(|put| RequestOp { request: Some(put) }).collect();
        let answer = client.txn(TxnRequest { success, ..TxnRequest::default() }).await?;
        newest = answer.into_inner().header.map_or(newest, |header| header.revision);
    }
    Ok(newest)
}
