//! A steady stream of puts, and the longest it ever stood still.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use etcd::types::clock::Clock;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::Error;
use crate::keys::{self, Dice};
use crate::wire::Wire;

/// Puts in flight.
const IN_FLIGHT: u64 = 16;
/// The puts overwrite so many keys.
const KEYS: u64 = 1_000;
/// Failures after which the stream gives up.
const MOST_FAILED: u64 = 10_000;

/// What the stream saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// How long the other work took.
    pub(crate) took: Duration,
    /// The longest time without an acknowledgement.
    pub(crate) gap: Duration,
    /// Puts that failed.
    pub(crate) failed: u64,
}

/// Puts for as long as `work` takes.
///
/// # Errors
/// If the work fails, or nearly every put.
pub(crate) async fn during<W>(wires: &[Wire], work: W) -> Result<Seen, Error>
where
    W: Future<Output = Result<(), Error>>,
{
    let pulse = Arc::new(Pulse::new());
    let mut tasks = JoinSet::new();
    for (number, wire) in (0..IN_FLIGHT).zip(wires.iter().cycle()) {
        tasks.spawn(beat(wire.clone(), number, Arc::clone(&pulse)));
    }
    let start = Clock.now();
    work.await?;
    let took = start.elapsed();
    pulse.ended.store(true, Ordering::Relaxed);
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let gap = pulse.last.lock().1;
    Ok(Seen { took, gap, failed: pulse.failed.load(Ordering::Relaxed) })
}

struct Pulse {
    /// The last acknowledgement, and the longest gap before one.
    last: Mutex<(Instant, Duration)>,
    failed: AtomicU64,
    ended: AtomicBool,
}

impl Pulse {
    fn new() -> Self {
        Self {
            last: Mutex::new((Clock.now(), Duration::ZERO)),
            failed: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    fn acknowledged(&self) {
        let now = Clock.now();
        let mut last = self.last.lock();
        last.1 = last.1.max(now.saturating_duration_since(last.0));
        last.0 = now;
    }
}

async fn beat(wire: Wire, number: u64, pulse: Arc<Pulse>) -> Result<(), Error> {
    let mut client = wire.kv();
    let mut dice = Dice::new(number + 1);
    while !pulse.ended.load(Ordering::Relaxed) {
        let number = dice.below(KEYS);
        match client.put(keys::put(number, &mut dice)).await {
            Ok(_) => pulse.acknowledged(),
            Err(status) => {
                if pulse.failed.fetch_add(1, Ordering::Relaxed) > MOST_FAILED {
                    return Err(status.into());
                }
            }
        }
    }
    Ok(())
}
