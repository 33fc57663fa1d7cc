//! One member: its life from start to crash, and what is left of it for the next.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use openraft::async_runtime::WatchReceiver;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::disk::SimDisk;
use super::network::{Network, Road, address};
use super::run::Cluster;
use super::state_folder::{self, Safe};
use super::world::World;
use super::{Terms, durable};
use crate::consensus::{
    Beginning, ConsensusError, Member, Node, Parts, PeerIdentity, Rules, Settings,
};
use crate::state::{Intake, Machine, Options, Reader};
use crate::storage::datadir::DataDir;
use crate::storage::engine::{self, Engine};
use crate::storage::wal::stepped::Stepper;
use crate::storage::wal::{Wal, WalOptions};
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::Registry;
use crate::transport::Connection;
use crate::types::clock::Clock;
use crate::types::ids::{ClusterId, MemberId};

/// The election timeout of the simulated cluster.
pub(super) const ELECTION: Duration = Duration::from_millis(200);
/// A log that is not used for so long says on the disk what is safe.
const IDLE: Duration = Duration::from_millis(100);

/// How long writes to a disk take, in milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) usual: (usize, usize),
    /// Of a thousand writes so many take `stall` instead.
    pub(super) stalls: usize,
    pub(super) stall: (usize, usize),
}

impl Pace {
    pub(super) const FAST: Self = Self { usual: (0, 2), stalls: 5, stall: (10, 60) };
}

/// What a member keeps from one life to the next.
pub(super) struct Slot {
    world: Arc<World>,
    network: Arc<Network>,
    terms: Arc<Terms>,
    place: usize,
    /// Who lives here now; another one after a replacement.
    pub(super) id: MemberId,
    /// The founders of the cluster; nothing if the member joined later.
    founders: Option<usize>,
    disk: SimDisk,
    folder: PathBuf,
    lives: u32,
    pub(super) pace: Arc<Mutex<Pace>>,
}

/// A member that runs.
pub(super) struct Running {
    pub(super) node: Node,
    pub(super) reader: Reader,
    supervisor: Supervisor,
    stepper: Arc<Mutex<Stepper>>,
    safe: Arc<Mutex<Safe>>,
    dead: watch::Sender<bool>,
    data: DataDir,
    first_state: PathBuf,
}

/// How a member dies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Death {
    /// The process is killed; what it has written stays.
    Process,
    /// The power fails; what was not synced is in doubt, and the machine does not answer.
    Power,
}

/// The id of the member that founds the cluster at a place.
pub(super) fn founder(place: usize) -> MemberId {
    MemberId(0x1000 + place as u64)
}

impl Slot {
    /// A place in a cluster, and who lives there: one of so many `founders`, or one that joins.
    pub(super) fn of(
        cluster: &Cluster,
        place: usize,
        id: MemberId,
        founders: Option<usize>,
    ) -> Self {
        Self {
            world: Arc::clone(&cluster.world),
            network: Arc::clone(&cluster.network),
            terms: Arc::clone(&cluster.terms),
            place,
            id,
            founders,
            disk: SimDisk::new(&cluster.world, place),
            folder: cluster.folder.join(format!("{place}-0")),
            lives: 0,
            pace: Arc::new(Mutex::new(Pace::FAST)),
        }
    }

