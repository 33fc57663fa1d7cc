//! Faults while clients write and watch. After each of them the cluster must have one leader soon,
//! every write it acknowledged, one history, and the same state everywhere.

mod absence;
mod calm;
mod deaths;
mod disk;
mod network;
mod pauses;
mod replacement;

use std::time::Duration;

use etcd::types::clock::Clock;

use super::linearizability::Workload;
use crate::support::cluster::{Cluster, Plan};
use crate::support::random::Random;

/// Writes before and after each fault, so that it falls into the middle of something.
const AROUND: usize = 30;
/// A leader must be there after so many election timeouts.
const ELECTIONS: u32 = 10;

/// How often each fault is played: `ETCD_FAULT_ROUNDS`, once by default.
fn rounds() -> usize {
    number("ETCD_FAULT_ROUNDS").map_or(1, |rounds| usize::try_from(rounds).unwrap())
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// A cluster that suffers one fault after the other.
struct Trial {
    cluster: Cluster,
    random: Random,
    seed: u64,
    played: usize,
}

impl Trial {
    /// Starts the cluster; `ETCD_FAULT_SEED` chooses the same again.
    async fn start(plan: Plan) -> Self {
        Self::of(Cluster::start(plan).await)
    }

    /// The same with a cluster that serves already.
    fn of(cluster: Cluster) -> Self {
        let fresh = || u64::try_from(Clock.unix().as_micros()).unwrap();
        let seed = number("ETCD_FAULT_SEED").unwrap_or_else(fresh);
        eprintln!("ETCD_FAULT_SEED={seed}");
        Self { cluster, random: Random::new(seed), seed, played: 0 }
    }

    /// Plays a fault, which must be over when `fault` returns, and looks at what it left.
    async fn endures(
        &mut self,
        name: &str,
        fault: impl AsyncFnOnce(&mut Cluster, &Workload, &mut Random),
    ) {
        self.played += 1;
        let began = Clock.now();
        let prefix = format!("{}-{name}", self.played);
        let workload = Workload::start(&self.cluster, &prefix, self.seed).await;
        workload.progress(AROUND).await;
        fault(&mut self.cluster, &workload, &mut self.random).await;
        let over = Clock.now();
        let leader = self.cluster.leader().await;
        let took = over.elapsed();
        let allowed = self.cluster.election_timeout() * ELECTIONS;
        assert!(took <= allowed, "{name}: no leader for {took:?}");
        workload.progress(AROUND).await;
        let operations = workload.finish(&self.cluster).await;
        let all = began.elapsed();
        eprintln!(
            "{name}: member {leader} leads after {took:?}; {operations} operations in {all:?}"
        );
    }
}

/// Stands still for so long: the length of a fault, not a time to wait for something.
async fn last(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// The members besides one.
pub(super) fn others(cluster: &Cluster, one: usize) -> Vec<usize> {
    (0..cluster.members.len()).filter(|place| *place != one).collect()
}
