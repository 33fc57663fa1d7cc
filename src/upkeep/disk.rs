//! Watches the disks: whether there is room, whether the log is synced in time, whether it failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::consensus::Node;
use crate::storage::space::{Room, Space};
use crate::storage::wal::Wal;
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::{IntCounter, IntGauge, Registry};
use crate::types::clock::Clock;

/// How often the disks are looked at, at least.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long a slow sync is remembered: a disk that was slow once will be again.
const REMEMBERED: Duration = Duration::from_secs(10);

/// What the watch over the disks needs.
pub struct DiskParts {
    /// The room there is.
    pub space: Space,
    /// The log.
    pub wal: Wal,
    /// A sync that takes longer costs a leader its office.
    pub election: Duration,
    /// Starts the task, and is told when the log fails.
    pub supervisor: Supervisor,
    /// Takes the metrics.
    pub registry: Registry,
    /// Tells the time.
    pub clock: Clock,
    /// Hands leadership over when this member's disk is too slow for it.
    pub node: Node,
}

/// What is known about the disks. Clones share it.
#[derive(Clone)]
pub struct DiskWatch {
    space: Space,
    slow: Arc<Mutex<Option<Slow>>>,
}

#[derive(Clone, Copy)]
struct Slow {
    took: Duration,
    until: Instant,
}

impl DiskWatch {
    /// Starts watching.
    pub fn start(parts: DiskParts) -> Self {
        let watch = Self { space: parts.space.clone(), slow: Arc::default() };
        let (own, supervisor) = (watch.clone(), parts.supervisor.clone());
        let stop = supervisor.stop_token(Stage::Upkeep);
        supervisor.spawn("disk", Stage::Upkeep, async move {
            tokio::select! {
                () = stop.stopped() => {}
                () = own.run(parts) => {}
            }
        });
        watch
    }

    /// How much room there is; costs a load.
    pub fn room(&self) -> Room {
        self.space.room()
    }

    /// How long a sync of the log takes or took lately, if that is longer than the election timeout.
    pub fn slow(&self) -> Option<Duration> {
        self.slow.lock().map(|slow| slow.took)
    }

    async fn run(&self, parts: DiskParts) {
        let metrics = Metrics::new(&parts.registry);
        let mut interval = tokio::time::interval(INTERVAL.min(parts.election / 4));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            if let Some(error) = parts.wal.fault() {
                parts.supervisor.fail("wal", error.to_string());
                return;
            }
            self.look_at_space(&parts.wal, &metrics);
            if self.look_at_pace(&parts, &metrics) && parts.node.status().is_leader {
                let node = parts.node.clone();
                parts.supervisor.spawn("hand-over", Stage::Upkeep, async move {
                    node.hand_over().await;
                });
            }
        }
    }

    fn look_at_space(&self, wal: &Wal, metrics: &Metrics) {
        let before = self.space.room();
        self.space.log_is_short(wal.low_space());
        let now = self.space.look();
        let (free, low) = (self.space.free(), now < Room::Ample);
        if low != (metrics.low.get() == 1) {
            if low {
                tracing::warn!(free, "the disk is nearly full; writes are refused until it is not");
            } else {
                tracing::info!(free, ?before, "there is room on the disk; writes are accepted");
            }
        }
        metrics.low.set(i64::from(low));
        metrics.free.set(i64::try_from(free).unwrap_or(i64::MAX));
    }

    /// Looks whether the log is synced in time; true when it begins not to be. Once for each time: a
    /// disk that all members share makes none of them a better leader.
    fn look_at_pace(&self, parts: &DiskParts, metrics: &Metrics) -> bool {
        let (now, took) = (parts.clock.now(), parts.wal.slowest_sync());
        let mut slow = self.slow.lock();
        let begins = slow.is_none() && took > parts.election;
        if took > parts.election {
            if begins {
                metrics.episodes.inc();
                tracing::warn!(
                    took = ?took,
                    "election-timeout" = ?parts.election,
                    "the disk is slower than the election timeout: a leader would lose its office"
                );
            }
            *slow = Some(Slow { took, until: now + REMEMBERED });
        } else if slow.is_some_and(|slow| slow.until <= now) {
            *slow = None;
            tracing::info!("the disk keeps up with the election timeout again");
        }
        metrics.slow.set(i64::from(slow.is_some()));
        begins
    }
}

struct Metrics {
    free: IntGauge,
    low: IntGauge,
    slow: IntGauge,
    episodes: IntCounter,
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        Self {
            free: registry.gauge(
                "etcd_rs_disk_free_bytes",
                "Bytes free for the data directory, on the disk that has less.",
            ),
            low: registry
                .gauge("etcd_rs_disk_space_low", "1 while writes are refused for lack of disk space."),
            slow: registry.gauge(
                "etcd_rs_disk_slow",
                "1 while a sync of the log takes, or took lately, longer than the election timeout.",
            ),
            episodes: registry.counter(
                "etcd_rs_disk_slow_total",
                "How often the disk became slower than the election timeout.",
            ),
        }
    }
}
