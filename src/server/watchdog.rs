//! Feeds the service manager's watchdog as long as the node is alive: the consensus loop and the apply
//! thread have come round, and the log's thread is not stuck in a write or sync. A part that does not
//! answer keeps the pulse back, and the service manager ends the process.

use std::sync::Arc;
use std::time::Duration;

use crate::consensus::Node;
use crate::storage::space::{Room, Space};
use crate::storage::wal::Wal;
use crate::systemd::Notifier;
use crate::tasks::{Stage, Supervisor};

/// Whose life is looked at.
pub(super) struct Parts {
    pub(super) node: Node,
    pub(super) wal: Wal,
    pub(super) space: Space,
}

/// Starts the pulse, if the service manager asked for one.
pub(super) fn start(notifier: &Arc<Notifier>, parts: Parts, supervisor: &Supervisor) {
    let Some(interval) = notifier.watchdog_interval() else { return };
    let notifier = Arc::clone(notifier);
    let stop = supervisor.stop_token(Stage::Upkeep);
    supervisor.spawn("watchdog", Stage::Upkeep, async move {
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                () = parts.alive(interval) => notifier.ping(),
            }
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(pause(interval)) => {}
            }
        }
    });
}

impl Parts {
    /// Returns once every part has shown that it works; a member without a leader works.
    async fn alive(&self, interval: Duration) {
        tokio::select! {
            () = self.work(interval) => {}
            // It waits for space on purpose: started anew it would only wait again.
            () = self.is_full(interval) => {}
        }
    }

    async fn work(&self, interval: Duration) {
        // What has stopped says so elsewhere, and ends the process.
        let _ = self.node.comes_round().await;
        while self.wal.at_work() >= interval {
            tokio::time::sleep(pause(interval)).await;
        }
    }

    async fn is_full(&self, interval: Duration) {
        while self.space.room() != Room::Full {
            tokio::time::sleep(pause(interval)).await;
        }
    }
}

/// Well within the interval, so that one late wake-up is no death.
fn pause(interval: Duration) -> Duration {
    interval / 2
}
