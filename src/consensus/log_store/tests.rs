//! Openraft's own suite for log stores, beside a state machine that lives in memory.

use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::{EntryPayload, RaftSnapshotBuilder, StorageError};

use super::*;
use crate::consensus::types::StoredMembership;
use crate::storage::wal::WalOptions;
use futures::{Stream, TryStreamExt};

type Meta = SnapshotMetaOf<TypeConfig>;

/// Remembers what was applied last.
#[derive(Clone, Default)]
struct Memory {
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshot: Arc<Mutex<Option<Meta>>>,
}

impl RaftStateMachine<TypeConfig> for Memory {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            self.applied = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = entry.payload {
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &Meta, (): ()) -> io::Result<()> {
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        *self.snapshot.lock() = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, ()>>> {
        let meta = self.snapshot.lock().clone();
        Ok(meta.map(|meta| SnapshotOf::<TypeConfig, ()> { meta, snapshot: () }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Memory {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, ()>> {
        let meta = Meta { last_log_id: self.applied, last_membership: self.membership.clone() };
        *self.snapshot.lock() = Some(meta.clone());
        Ok(SnapshotOf::<TypeConfig, ()> { meta, snapshot: () })
    }
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Memory, tempfile::TempDir> for Builder {
    async fn build(
        &self,
    ) -> Result<(tempfile::TempDir, LogStore, Memory), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        Ok((dir_with_log(&dir), Memory::default())).map(|(log, memory)| (dir, log, memory))
    }
}

fn dir_with_log(dir: &tempfile::TempDir) -> LogStore {
    let options = WalOptions { segment_bytes: 64 << 10, ..WalOptions::default() };
    let (wal, recovered) = Wal::open(dir.path(), options).unwrap();
    LogStore::new(wal, &recovered).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_suite_passes() {
    Suite::test_all(Builder).await.unwrap();
}

fn blank(index: u64) -> LogEntry {
    LogEntry { log_id: LogId::new_term_index(1, index), payload: EntryPayload::Blank }
}

#[test]
fn the_tail_answers_only_for_what_it_holds() {
    let mut tail = Tail::default();
    for index in 5..10 {
        tail.push(blank(index));
    }
    assert_eq!(tail.get(&(6..8)).map(|entries| entries.len()), Some(2));
    assert!(tail.get(&(4..8)).is_none());
    assert!(tail.get(&(6..11)).is_none());
    tail.truncate(8);
    assert!(tail.get(&(7..9)).is_none());
    tail.purge(6);
    assert_eq!(tail.get(&(7..8)).map(|entries| entries.len()), Some(1));
    tail.push(blank(20));
    assert!(tail.get(&(7..8)).is_none(), "a gap starts the tail anew");
    tail.purge(20);
    assert_eq!(tail.bytes, 0);
}
