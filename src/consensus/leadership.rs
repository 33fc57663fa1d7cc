//! Follows who leads, for everyone who asks or waits; notices when the core is gone.

use std::sync::Arc;

use openraft::async_runtime::WatchReceiver;
use openraft::metrics::RaftServerMetrics;

use super::node::Core;
use super::peers::Links;
use super::proposer::Shared;
use super::status::Leadership;
use super::types::TypeConfig;
use crate::tasks::{Stop, Supervisor};
use crate::types::ids::MemberId;

/// Publishes changes of leadership and of addresses until the core ends; an end nobody asked for is a
/// fault.
pub(crate) async fn follow(
    shared: Arc<Shared>,
    core: Core,
    links: Links,
    supervisor: Supervisor,
    stop: Stop,
) {
    let mut server = core.server_metrics();
    let mut applied = shared.progress.watch_applied();
    loop {
        let seen = {
            let server = server.borrow_watched();
            links.learn(server.membership_config.membership());
            observe(&server, &shared)
        };
        // A leader that has not applied an entry of its own term yet is about to.
        let arriving = seen.leader == Some(MemberId(*core.node_id())) && !seen.is_leader;
        publish(&shared, seen, MemberId(*core.node_id()));
        tokio::select! {
            changed = server.changed() => if changed.is_err() { break },
            advanced = applied.changed(), if arriving => if advanced.is_err() { break },
        }
    }
    shared.stop();
    let ended = core.metrics().borrow_watched().running_state.clone();
    if let (Err(fatal), false) = (ended, stop.is_stopped()) {
        supervisor.fail("consensus", fatal.to_string());
    }
}

fn observe(server: &RaftServerMetrics<TypeConfig>, shared: &Shared) -> Leadership {
    let term = server.vote.leader_id.term;
    Leadership {
        leader: server.current_leader.map(MemberId),
        term,
        is_leader: server.state.is_leader() && shared.progress.applied().1 == term,
        is_learner: server.state.is_learner(),
        since: None,
    }
}

fn publish(shared: &Shared, seen: Leadership, id: MemberId) {
    let now = shared.clock.now();
    shared.leadership.send_if_modified(|known| {
        let elected = seen.leader != known.leader && seen.leader.is_some();
        let next = Leadership { since: if elected { Some(now) } else { known.since }, ..seen };
        let changed = next != *known;
        tell(*known, next, id);
        count(shared, *known, next);
        *known = next;
        changed
    });
}

/// The lines that dashboards and tests look for.
fn tell(known: Leadership, next: Leadership, id: MemberId) {
    let term = next.term;
    match (known.leader, next.leader) {
        (None, Some(leader)) => {
            tracing::info!("raft.node: {id} elected leader {leader} at term {term}");
        }
        (Some(lost), None) => tracing::info!("raft.node: {id} lost leader {lost} at term {term}"),
        (Some(before), Some(leader)) if before != leader => {
            tracing::info!(
                "raft.node: {id} changed leader from {before} to {leader} at term {term}"
            );
        }
        _ => {}
    }
    if next.is_leader && !known.is_leader {
        tracing::info!("{id} became leader at term {term}");
    }
}

fn count(shared: &Shared, known: Leadership, next: Leadership) {
    let metrics = &shared.metrics;
    metrics.has_leader.set(i64::from(next.leader.is_some()));
    metrics.is_leader.set(i64::from(next.is_leader));
    metrics.is_learner.set(i64::from(next.is_learner));
    if next.leader.is_some() && next.leader != known.leader {
        metrics.leader_changes.inc();
    }
}
