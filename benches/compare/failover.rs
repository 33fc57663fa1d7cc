//! How long nobody can write when the leader dies.

use std::time::{Duration, Instant};

use etcd::types::clock::Clock;
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::Error;
use crate::figures::{Figure, Sample};
use crate::identity::Identity;
use crate::keys::{self, Dice};
use crate::server::Server;
use crate::wire::Wire;

/// A new put is begun so often: those begun while nobody leads may wait for their end in vain.
const BEAT: Duration = Duration::from_millis(5);
/// Nobody waits longer for a new leader.
const LONGEST: Duration = Duration::from_secs(60);

/// Kills the leader so often, each time with all members there, and waits for the first put that the
/// others acknowledge.
pub(crate) async fn run(
    kills: usize,
    server: &mut Server,
    identity: &Identity,
) -> Result<Sample, Error> {
    let mut gaps = Vec::new();
    for _ in 0..kills {
        let leader = server.leader(identity).await?;
        let others = server.connect_others(identity, leader).await?;
        first_put(&others, Clock.now()).await?;
        let start = Clock.now();
        server.end(leader, Signal::KILL)?;
        gaps.push(first_put(&others, start).await?.as_secs_f64() * 1e3);
        server.revive(leader)?;
        // Only a member that has caught up makes the next death one of three again.
        first_put(&server.connect(identity, 3).await?, Clock.now()).await?;
    }
    gaps.sort_by(f64::total_cmp);
    let middle = gaps.get(gaps.len() / 2).copied().unwrap_or(f64::NAN);
    let worst = gaps.last().copied().unwrap_or(f64::NAN);
    Ok(Sample::from([(Figure::Failover, middle), (Figure::FailoverWorst, worst)]))
}

/// The time from `start` until the first of many puts is acknowledged.
async fn first_put(wires: &[Wire], start: Instant) -> Result<Duration, Error> {
    let mut puts = JoinSet::new();
    let mut beat = tokio::time::interval(BEAT);
    let mut begun = 0;
    while start.elapsed() < LONGEST {
        tokio::select! {
            Some(done) = puts.join_next() => if done? { return Ok(start.elapsed()) },
            _ = beat.tick() => {
                for wire in wires {
                    begun += 1;
                    let mut client = wire.kv();
                    let put = keys::put(begun % 100, &mut Dice::new(begun));
                    puts.spawn(async move { client.put(put).await.is_ok() });
                }
            }
        }
    }
    Err(format!("no put was acknowledged within {LONGEST:?}").into())
}
