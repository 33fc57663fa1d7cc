//! A big store: how fast it fills, what it weighs, how it answers, how soon it is back after a
//! restart, and whether compaction and defragmentation make anybody wait.

use std::time::Duration;

use etcd::proto::etcdserverpb::{CompactionRequest, DefragmentRequest};
use etcd::types::clock::Clock;
use rustix::process::Signal;

use crate::Error;
use crate::figures::{Figure, Sample};
use crate::identity::Identity;
use crate::keys;
use crate::options::Options;
use crate::requests::{self, Ask};
use crate::server::Server;
use crate::stall;
use crate::wire::Wire;

const CONNECTIONS: usize = 2;
const RANGES_IN_FLIGHT: usize = 4;
const GETS_IN_FLIGHT: usize = 100;

/// Rows of the report by name and clients in flight; the one without clients holds what is no request.
pub(crate) type Rows = Vec<(String, usize, Sample)>;

/// Fills the server with `keys` keys and looks at everything that a large store may make slow.
pub(crate) async fn run(
    keys: u64,
    server: &mut Server,
    identity: &Identity,
    options: &Options,
) -> Result<Rows, Error> {
    let mut facts = Sample::new();
    let mut wires = server.connect(identity, CONNECTIONS).await?;
    let loaded = load(keys, &wires, server, options.quick, &mut facts).await?;
    let scale = &options.scale;
    let count = requests::run_on(Ask::Count, 1, &wires, keys, server, scale).await?;
    let hot = requests::run_on(Ask::Range, RANGES_IN_FLIGHT, &wires, keys, server, scale).await?;

    facts.insert(Figure::Restart, millis(server.restart(Signal::TERM, identity).await?));
    wires = server.connect(identity, CONNECTIONS).await?;
    let again = server.settle(options.quick).await?;
    facts.insert(Figure::ResidentAgain, again.resident as f64 / 1e6);
    let cold = requests::run_on(Ask::Range, RANGES_IN_FLIGHT, &wires, keys, server, scale).await?;
    let far = requests::run_on(Ask::Get, GETS_IN_FLIGHT, &wires, keys, server, scale).await?;
    facts.insert(Figure::RestartKilled, millis(server.restart(Signal::KILL, identity).await?));

    wires = server.connect(identity, CONNECTIONS).await?;
    upkeep(keys, loaded, &wires, scale.length, &mut facts).await?;
    let name = |what: &str| format!("{what} {}", grouped(keys));
    Ok(vec![
        (name("count of"), 1, count),
        (name("range of 1,000 in"), RANGES_IN_FLIGHT, hot),
        (name("range of 1,000 after a restart in"), RANGES_IN_FLIGHT, cold),
        (name("get after a restart in"), GETS_IN_FLIGHT, far),
        (format!("{} keys", grouped(keys)), 0, facts),
    ])
}

/// Fills the server and weighs it.
pub(crate) async fn fill(
    keys: u64,
    server: &Server,
    identity: &Identity,
    quick: bool,
) -> Result<Sample, Error> {
    let mut facts = Sample::new();
    let wires = server.connect(identity, CONNECTIONS).await?;
    load(keys, &wires, server, quick, &mut facts).await?;
    Ok(facts)
}

/// Writes every key once and weighs the server; tells the revision reached.
async fn load(
    keys: u64,
    wires: &[Wire],
    server: &Server,
    quick: bool,
    facts: &mut Sample,
) -> Result<i64, Error> {
    let (before, start) = (server.usage()?, Clock.now());
    let revision = keys::fill(wires, keys).await?;
    let rate = keys as f64 / start.elapsed().as_secs_f64();
    let cpu = (server.usage()?.cpu - before.cpu).as_secs_f64();
    let settled = server.settle(quick).await?;
    facts.extend([
        (Figure::LoadRate, rate),
        (Figure::LoadCpu, cpu * 1e6 / keys as f64),
        (Figure::Resident, settled.resident as f64 / 1e6),
        (Figure::Anonymous, settled.anonymous as f64 / 1e6),
        (Figure::Peak, settled.peak as f64 / 1e6),
    ]);
    Ok(revision)
}

/// Writes every key once more, compacts what was there before, and defragments; others write on.
async fn upkeep(
    keys: u64,
    loaded: i64,
    wires: &[Wire],
    quiet: Duration,
    facts: &mut Sample,
) -> Result<(), Error> {
    let wire = wires.first().ok_or("no connection")?;
    keys::fill(wires, keys).await?;
    let nothing = async {
        tokio::time::sleep(quiet).await;
        Ok(())
    };
    facts.insert(Figure::QuietGap, millis(stall::during(wires, nothing).await?.gap));
    let compaction = stall::during(wires, async {
        let request = CompactionRequest { revision: loaded, physical: true };
        wire.kv().compact(request).await?;
        Ok(())
    });
    let compaction = compaction.await?;
    let defrag = stall::during(wires, async {
        wire.maintenance().defragment(DefragmentRequest {}).await?;
        // Whoever answers before the work is done is watched while doing it.
        tokio::time::sleep(quiet).await;
        Ok(())
    });
    let defrag = defrag.await?;
    facts.extend([
        (Figure::CompactionTook, compaction.took.as_secs_f64()),
        (Figure::CompactionGap, millis(compaction.gap)),
        (Figure::CompactionFailed, compaction.failed as f64),
        (Figure::DefragTook, defrag.took.saturating_sub(quiet).as_secs_f64()),
        (Figure::DefragGap, millis(defrag.gap)),
        (Figure::DefragFailed, defrag.failed as f64),
    ]);
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A number with commas, as people read it.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
