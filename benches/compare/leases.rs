//! Many leases kept alive over streams, each of which waits for its answer.

use std::time::Duration;

use etcd::proto::etcdserverpb::lease_client::LeaseClient;
use etcd::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::Error;
use crate::figures::Sample;
use crate::identity::Identity;
use crate::measure::{Client, measure};
use crate::options::Scale;
use crate::server::Server;
use crate::wire::Wire;

/// Seconds a lease lives when nobody keeps it alive.
const TTL: i64 = 60;

/// Grants the leases and keeps them alive as fast as it goes. An operation is a renewal.
pub(crate) async fn run(
    (streams, connections): (usize, usize),
    server: &Server,
    identity: &Identity,
    scale: &Scale,
) -> Result<Sample, Error> {
    let wires = server.connect(identity, connections).await?;
    let share = (scale.leases / streams) as i64;
    let mut opening = tokio::task::JoinSet::new();
    for (number, wire) in (0..streams as i64).zip(wires.iter().cycle()) {
        opening.spawn(Keeper::open(wire.lease(), number * share + 1, share));
    }
    let mut keepers = Vec::new();
    while let Some(keeper) = opening.join_next().await {
        keepers.push(keeper??);
    }
    let sample = measure(server, scale, keepers, 1).await?;
    let mut lease = wires.first().ok_or("no connection")?.lease();
    let alive = lease.lease_leases(LeaseLeasesRequest {}).await?.into_inner().leases.len();
    if alive as i64 != share * streams as i64 {
        return Err(
            format!("{alive} leases are alive, {} should be", share * streams as i64).into()
        );
    }
    Ok(sample)
}

struct Keeper {
    first: i64,
    many: i64,
    turn: i64,
    ask: mpsc::Sender<LeaseKeepAliveRequest>,
    answers: Streaming<LeaseKeepAliveResponse>,
}

impl Keeper {
    /// Grants `many` leases from `first` on, opens a stream and renews the first of them.
    async fn open(mut lease: LeaseClient<Wire>, first: i64, many: i64) -> Result<Self, Error> {
        for id in first..first + many {
            lease.lease_grant(LeaseGrantRequest { ttl: TTL, id }).await?;
        }
        let (ask, requests) = mpsc::channel(1);
        ask.send(LeaseKeepAliveRequest { id: first }).await?;
        let mut answers = lease.lease_keep_alive(ReceiverStream::new(requests)).await?.into_inner();
        answers.message().await?.ok_or("a lease stream ended early")?;
        Ok(Self { first, many, turn: 0, ask, answers })
    }
}

impl Client for Keeper {
    async fn step(&mut self) -> Result<Option<Duration>, Error> {
        let id = self.first + self.turn;
        self.turn = (self.turn + 1) % self.many;
        self.ask.send(LeaseKeepAliveRequest { id }).await?;
        let answer = self.answers.message().await?.ok_or("a lease stream ended")?;
        if (answer.id, answer.ttl) != (id, TTL) {
            return Err(
                format!("lease {id} was renewed as {} for {}", answer.id, answer.ttl).into()
            );
        }
        Ok(None)
    }
}
