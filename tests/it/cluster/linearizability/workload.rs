//! Clients and watchers at every member, and what they were told in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use etcd::types::clock::Clock;
use tokio::task::JoinSet;

use super::client::{Told, Worker};
use super::report::Report;
use super::watcher::{self, Event};
use crate::support::cluster::Cluster;
use crate::support::cluster::requests::{one, range, try_put};
use crate::support::random::Random;
use crate::support::session::put;
use crate::support::wait::{comes_true, within};

/// Few enough that clients meet at each.
pub(super) const KEYS: usize = 6;
/// Clients that keep to one member; as many again as there are members ask whomever.
const LOYAL: usize = 2;

/// What clients and watchers of a workload share.
pub(super) struct Shared {
    pub(super) prefix: String,
    pub(super) values: AtomicU64,
    pub(super) acknowledged: AtomicUsize,
    began: Instant,
    stop: AtomicBool,
}

impl Shared {
    pub(super) fn key(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }

    /// Written when all is over.
    pub(super) fn last_key(&self) -> String {
        format!("{}last", self.prefix)
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap()
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A running workload.
pub(crate) struct Workload {
    shared: Arc<Shared>,
    clients: JoinSet<Told>,
    watchers: JoinSet<Vec<Event>>,
}

impl Workload {
    /// Starts clients and watchers at all members. Keys of a name are used once in a cluster.
    pub(crate) async fn start(cluster: &Cluster, name: &str, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            prefix: format!("{name}/"),
            values: AtomicU64::new(0),
            acknowledged: AtomicUsize::new(0),
            began: Clock.now(),
            stop: AtomicBool::new(false),
        });
        let leader = cluster.leader().await;
        let newest =
            range(&cluster.members[leader].client, one("x")).await.header.unwrap().revision;
        let members: Vec<usize> = cluster.running();
        let everybody: Vec<_> =
            members.iter().map(|place| cluster.another_client(*place)).collect();
        let (mut clients, mut watchers) = (JoinSet::new(), JoinSet::new());
        let loyal = members.iter().flat_map(|place| [*place; LOYAL]);
        let loyal = loyal.map(|place| vec![cluster.another_client(place)]);
        let roaming = members.iter().map(|_| everybody.clone());
        for (number, asked) in loyal.chain(roaming).enumerate() {
            let random = Random::new(seed.wrapping_add(number as u64));
            let shared = Arc::clone(&shared);
            clients.spawn(Worker { number, members: asked, shared, random }.work());
        }
        for place in members {
            let client = cluster.another_client(place);
            watchers.spawn(watcher::collect(client, Arc::clone(&shared), newest));
        }
        Self { shared, clients, watchers }
    }

    /// Waits until so many more writes were acknowledged.
    pub(crate) async fn progress(&self, writes: usize) {
        let enough = self.acknowledged() + writes;
        comes_true("writes to be acknowledged", async || {
            (self.acknowledged() >= enough).then_some(())
        })
        .await;
    }

    /// Writes acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends the clients and, once they have seen everything, the watchers; then checks what all of
    /// them were told. Tells how many operations there were.
    ///
    /// # Panics
    /// When it cannot be the history of one store.
    pub(crate) async fn finish(self, cluster: &Cluster) -> usize {
        self.shared.stop.store(true, Ordering::Relaxed);
        let told = within("the clients to end", self.clients.join_all()).await;
        let leader = cluster.leader().await;
        let client = &cluster.members[leader].client;
        let (key, value) = (self.shared.last_key(), self.shared.now().to_string());
        comes_true("the last write", async || try_put(client, put(&key, &value)).await.ok()).await;
        let seen = within("the watchers to see everything", self.watchers.join_all()).await;
        let report =
            Report { told, seen, keys: (0..KEYS).map(|key| self.shared.key(key)).collect() };
        report.check();
        cluster.same_everywhere().await;
        report.check_stored(cluster).await;
        report.operations()
    }
}
