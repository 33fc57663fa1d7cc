//! The plain requests: put, get, range and count over a store of a known number of keys.

use std::time::Duration;

use etcd::proto::etcdserverpb::RangeRequest;
use etcd::proto::etcdserverpb::kv_client::KvClient;

use crate::Error;
use crate::figures::Sample;
use crate::identity::Identity;
use crate::keys::{self, Dice};
use crate::measure::{Client, measure};
use crate::options::Scale;
use crate::server::Server;
use crate::wire::Wire;

/// Keys of a store that nothing says more about.
const KEYS: u64 = 10_000;
/// Keys of one range.
pub(crate) const RANGE: u64 = 1_000;

/// What one request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Overwrites a key.
    Put,
    /// Reads a key as it is now.
    Get,
    /// Reads a key as this member knows it.
    Serializable,
    /// Reads [`RANGE`] neighbours.
    Range,
    /// Counts all keys.
    Count,
}

/// Fills a fresh server and asks it.
pub(crate) async fn run(
    ask: Ask,
    (in_flight, connections): (usize, usize),
    server: &Server,
    identity: &Identity,
    scale: &Scale,
) -> Result<Sample, Error> {
    let wires = server.connect(identity, connections).await?;
    keys::fill(&wires, KEYS).await?;
    for wire in &wires {
        // What a member reads by itself may be behind; this it answers once it is not.
        wire.kv().range(keys::get(0)).await?;
    }
    run_on(ask, in_flight, &wires, KEYS, server, scale).await
}

/// Asks a server that holds `keys` keys.
pub(crate) async fn run_on(
    ask: Ask,
    in_flight: usize,
    wires: &[Wire],
    keys: u64,
    server: &Server,
    scale: &Scale,
) -> Result<Sample, Error> {
    let clients = (0..in_flight).zip(wires.iter().cycle()).map(|(number, wire)| {
        let (kv, dice) = (wire.kv(), Dice::new(number as u64 + 1));
        One { ask, kv, keys, dice }
    });
    measure(server, scale, clients.collect(), 1).await
}

struct One {
    ask: Ask,
    kv: KvClient<Wire>,
    keys: u64,
    dice: Dice,
}

impl Client for One {
    async fn step(&mut self) -> Result<Option<Duration>, Error> {
        match self.ask {
            Ask::Put => {
                let number = self.dice.below(self.keys);
                self.kv.put(keys::put(number, &mut self.dice)).await?;
            }
            Ask::Get => self.read(1, keys::get).await?,
            Ask::Serializable => {
                let ask = |from| RangeRequest { serializable: true, ..keys::get(from) };
                self.read(1, ask).await?;
            }
            Ask::Range => self.read(RANGE, |from| keys::between(from, from + RANGE)).await?,
            Ask::Count => {
                let ask = |_| RangeRequest { count_only: true, ..keys::between(0, u64::MAX / 8) };
                self.read(self.keys, ask).await?;
            }
        }
        Ok(None)
    }
}

impl One {
    /// Reads so many keys somewhere and makes sure that they came.
    async fn read(&mut self, many: u64, ask: impl Fn(u64) -> RangeRequest) -> Result<(), Error> {
        let from = self.dice.below(self.keys - many + 1);
        let request = ask(from);
        let expected = if request.count_only { 0 } else { many };
        let answer = self.kv.range(request).await?.into_inner();
        if answer.count as u64 != many || answer.kvs.len() as u64 != expected {
            let (count, sent) = (answer.count, answer.kvs.len());
            return Err(format!("{many} keys from {from}: {count} counted, {sent} sent").into());
        }
        Ok(())
    }
}