    /// Starts the member on what its last life left.
    ///
    /// # Errors
    /// When it refuses that.
    pub(super) async fn start(&self) -> Result<Arc<Running>, ConsensusError> {
        self.world.note(format_args!("{} starts", self.place));
        let mut data = DataDir::open(&self.folder, None).unwrap();
        if data.identity().is_none() {
            data.mark_started(b"simulation").unwrap();
        }
        let supervisor = Supervisor::new();
        let disk = Arc::new(self.disk.clone());
        let options =
            WalOptions { segment_bytes: 64 << 10, cache_bytes: 16 << 10, ..WalOptions::default() };
        let (wal, recovered, stepper) =
            Wal::open_stepped(disk, Path::new("/wal"), options).unwrap_or_else(|e| panic!("{e}"));
        self.world.count("torn_logs", usize::from(recovered.torn.is_some()));
        let stepper = Arc::new(Mutex::new(stepper));
        let blank = recovered.last.is_none() && recovered.vote.is_none();
        let beginning = match self.founders {
            Some(count) if blank => Beginning::Found(founders(count)),
            None if blank => Beginning::Join,
            _ => Beginning::Resume,
        };
        self.run_disk(&supervisor, wal.clone(), Arc::clone(&stepper));
        let registry = Registry::new();
        let (machine, reader) = open_state(&data, &registry);
        let first_state = data.state();
        let safe = Arc::new(Mutex::new(state_folder::safe(&first_state)));
        let (states, watched) = (data.generations(), Arc::clone(&safe));
        durable::watch(self.id, move || {
            *watched.lock() = state_folder::safe(&states.state());
        });
        let road = Road { network: Arc::clone(&self.network), from: self.place, life: self.lives };
        let mut identity = PeerIdentity::new(ClusterId(7), self.id, None, ELECTION);
        identity.road = Some(road);
        let come = self.network.listen(self.place, self.lives);
        let parts = Parts {
            identity,
            beginning,
            wal,
            recovered,
            machine,
            reader: reader.clone(),
            settings: settings(),
            supervisor: supervisor.clone(),
            registry,
            clock: Clock,
        };
        let node = Node::start(parts).await?;
        serve(&supervisor, &node, come);
        self.watch_terms(&supervisor, &node);
        let dead = watch::Sender::new(false);
        Ok(Arc::new(Running { node, reader, supervisor, stepper, safe, dead, data, first_state }))
    }

    /// Writes what is queued, in the time a disk needs.
    fn run_disk(&self, supervisor: &Supervisor, wal: Wal, stepper: Arc<Mutex<Stepper>>) {
        let (world, pace) = (Arc::clone(&self.world), Arc::clone(&self.pace));
        supervisor.spawn("disk", Stage::Storage, async move {
            loop {
                if tokio::time::timeout(IDLE, wal.queued()).await.is_err() {
                    stepper.lock().confirm();
                    wal.queued().await;
                }
                while stepper.lock().begin() {
                    let pace = *pace.lock();
                    let stalls = world.chance(pace.stalls);
                    let (mut from, mut to) = if stalls { pace.stall } else { pace.usual };
                    if world.is_broken("answers") {
                        (from, to) = (from + 20, to + 80);
                        stepper.lock().answer_early();
                    }
                    tokio::time::sleep(world.millis(from, to)).await;
                    stepper.lock().complete();
                }
            }
        });
    }

