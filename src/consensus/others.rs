//! What a leader knows of the other members.

use std::time::Duration;

use openraft::RaftMetrics;
use openraft::async_runtime::Instant;

use super::types::{LogId, TypeConfig};

/// The newest entry a member is known to have; only a leader knows.
pub(super) fn matched(metrics: &RaftMetrics<TypeConfig>, id: u64) -> Option<LogId> {
    metrics.replication.as_ref()?.get(&id).copied().flatten()
}

/// Whether a member has answered the leader within `limit`.
pub(super) fn answers(metrics: &RaftMetrics<TypeConfig>, id: u64, limit: Duration) -> bool {
    let heard = metrics.heartbeat.as_ref().and_then(|all| all.get(&id).copied().flatten());
    heard.is_some_and(|heard| heard.elapsed() <= limit)
}
