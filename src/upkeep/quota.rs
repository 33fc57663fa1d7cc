//! Raises the alarm when the space quota is used up, so that every member refuses what would need
//! more. A full disk is another matter, that of [`super::disk`]: it concerns one member and passes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::alarm;
use crate::consensus::Proposer;
use crate::proto::etcdserverpb::AlarmType;
use crate::state::Reader;
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::Registry;
use crate::types::ids::MemberId;

/// How often the space is looked at without being asked.
const INTERVAL: Duration = Duration::from_secs(5);

/// What the watch over the quota needs.
pub struct QuotaParts {
    /// This member, which the alarm is about.
    pub id: MemberId,
    /// Tells sizes, quota and alarms.
    pub reader: Reader,
    /// Takes the alarm.
    pub proposer: Proposer,
    /// Starts the task.
    pub supervisor: Supervisor,
    /// Takes the metric of the quota.
    pub registry: Registry,
}

/// Watches the quota. Clones share the watch.
#[derive(Clone)]
pub struct QuotaWatch {
    refused: Arc<Notify>,
}

impl QuotaWatch {
    /// Starts watching.
    pub fn start(parts: QuotaParts) -> Self {
        parts
            .registry
            .gauge("etcd_server_quota_backend_bytes", "Space quota, in bytes.")
            .set(i64::try_from(parts.reader.quota()).unwrap_or(i64::MAX));
        let refused = Arc::new(Notify::new());
        let watch = Self { refused: Arc::clone(&refused) };
        let supervisor = parts.supervisor.clone();
        let stop = supervisor.stop_token(Stage::Upkeep);
        supervisor.spawn("quota", Stage::Upkeep, async move {
            tokio::select! {
                () = stop.stopped() => {}
                () = run(parts, refused) => {}
            }
        });
        watch
    }

    /// A request was refused for lack of space: raises the alarm, unless it is raised.
    pub fn refused(&self) {
        self.refused.notify_one();
    }
}

async fn run(parts: QuotaParts, refused: Arc<Notify>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let full = tokio::select! {
            () = refused.notified() => true,
            _ = interval.tick() => is_full(&parts),
        };
        if full && !parts.reader.alarms().is_raised(parts.id.0, AlarmType::Nospace) {
            alarm::raise(&parts.proposer, parts.id, AlarmType::Nospace).await;
        }
    }
}

fn is_full(parts: &QuotaParts) -> bool {
    parts.reader.quota_used() >= parts.reader.quota()
}
