//! Clients that each wait for an answer before they ask again, and what they see.

use std::future::Future;
use std::time::{Duration, Instant};

use etcd::types::clock::Clock;
use tokio::task::JoinSet;

use crate::Error;
use crate::figures::{Figure, Sample};
use crate::options::Scale;
use crate::process::Usage;
use crate::server::Server;

/// One of the clients in flight.
pub(crate) trait Client: Send + 'static {
    /// Asks once and waits for the answer. What it tells counts as the latency; if it tells
    /// nothing, the time it took does.
    fn step(&mut self) -> impl Future<Output = Result<Option<Duration>, Error>> + Send;
}

/// Lets the clients work, first without counting, and sums up. One step counts as `weight`
/// operations.
///
/// # Errors
/// The first error of a client, or the end of the server.
pub(crate) async fn measure<C: Client>(
    server: &Server,
    scale: &Scale,
    clients: Vec<C>,
    weight: usize,
) -> Result<Sample, Error> {
    let (clients, _) = drive(clients, scale.warm_up).await?;
    let (server_before, own_before) = (server.usage()?, Usage::of("self")?);
    let start = Clock.now();
    let (_clients, mut latencies) = drive(clients, scale.length).await?;
    let seconds = start.elapsed().as_secs_f64();
    let (server_after, own_after) = (server.usage()?, Usage::of("self")?);
    latencies.sort_unstable();
    let operations = (latencies.len() * weight) as f64;
    let spent = |before: &Usage, after: &Usage| (after.cpu - before.cpu).as_secs_f64();
    let server_cpu = spent(&server_before, &server_after);
    Ok(Sample::from([
        (Figure::Rate, operations / seconds),
        (Figure::P50, percentile(&latencies, 0.5)),
        (Figure::P99, percentile(&latencies, 0.99)),
        (Figure::P999, percentile(&latencies, 0.999)),
        (Figure::Cpu, server_cpu * 1e6 / operations.max(1.0)),
        (Figure::Peak, server_after.peak as f64 / 1e6),
        (Figure::ServerBusy, server_cpu / seconds),
        (Figure::ClientBusy, spent(&own_before, &own_after) / seconds),
    ]))
}

/// Lets the clients work for so long and collects their latencies in microseconds.
async fn drive<C: Client>(clients: Vec<C>, length: Duration) -> Result<(Vec<C>, Vec<u32>), Error> {
    let end = Clock.now() + length;
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(work(client, end));
    }
    let (mut clients, mut latencies) = (Vec::new(), Vec::new());
    while let Some(task) = tasks.join_next().await {
        let (client, seen) = task??;
        clients.push(client);
        latencies.extend(seen);
    }
    Ok((clients, latencies))
}

async fn work<C: Client>(mut client: C, end: Instant) -> Result<(C, Vec<u32>), Error> {
    let mut latencies = Vec::new();
    loop {
        let start = Clock.now();
        if start >= end {
            return Ok((client, latencies));
        }
        let took = client.step().await?.unwrap_or_else(|| start.elapsed());
        latencies.push(took.as_micros().try_into().unwrap_or(u32::MAX));
    }
}

/// The latency that this share of the requests stayed under.
fn percentile(sorted: &[u32], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share) as usize;
    let value = sorted.get(rank.min(sorted.len().saturating_sub(1)));
    value.copied().map_or(f64::NAN, f64::from)
}