    /// Sees to it that no term has two leaders.
    fn watch_terms(&self, supervisor: &Supervisor, node: &Node) {
        let (terms, id) = (Arc::clone(&self.terms), self.id);
        let mut server = node.core.server_metrics();
        supervisor.spawn("terms", Stage::Upkeep, async move {
            loop {
                let leads = {
                    let now = server.borrow_watched();
                    now.state.is_leader().then_some(now.vote.leader_id.term)
                };
                if let Some(term) = leads {
                    terms.leads(term, id);
                }
                if server.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Another member moves in, with an empty disk; the one before does not run any more.
    pub(super) fn renew(&mut self, id: MemberId) {
        self.world.note(format_args!("{} is {id} from now on", self.place));
        self.id = id;
        self.founders = None;
        self.disk = SimDisk::new(&self.world, self.place);
        self.lives += 1;
        self.folder = self.folder.with_file_name(format!("{}-{}", self.place, self.lives));
    }

    /// Ends a life at once.
    pub(super) fn crash(&mut self, running: &Running, death: Death) {
        self.world.note(format_args!("{} dies: {death:?}", self.place));
        self.world.count(if matches!(death, Death::Power) { "power_cuts" } else { "kills" }, 1);
        self.world.count("received", usize::from(running.has_received()));
        running.dead.send_replace(true);
        durable::forget(self.id);
        let power = matches!(death, Death::Power);
        self.network.sever(self.place, power);
        if power && self.world.chance(700) {
            // In the middle of a write.
            self.disk.fail();
            let mut stepper = running.stepper.lock();
            stepper.begin();
            stepper.complete();
        }
        self.disk = self.disk.crash(power);
        self.lives += 1;
        let name = format!("{}-{}", self.place, self.lives);
        self.folder = self.folder.with_file_name(name);
        state_folder::copy(running.data.root(), &self.folder);
        if power {
            let state = running.data.state();
            let state = self.folder.join(state.strip_prefix(running.data.root()).unwrap());
            state_folder::cut(&self.world, &state, &running.safe.lock());
        }
        let (supervisor, core) = (running.supervisor.clone(), running.node.core.clone());
        Supervisor::new().spawn("burial", Stage::Storage, async move {
            supervisor.shutdown(Duration::ZERO).await;
            // Whatever it says, nobody hears it.
            let _ = core.shutdown().await;
        });
    }
}

impl Running {
    /// Waits until the member dies.
    pub(super) async fn death(&self) {
        let mut dead = self.dead.subscribe();
        let _ = dead.wait_for(|dead| *dead).await;
    }

    /// Whether its log is being written.
    pub(super) fn is_writing(&self) -> bool {
        self.stepper.lock().is_writing()
    }

    /// Whether it knows of two configurations that both hold.
    pub(super) fn is_between(&self) -> bool {
        let server = self.node.core.server_metrics();
        server.borrow_watched().membership_config.membership().get_joint_config().len() > 1
    }

    /// Ends everything in order.
    pub(super) async fn stop(&self) {
        self.supervisor.shutdown(ELECTION).await;
    }

    /// Whether it goes on from the state of another member.
    pub(super) fn has_received(&self) -> bool {
        self.data.state() != self.first_state
    }

    /// Waits until the member fails by itself.
    pub(super) async fn failure(&self) -> String {
        self.supervisor.failed().await
    }
}

fn open_state(data: &DataDir, registry: &Registry) -> (Machine, Reader) {
    let engine_options =
        engine::Options { cache_bytes: 1 << 20, worker_threads: 1, ..engine::Options::default() };
    let engine =
        Engine::open(&data.state(), &engine_options).unwrap_or_else(|error| panic!("{error}"));
    let options = Options {
        cache_bytes: 1 << 20,
        intake: Some(Intake { generations: data.generations(), engine: engine_options }),
        ..Options::default()
    };
    Machine::open(engine, &options, registry).unwrap_or_else(|error| panic!("{error}"))
}

fn settings() -> Settings {
    Settings {
        heartbeat: ELECTION / 4,
        election: ELECTION,
        request_timeout: Duration::from_secs(1),
        snapshot_count: 60,
        snapshot_catchup_entries: 20,
        rules: Rules { strict: false, ..Rules::default() },
        ..Settings::default()
    }
}

/// The founders of a cluster.
pub(super) fn founders(count: usize) -> Vec<Member> {
    let member = |place: usize| Member {
        id: founder(place),
        name: format!("m{place}"),
        peer_urls: vec![address(place)],
        is_learner: false,
    };
    (0..count).map(member).collect()
}

/// Serves the connections that come.
fn serve(
    supervisor: &Supervisor,
    node: &Node,
    mut come: tokio::sync::mpsc::UnboundedReceiver<Connection>,
) {
    let service = TowerToHyperService::new(node.peers().server());
    let owner = supervisor.clone();
    supervisor.spawn("peers", Stage::Serving, async move {
        while let Some(connection) = come.recv().await {
            let service = service.clone();
            owner.spawn("peer", Stage::Serving, async move {
                let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let served = server
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(connection), service);
                // The other end may go away at any time.
                let _ = served.await;
            });
        }
    });
}
