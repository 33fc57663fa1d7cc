//! One seed: a cluster, its clients, its troubles, and the look at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use super::check;
use super::client::{Clients, Members, PATIENCE};
use super::exchange::Exchange;
use super::member::{Death, ELECTION, Running, Slot, founder};
use super::network::Network;
use super::terms::Terms;
use super::world::World;
use crate::tasks::{Stage, Supervisor};

/// Clients that work at the same time.
const CLIENTS: usize = 5;
/// How soon there must be a leader once all is well.
const LEADER: Duration = ELECTION.saturating_mul(10);
/// How soon all members must have the same.
const SAME: Duration = Duration::from_secs(20);

/// All members of a simulation.
pub(super) struct Cluster {
    pub(super) world: Arc<World>,
    pub(super) network: Arc<Network>,
    /// Who lives where.
    pub(super) slots: BTreeMap<usize, Slot>,
    /// Places so far; a member that replaces another one in one step has a new one.
    pub(super) places: usize,
    pub(super) owner: Supervisor,
    /// Places whose members are to leave the cluster.
    pub(super) leavers: BTreeSet<usize>,
    /// Members that are to be exchanged.
    pub(super) exchange: Option<Exchange>,
    pub(super) folder: PathBuf,
    pub(super) terms: Arc<Terms>,
    members: Members,
}

/// Plays a seed in `folder`, which is empty. Tells what came of it as one line.
///
/// # Errors
/// What was not as it must be.
pub(super) async fn play(seed: u64, folder: &Path) -> Result<String, String> {
    let world = Arc::new(World::new(seed));
    tokio::select! {
        biased;
        what = world.failed() => Err(what),
        played = rounds(&world, folder) => played,
    }?;
    let (events, hash) = world.summary();
    let counts = world.counts().into_iter().map(|(what, times)| format!("{what}={times}"));
    let counts: Vec<String> = counts.collect();
    Ok(format!("{} events={events} hash={hash:016x}", counts.join(" ")))
}

async fn rounds(world: &Arc<World>, folder: &Path) -> Result<(), String> {
    let count = world.pick(&[3, 3, 3, 3, 5]);
    let mut cluster = Cluster::new(world, count, folder);
    cluster.start_all().await;
    cluster.has_leader().await?;
    let clients = Arc::new(Clients::new(world, &cluster.members));
    for client in 0..CLIENTS {
        cluster.owner.spawn("client", Stage::Serving, Arc::clone(&clients).work(client));
    }
    for _ in 0..1 + world.below(3) {
        cluster.pause(0, 500).await;
        cluster.trouble().await;
        cluster.has_leader().await?;
    }
    cluster.pause(100, 500).await;
    if world.chance(600) {
        cluster.outage().await?;
    }
    clients.stop.store(true, Ordering::Relaxed);
    let members = cluster.same().await?;
    let told = std::mem::take(&mut *clients.told.lock());
    check::members(&members)?;
    check::voters(&members, cluster.slots.values().map(|slot| slot.id).collect())?;
    check::told(&told, &members)?;
    world.count("operations", told.operations.len());
    world.count("acknowledged", told.acknowledged.len());
    let received = members.iter().filter(|member| member.has_received()).count();
    world.count("received", received);
    world.count("terms", cluster.terms.count());
    world.count("ms", usize::try_from(world.now().as_millis()).unwrap());
    Ok(())
}

impl Cluster {
    fn new(world: &Arc<World>, count: usize, folder: &Path) -> Self {
        let network = Arc::new(Network::new(world));
        let terms = Arc::new(Terms::new(world));
        let mut cluster = Self {
            slots: BTreeMap::new(),
            places: count,
            world: Arc::clone(world),
            network,
            terms,
            members: Arc::new(Mutex::new(BTreeMap::new())),
            owner: Supervisor::new(),
            leavers: BTreeSet::new(),
            exchange: None,
            folder: folder.to_owned(),
        };
        for place in 0..count {
            let slot = Slot::of(&cluster, place, founder(place), Some(count));
            cluster.slots.insert(place, slot);
        }
        cluster
    }

    /// Where somebody lives.
    pub(super) fn places(&self) -> Vec<usize> {
        self.slots.keys().copied().collect()
    }

    /// Starts a member unless it runs.
    pub(super) async fn start(&self, place: usize) {
        if self.members.lock().contains_key(&place) {
            return;
        }
        let running = match self.slots[&place].start().await {
            Ok(running) => running,
            Err(error) => {
                self.world.fail(format!("member {place} does not start: {error}"));
                return std::future::pending().await;
            }
        };
        self.members.lock().insert(place, Arc::clone(&running));
        let world = Arc::clone(&self.world);
        self.owner.spawn("watch", Stage::Serving, async move {
            tokio::select! {
                biased;
                () = running.death() => {}
                failure = running.failure() => world.fail(format!("member {place}: {failure}")),
            }
        });
    }

    pub(super) async fn start_all(&self) {
        for place in self.places() {
            self.start(place).await;
        }
    }

    /// Ends a member if it runs.
    pub(super) fn crash(&mut self, place: usize, death: Death) {
        let running = self.members.lock().remove(&place);
        if let (Some(running), Some(slot)) = (running, self.slots.get_mut(&place)) {
            slot.crash(&running, death);
        }
    }

    /// A member, if it runs.
    pub(super) fn running(&self, place: usize) -> Option<Arc<Running>> {
        self.members.lock().get(&place).cloned()
    }

    /// Who leads by its own words.
    pub(super) fn leader(&self) -> Option<usize> {
        let members = self.members.lock();
        let leads = |(place, member): (&usize, &Arc<Running>)| {
            member.node.status().is_leader.then_some(*place)
        };
        members.iter().find_map(leads)
    }

    /// The power of all fails once more, and comes back: what was promised last is promised as well.
    async fn outage(&mut self) -> Result<(), String> {
        let writer = self.leader().unwrap_or(0);
        self.power_fails(writer).await;
        self.start_all().await;
        self.has_leader().await
    }

    pub(super) async fn has_leader(&self) -> Result<(), String> {
        let found = async {
            while self.leader().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let found = tokio::time::timeout(LEADER, found).await;
        found.map_err(|_| format!("no leader within {LEADER:?} after all was well again"))
    }

    /// Waits until all members have applied the same, and as much as any knows to be committed.
    async fn same(&self) -> Result<Vec<Arc<Running>>, String> {
        let members: Vec<Arc<Running>> = self.members.lock().values().cloned().collect();
        let positions = || -> Vec<u64> {
            let all = members.iter().map(|member| member.node.status());
            all.flat_map(|status| [status.committed, status.applied]).collect()
        };
        let same = async {
            // Until then the last client has been answered, or has given up.
            tokio::time::sleep(PATIENCE + Duration::from_millis(100)).await;
            while positions().iter().any(|position| *position != positions()[0]) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let same = tokio::time::timeout(SAME, same).await;
        same.map_err(|_| format!("members do not come together: {:?}", positions()))?;
        Ok(members)
    }
}
