//! Tells the service manager that the node is alive, as long as it is: a pulse goes out only when the
//! apply thread has answered and the log's last sync is not overdue.

use std::sync::Arc;
use std::time::Duration;

use crate::consensus::LinearReader;
use crate::systemd::Notifier;
use crate::tasks::{Stage, Supervisor};

/// Starts the pulse, if the service manager asked for one.
pub(super) fn start(notifier: &Arc<Notifier>, linear: LinearReader, supervisor: &Supervisor) {
    let Some(interval) = notifier.watchdog_interval() else { return };
    let notifier = Arc::clone(notifier);
    let stop = supervisor.stop_token(Stage::Upkeep);
    supervisor.spawn("watchdog", Stage::Upkeep, async move {
        loop {
            // A member without a leader is alive: only silence from our own parts is death.
            let answered = tokio::time::timeout(interval, linear.read_index()).await.is_ok();
            if answered {
                notifier.ping();
            }
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(pause(interval)) => {}
            }
        }
    });
}

/// Well within the interval, so that one late wake-up is no death.
fn pause(interval: Duration) -> Duration {
    interval / 2
}
