//! Follows who leads, for everyone who asks or waits; notices when the core is gone.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::{Instant, WatchReceiver};
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
    let mut look = tokio::time::interval(shared.limits.election / 4);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let heard = is_heard(&core, shared.limits.election).await;
        let seen = {
            let server = server.borrow_watched();
            links.learn(server.membership_config.membership());
            observe(&server, &shared, heard)
        };
        // A leader that has not applied an entry of its own term yet is about to.
        let arriving = seen.leader == Some(MemberId(*core.node_id())) && !seen.is_leader;
        publish(&shared, seen, MemberId(*core.node_id()));
        tokio::select! {
            changed = server.changed() => if changed.is_err() { break },
            advanced = applied.changed(), if arriving => if advanced.is_err() { break },
            _ = look.tick() => {}
        }
    }
    shared.stop();
    let ended = core.metrics().borrow_watched().running_state.clone();
    if let (Err(fatal), false) = (ended, stop.is_stopped()) {
        supervisor.fail("consensus", fatal.to_string());
    }
}

/// Whether a leader is heard: by a quorum if this member leads, else by this member, within two
/// election timeouts. Openraft remembers a leader until there is another; etcd's clients are told when
/// there is none.
async fn is_heard(core: &Core, election: Duration) -> bool {
    let limit = 2 * election;
    let leading = {
        let metrics = core.metrics();
        let metrics = metrics.borrow_watched();
        let id = *core.node_id();
        let alone = metrics.membership_config.voter_ids().eq([id]);
        let acked = metrics.last_quorum_acked.as_ref();
        let heard = alone || acked.is_none_or(|acked| acked.elapsed() <= limit);
        metrics.state.is_leader().then_some(heard)
    };
    match leading {
        Some(heard) => heard,
        None => {
            let heard = core.with_raft_state(|state| state.vote_last_modified()).await;
            heard.ok().flatten().is_some_and(|heard| heard.elapsed() <= limit)
        }
    }
}

fn observe(server: &RaftServerMetrics<TypeConfig>, shared: &Shared, heard: bool) -> Leadership {
    let term = server.vote.leader_id.term;
    let leads = server.state.is_leader() && shared.progress.applied().1 == term;
    Leadership {
        leader: server.current_leader.filter(|_| heard).map(MemberId),
        term,
        is_leader: heard && leads,
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
