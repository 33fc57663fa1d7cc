//! `--force-new-cluster`: a member whose cluster has lost its quorum for good goes on alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use openraft::{EntryPayload, RaftLogReader};
use tokio::sync::oneshot;

use super::log_store::LogStore;
use super::machine::Durable;
use super::types::{LogEntry, LogId, Membership, Peer, StoredMembership};
use crate::types::ids::MemberId;

/// Where a member is said to be reached whose addresses are not known: etcd's words for it.
const UNKNOWN: [&str; 2] = ["http://localhost:2380", "http://localhost:7001"];

/// Appends a configuration in which `id` is alone. Everything in the log stays: what of it had been
/// committed is known only up to a mark that may be old, and clients were told of it. etcd drops what
/// lies behind the mark.
///
/// # Errors
/// When the log cannot be read or written.
pub(super) async fn forget_others(
    log: &mut LogStore,
    state: &Durable,
    id: MemberId,
) -> io::Result<()> {
    let last = log.last()?.max(state.applied);
    let known = newest(log, last).await?.unwrap_or_else(|| state.membership.clone());
    let peer = known.membership().get_node(&id.0).cloned().unwrap_or_else(|| Peer {
        name: String::new(),
        peer_urls: UNKNOWN.map(str::to_owned).to_vec(),
        replaces: 0,
    });
    let term = last.map_or(0, |id| id.leader_id.term);
    let log_id = LogId::new_term_index(term, last.map_or(0, |id| id.index + 1));
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

async fn append(log: &LogStore, entry: LogEntry) -> io::Result<()> {
    let (done, written) = oneshot::channel();
    log.append_then([entry], move |result| {
        let _ = done.send(result);
    });
    written.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::wal::{Wal, WalOptions};

    const ID: fn(u64) -> LogId = |index| LogId::new_term_index(2, index);

    fn configuration(ids: &[u64]) -> Membership {
        let peer = |id: &u64| Peer {
            name: format!("m{id}"),
            peer_urls: vec![format!("http://{id}:1")],
            replaces: 0,
        };
        let nodes: BTreeMap<u64, Peer> = ids.iter().map(|id| (*id, peer(id))).collect();
        Membership::new(vec![ids.iter().copied().collect()], nodes).unwrap()
    }

    #[tokio::test]
    async fn what_is_not_known_to_be_agreed_on_stays_too() {
        let folder = tempfile::tempdir().unwrap();
        let (wal, recovered) = Wal::open(folder.path(), WalOptions::default()).unwrap();
        let mut log = LogStore::new(wal, &recovered).unwrap();
        let founded = EntryPayload::Membership(configuration(&[1, 2, 3]));
        append(&log, LogEntry { log_id: ID(0), payload: founded }).await.unwrap();
        // A leader that is gone has answered its client; this member never heard of that.
        append(&log, LogEntry { log_id: ID(1), payload: EntryPayload::Blank }).await.unwrap();
        let state = Durable { applied: Some(ID(0)), membership: StoredMembership::default() };

        forget_others(&mut log, &state, MemberId(2)).await.unwrap();
        let entries = log.limited_get_log_entries(0, 9).await.unwrap();
        let ids: Vec<LogId> = entries.iter().map(|entry| entry.log_id).collect();
        assert_eq!(ids, [ID(0), ID(1), ID(2)]);
        let EntryPayload::Membership(alone) = &entries[2].payload else { panic!("no members") };
        assert_eq!(*alone, configuration(&[2]));
    }
}
