//! The end, in order. The stages themselves, and why they are in that order, are
//! [`crate::tasks::Stage`]'s.

use std::time::Duration;

use super::start::Running;
use crate::api::Health;
use crate::config::Config;
use crate::systemd::Notifier;
use crate::tasks::Supervisor;

/// What a stage gets beyond two election timeouts, as etcd gives its clients.
const GRACE: Duration = Duration::from_secs(5);
/// The stages, and handing over before them.
const STAGES: u32 = 6;

/// Stops a node that serves.
pub(super) async fn stop(running: Running, supervisor: &Supervisor, notifier: &Notifier) {
    let deadline = GRACE + 2 * running.election_timeout;
    notifier.stopping("stopping: handing leadership over, answering what was asked");
    notifier.extend(deadline * STAGES);
    // Fails health checks, so that traffic moves away while the rest still works.
    running.health.send_replace(Health::NotServing);
    running.node.hand_over().await;
    tracing::info!("local-member-id" = %running.member, "closing etcd server");
    // Handles of the log and of the state must be gone before the lock on the directory.
    let Running { node, wal, data_dir, .. } = running;
    let overrun = supervisor.shutdown(deadline).await;
    drop(node);
    if let Err(error) = wal.close() {
        tracing::error!(%error, "the write-ahead log did not close cleanly");
    }
    drop(data_dir);
    if !overrun.is_empty() {
        tracing::warn!(tasks = ?overrun, "tasks did not stop within their deadline");
    }
    tracing::info!("closed etcd server");
}

/// Stops whatever of a node had been started when its start was broken off.
pub(super) async fn before_serving(supervisor: &Supervisor, config: &Config) {
    let _overrun = supervisor.shutdown(GRACE + 2 * config.member.election_timeout).await;
}
