//! The client's side: so many requests in flight over so many connections, each timed.

use std::time::{Duration, Instant};

use etcd::client::Transport;
use etcd::proto::etcdserverpb::kv_client::KvClient;
use etcd::proto::etcdserverpb::{PutRequest, RangeRequest};
use etcd::types::clock::Clock;
use tokio::task::JoinSet;

use crate::server::{Identity, Server, Usage};

type Error = Box<dyn std::error::Error + Send + Sync>;

const VALUE_BYTES: usize = 256;
const KEYS: u64 = 10_000;
const WARM_UP: Duration = Duration::from_millis(700);

/// What one request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Overwrites one of [`KEYS`] keys.
    Put,
    /// Reads one of [`KEYS`] keys that exist.
    Get,
}

/// One row of the table.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
    pub(crate) load: Load,
}

/// What one run showed.
pub(crate) struct Measured {
    /// Requests answered per second.
    pub(crate) rate: f64,
    /// Latencies in microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
    /// What the server spent meanwhile.
    pub(crate) usage: Usage,
}

impl Measured {
    /// The latency that this share of the requests stayed under, in microseconds.
    pub(crate) fn percentile(&self, share: f64) -> u32 {
        let rank = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(rank.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or(0)
    }

    /// Server CPU per request, in microseconds.
    pub(crate) fn cpu_per_request(&self) -> f64 {
        self.usage.cpu.as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64
    }
}

/// Plays a workload on a server for so long, after a warm-up that is not counted.
pub(crate) async fn run(
    workload: &Workload,
    server: &Server,
    identity: &Identity,
    length: Duration,
) -> Result<Measured, Error> {
    let mut clients = Vec::new();
    for _ in 0..workload.connections {
        clients.push(identity.connect(server.address()).await?.kv());
    }
    if workload.load == Load::Get {
        fill(&clients).await?;
    }
    drive(workload, &clients, WARM_UP).await?;
    let before = server.usage()?;
    let start = Clock.now();
    let mut latencies = drive(workload, &clients, length).await?;
    let took = start.elapsed();
    let usage = server.usage()?.since(&before);
    latencies.sort_unstable();
    Ok(Measured { rate: latencies.len() as f64 / took.as_secs_f64(), latencies, usage })
}

async fn fill(clients: &[KvClient<Transport>]) -> Result<(), Error> {
    let mut tasks = JoinSet::new();
    for part in 0..64 {
        let mut client = clients.first().ok_or("no connection")?.clone();
        tasks.spawn(async move {
            for number in (part..KEYS).step_by(64) {
                client.put(put(number)).await?;
            }
            Ok::<(), Error>(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

async fn drive(
    workload: &Workload,
    clients: &[KvClient<Transport>],
    length: Duration,
) -> Result<Vec<u32>, Error> {
    let end = Clock.now() + length;
    let mut tasks = JoinSet::new();
    for number in 0..workload.in_flight {
        let client = clients.get(number % clients.len()).ok_or("no connection")?.clone();
        tasks.spawn(one_client(client, workload.load, number as u64, end));
    }
    let mut latencies = Vec::new();
    while let Some(task) = tasks.join_next().await {
        latencies.extend(task??);
    }
    Ok(latencies)
}

async fn one_client(
    mut client: KvClient<Transport>,
    load: Load,
    seed: u64,
    end: Instant,
) -> Result<Vec<u32>, Error> {
    let mut latencies = Vec::new();
    let mut state = seed + 1;
    loop {
        let start = Clock.now();
        if start >= end {
            return Ok(latencies);
        }
        // A linear congruential step scatters the keys.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (state >> 33) % KEYS;
        match load {
            Load::Put => drop(client.put(put(number)).await?),
            Load::Get => {
                let found = client.range(get(number)).await?.into_inner().kvs.len();
                if found != 1 {
                    return Err(format!("key {number} was found {found} times").into());
                }
            }
        }
        latencies.push(start.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
    }
}

fn key(number: u64) -> bytes::Bytes {
    format!("/registry/bench/{number:016}").into()
}

fn put(number: u64) -> PutRequest {
    let value = vec![b'v'; VALUE_BYTES].into();
    PutRequest { key: key(number), value, ..PutRequest::default() }
}

fn get(number: u64) -> RangeRequest {
    RangeRequest { key: key(number), ..RangeRequest::default() }
}
