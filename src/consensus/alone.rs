//! `--force-new-cluster`: a member whose cluster has lost its quorum for good goes on alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use openraft::storage::RaftLogStorage;
use openraft::{EntryPayload, RaftLogReader};
use tokio::sync::oneshot;

use super::log_store::LogStore;
use super::machine::Durable;
use super::types::{LogEntry, LogId, Membership, Peer, StoredMembership};
use crate::types::ids::MemberId;

/// Where a member is said to be reached whose addresses are not known: etcd's words for it.
const UNKNOWN: [&str; 2] = ["http://localhost:2380", "http://localhost:7001"];

/// Drops what was not committed from the log, and appends a configuration in which `id` is alone.
///
/// # Errors
/// When the log cannot be read or written.
pub(super) async fn forget_others(
    log: &mut LogStore,
    state: &Durable,
    id: MemberId,
) -> io::Result<()> {
    let committed = log.read_committed().await?.max(state.applied);
    let last = log.last()?;
    if committed < last {
        tracing::info!("discarding uncommitted WAL entries");
        log.truncate_after(committed).await?;
    }
    let known = newest(log, committed).await?.unwrap_or_else(|| state.membership.clone());
    let peer = known.membership().get_node(&id.0).cloned().unwrap_or_else(|| Peer {
        name: String::new(),
        peer_urls: UNKNOWN.map(str::to_owned).to_vec(),
    });
    let term = committed.map_or(0, |id| id.leader_id.term);
    let log_id = LogId::new_term_index(term, committed.map_or(0, |id| id.index + 1));
    let voters = vec![BTreeSet::from([id.0])];
    let membership =
        Membership::new(voters, BTreeMap::from([(id.0, peer)])).map_err(io::Error::other)?;
    tracing::info!(member = %id, index = log_id.index + 1, "forcing restart member");
    append(log, LogEntry { log_id, payload: EntryPayload::Membership(membership) }).await
}

/// The newest configuration in the log.
async fn newest(log: &mut LogStore, last: Option<LogId>) -> io::Result<Option<StoredMembership>> {
    let end = last.map_or(0, |last| last.index + 1);
    let mut from = 0;
    let mut newest = None;
    while from < end {
        let entries = log.limited_get_log_entries(from, end).await?;
        let Some(read) = entries.last().map(|entry| entry.log_id.index + 1) else { break };
        for entry in entries {
            if let EntryPayload::Membership(membership) = entry.payload {
                newest = Some(StoredMembership::new(Some(entry.log_id), membership));
            }
        }
        from = read;
    }
    Ok(newest)
}

async fn append(log: &mut LogStore, entry: LogEntry) -> io::Result<()> {
    let (done, written) = oneshot::channel();
    log.append_then([entry], move |result| {
        let _ = done.send(result);
    });
    written.await.map_err(io::Error::other)?
}
