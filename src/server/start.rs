//! A list of calls: open, plan, start, bind, serve, say so.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::access::Access;
use super::error::ServerError;
use super::listeners::Listeners;
use super::telling::{Moment, Serving, Telling};
use super::{certificates, first_start, hardening, listeners, watchdog};
use crate::api::{Backend, Health, Limits, peer};
use crate::bootstrap::{Identity, Plan, plan};
use crate::config::{Config, MetricsMode};
use crate::consensus::{self, Node, PeerIdentity, Rules, Settings};
use crate::failpoint::scaled;
use crate::state::{self, Intake, Machine, Pace, Reader};
use crate::storage::datadir::DataDir;
use crate::storage::engine::{self, Engine};
use crate::storage::space::{Room, Space};
use crate::storage::wal::{Recovered, Synced, Wal, WalOptions};
use crate::systemd::Notifier;
use crate::tasks::Supervisor;
use crate::telemetry::metrics::{Registry, buckets};
use crate::transport::{Credentials, Inherited};
use crate::types::clock::Clock;
use crate::types::ids::{MemberId, RequestIds};
use crate::upkeep::{
    AutoCompaction, Comparing, ComparisonParts, DiskParts, DiskWatch, Lessor, LessorParts, Passing,
    PassingParts, QuotaParts, QuotaWatch, publish,
};
use crate::watch::Hub;

/// Memory of the log for its newest entries, in bytes.
const WAL_CACHE: usize = 4 << 20;
/// How often a start that waits for space looks again.
const LOOK_FOR_SPACE: Duration = Duration::from_millis(500);

/// A node that serves.
pub(super) struct Running {
    /// Consensus.
    pub(super) node: Node,
    /// The Raft log.
    pub(super) wal: Wal,
    /// The lock on the data directory.
    pub(super) data_dir: DataDir,
    /// All certificates.
    pub(super) credentials: Vec<Credentials>,
    /// How users show who they are.
    pub(super) access: Access,
    /// Told to health checks.
    pub(super) health: watch::Sender<Health>,
    /// Who we are.
    pub(super) member: MemberId,
    /// Bounds how long the end may take.
    pub(super) election_timeout: Duration,
    /// Shows the node to the service manager.
    pub(super) telling: Telling,
}

/// Starts a node and returns when it serves.
///
/// # Errors
/// If anything it needs is not as it must be; nothing is served then.
pub(super) async fn start(
    config: &Config,
    supervisor: &Supervisor,
    notifier: &Arc<Notifier>,
    inherited: Inherited,
) -> Result<Running, ServerError> {
    let registry = registry();
    let telling = Telling::start(Arc::clone(notifier), supervisor);
    let opened = open(config, &registry, &telling, inherited).await?;
    let Opened { mut data_dir, mut bound, plan, space, wal, recovered, access } = opened;
    let identity = plan.identity();
    let stores = Stores { data_dir: &data_dir, space: &space };
    let (machine, reader) = open_state(config, &stores, &access, (supervisor, &registry))?;
    let logged = recovered.last.as_ref().map_or(0, |last| last.index + 1);
    let served_before = !plan.is_new();
    if !served_before {
        // Before the first vote, and after log and state are there: ARCHITECTURE.md says why here.
        data_dir.mark_started(identity.to_text().as_bytes())?;
    }
    let node = Node::start(consensus::Parts {
        identity: peer_identity(config, identity, bound.peer_credentials().cloned()),
        beginning: plan.beginning(config),
        wal: wal.clone(),
        recovered,
        machine,
        reader: reader.clone(),
        settings: settings(config),
        supervisor: supervisor.clone(),
        registry: registry.clone(),
        clock: Clock,
    })
    .await?;
    telling.is(Moment::Joins { node: node.clone(), logged });
    let (health, told) = watch::channel(Health::Serving);
    let parts = Shared {
        node: &node,
        reader: &reader,
        wal: &wal,
        space: &space,
        supervisor,
        registry: &registry,
        credentials: bound.credentials(),
        access: &access,
    };
    let backend = Arc::new(backend(config, identity, &parts, told));
    // Before the others are needed: whom they trust may have changed while this member was down.
    let credentials = certificates::start(&bound, config, identity.member, &registry, supervisor);
    // Without the others there may never be a leader.
    bound.serve_peers(&peer::router(&backend), supervisor)?;
    compare_first(config, served_before, &backend).await?;
    publish_self(config, &node, &reader, supervisor).await?;
    bound.serve(&backend, config, supervisor)?;
    telling.begins(Serving { node: node.clone(), reader, credentials: credentials.clone() });
    let watched = watchdog::Parts { node: node.clone(), wal: wal.clone(), space };
    watchdog::start(notifier, watched, supervisor);
    first_start::advise(config, served_before);
    Ok(Running {
        node,
        wal,
        data_dir,
        credentials,
        access,
        health,
        member: identity.member,
        election_timeout: config.member.election_timeout,
        telling,
    })
}

/// Sockets, plan and log, before anything runs.
struct Opened {
    data_dir: DataDir,
    bound: Listeners,
    plan: Plan,
    space: Space,
    wal: Wal,
    recovered: Recovered,
    access: Access,
}

async fn open(
    config: &Config,
    registry: &Registry,
    telling: &Telling,
    inherited: Inherited,
) -> Result<Opened, ServerError> {
    let access = Access::open(config, registry)?;
    let data_dir = hardening::open_data_dir(config)?;
    // Before the log is touched: a port that is taken should not cost a founded cluster.
    let bound = listeners::bind(config, registry, inherited).await?;
    let peer_credentials = bound.peer_credentials();
    telling.is(Moment::Waits("looking for the other members"));
    let plan = plan(config, data_dir.identity(), peer_credentials).await?;
    let space = Space::new(&data_dir.state(), &data_dir.wal());
    wait_for_space(&space, telling).await;
    telling.is(Moment::Works("opening the log"));
    let (wal, recovered) = open_wal(config, &data_dir, registry)?;
    let plan = plan.with_log(recovered.last.is_none(), config, peer_credentials).await?;
    announce(plan.identity(), registry);
    telling.is(Moment::Works("opening the state"));
    Ok(Opened { data_dir, bound, plan, space, wal, recovered, access })
}

/// Whether this member holds what the others do, before it answers anybody; if that is wanted.
async fn compare_first(
    config: &Config,
    served_before: bool,
    backend: &Backend,
) -> Result<(), ServerError> {
    if !(served_before && config.comparisons.initial) {
        return Ok(());
    }
    tokio::select! {
        compared = backend.comparing.before_serving(backend.limits.request_timeout()) => {
            Ok(compared?)
        }
        // Whoever runs the node learns of it next.
        () = backend.node.removed() => Ok(()),
    }
}

/// How the other members know this one.
fn peer_identity(
    config: &Config,
    identity: Identity,
    credentials: Option<Credentials>,
) -> PeerIdentity {
    let patience = config.member.election_timeout;
    PeerIdentity::new(identity.cluster, identity.member, credentials, patience)
}

/// The metrics, with the facts they carry as labels.
fn registry() -> Registry {
    let registry = Registry::new();
    registry.watch_process();
    let version = crate::types::version::ETCD_API;
    registry.fact("etcd_server_version", "Which version is running.", "server_version", version);
    registry
}

fn announce(identity: Identity, registry: &Registry) {
    tracing::info!(
        "local-member-id" = %identity.member,
        "cluster-id" = %identity.cluster,
        "starting local member"
    );
    let id = identity.member.to_string();
    registry.fact("etcd_server_id", "Server or member ID in hexadecimal format.", "server_id", &id);
}

/// Opens the Raft log.
fn open_wal(
    config: &Config,
    data_dir: &DataDir,
    registry: &Registry,
) -> Result<(Wal, Recovered), ServerError> {
    let must_exist = data_dir.identity().is_some();
    let options = WalOptions { must_exist, ..wal_options(config, registry) };
    let (wal, recovered) = Wal::open(&data_dir.wal(), options)?;
    if let Some(torn) = &recovered.torn {
        tracing::warn!(
            segment = %torn.segment.display(),
            offset = torn.offset,
            bytes = torn.bytes,
            "erased an unfinished write that was never acknowledged"
        );
    }
    Ok((wal, recovered))
}

/// Opening needs some space, and nobody is there to see it fail: a member that was stopped by a full
/// disk comes back when there is some.
async fn wait_for_space(space: &Space, telling: &Telling) {
    let mut told = false;
    while space.look() == Room::Full {
        if !told {
            telling.is(Moment::WaitsForSpace(space.clone()));
            tracing::error!(free = space.free(), "the disk is full; the start waits for space");
            told = true;
        }
        tokio::time::sleep(LOOK_FOR_SPACE).await;
    }
}

/// Opens the state as far as it was applied.
fn open_state(
    config: &Config,
    stores: &Stores<'_>,
    access: &Access,
    (supervisor, registry): (&Supervisor, &Registry),
) -> Result<(Machine, Reader), ServerError> {
    let options = engine::Options { space: stores.space.clone(), ..engine::Options::default() };
    let engine = Engine::open(&stores.data_dir.state(), &options)?;
    let generations = stores.data_dir.generations();
    let options = state::Options {
        checkpoint: Some(generations.checkpoint()),
        intake: Some(Intake { generations, engine: options }),
        quota: config.member.quota_backend_bytes,
        pace: pace(config),
        supervisor: Some(supervisor.clone()),
        tokens: Arc::clone(&access.simple),
        ..state::Options::default()
    };
    Ok(Machine::open(engine, &options, registry)?)
}

fn pace(config: &Config) -> Pace {
    let usual = Pace::default();
    let compaction = &config.compaction;
    let batch = Some(compaction.batch_limit).filter(|limit| *limit > 0).unwrap_or(usual.batch);
    Pace { batch, pause: compaction.sleep_interval }
}

fn wal_options(config: &Config, registry: &Registry) -> WalOptions {
    let help = "The latency distributions of fsync called by WAL.";
    let took = registry.histogram("etcd_disk_wal_fsync_duration_seconds", help, buckets::disk());
    let help = "The latency distributions of write called by WAL.";
    let wrote = registry.histogram("etcd_disk_wal_write_duration_seconds", help, buckets::disk());
    let written =
        registry.gauge("etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.");
    WalOptions {
        // Consensus keeps the decoded tail itself; the log only bridges the moment before.
        cache_bytes: WAL_CACHE,
        segment_bytes: scaled(WalOptions::default().segment_bytes),
        fsync: !config.features.unsafe_no_fsync,
        observer: Some(Arc::new(move |synced: Synced| {
            wrote.observe(synced.wrote.as_secs_f64());
            took.observe(synced.took.as_secs_f64());
            written.add(i64::try_from(synced.bytes).unwrap_or(i64::MAX));
        })),
        ..WalOptions::default()
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        heartbeat: config.member.heartbeat_interval,
        election: config.member.election_timeout,
        pre_vote: config.cluster.pre_vote,
        max_request_bytes: config.member.max_request_bytes,
        request_timeout: Settings::default().request_timeout,
        snapshot_count: config.member.snapshot_count,
        snapshot_catchup_entries: config.member.snapshot_catchup_entries,
        slow_apply: config.member.warning_apply_duration,
        rules: Rules {
            max_learners: config.cluster.max_learners,
            strict: config.cluster.strict_reconfig_check,
        },
    }
}

/// Tells the cluster who serves here, so that member lists show it before clients arrive. That takes a
/// leader, and so a quorum of the members; a learner's leader writes it into the log for it.
async fn publish_self(
    config: &Config,
    node: &Node,
    reader: &Reader,
    supervisor: &Supervisor,
) -> Result<(), ServerError> {
    let urls: Vec<String> =
        config.member.advertise_client_urls.iter().map(ToString::to_string).collect();
    let proposer = node.proposer();
    tokio::select! {
        published = publish::attributes(&proposer, node.id(), &config.member.name, &urls) => {
            published?;
        }
        // Whoever runs the node learns of it next.
        () = node.removed() => return Ok(()),
    }
    publish::cluster_version(proposer, reader.clone(), node.leadership(), supervisor).await?;
    Ok(())
}

fn watch_disk(config: &Config, parts: &Shared<'_>) -> DiskWatch {
    DiskWatch::start(DiskParts {
        space: parts.space.clone(),
        wal: parts.wal.clone(),
        election: config.member.election_timeout,
        supervisor: parts.supervisor.clone(),
        registry: parts.registry.clone(),
        clock: Clock,
        node: parts.node.clone(),
    })
}

fn compare(config: &Config, parts: &Shared<'_>) -> Comparing {
    Comparing::start(ComparisonParts {
        node: parts.node.clone(),
        reader: parts.reader.clone(),
        proposer: parts.node.proposer(),
        when: config.comparisons,
        supervisor: parts.supervisor.clone(),
    })
}

fn pass_lists(parts: &Shared<'_>) -> Passing {
    Passing::start(PassingParts {
        node: parts.node.clone(),
        credentials: parts.credentials.clone(),
        supervisor: parts.supervisor.clone(),
        registry: parts.registry.clone(),
    })
}

/// The jobs that look after the state.
fn start_upkeep(config: &Config, parts: &Shared<'_>) -> Lessor {
    AutoCompaction {
        retention: config.compaction.retention,
        reader: parts.reader.clone(),
        proposer: parts.node.proposer(),
        leadership: parts.node.leadership(),
        clock: Clock,
    }
    .start(parts.supervisor);
    QuotaWatch::start(QuotaParts {
        id: parts.node.id(),
        reader: parts.reader.clone(),
        proposer: parts.node.proposer(),
        supervisor: parts.supervisor.clone(),
        registry: parts.registry.clone(),
    });
    Lessor::start(LessorParts {
        reader: parts.reader.clone(),
        proposer: parts.node.proposer(),
        linear: parts.node.linear(),
        node: parts.node.clone(),
        election: config.member.election_timeout,
        checkpoint: config.features.lease_checkpoint,
        supervisor: parts.supervisor.clone(),
        registry: parts.registry.clone(),
        clock: Clock,
    })
}

/// Where the state lies.
struct Stores<'a> {
    data_dir: &'a DataDir,
    space: &'a Space,
}

/// What the upper rooms are built from.
struct Shared<'a> {
    node: &'a Node,
    reader: &'a Reader,
    wal: &'a Wal,
    space: &'a Space,
    supervisor: &'a Supervisor,
    registry: &'a Registry,
    credentials: Vec<Credentials>,
    access: &'a Access,
}

fn backend(
    config: &Config,
    identity: Identity,
    parts: &Shared<'_>,
    health: watch::Receiver<Health>,
) -> Backend {
    let member = &config.member;
    parts.access.follow(parts.supervisor);
    let started = u64::try_from(Clock.unix().as_millis()).unwrap_or_default();
    Backend {
        cluster: identity.cluster,
        member: identity.member,
        node: parts.node.clone(),
        proposer: parts.node.proposer(),
        linear: parts.node.linear(),
        reader: parts.reader.clone(),
        hub: Hub::start(parts.reader.clone(), parts.supervisor, parts.registry),
        disk: watch_disk(config, parts),
        lessor: start_upkeep(config, parts),
        comparing: compare(config, parts),
        passing: pass_lists(parts),
        provider: parts.access.provider.clone(),
        passwords: Arc::clone(&parts.access.passwords),
        certificates_name_users: config.client_tls.client_cert_auth,
        ids: RequestIds::new(identity.member, started),
        limits: Limits {
            max_request_bytes: member.max_request_bytes,
            max_txn_ops: member.max_txn_ops,
            watch_progress_interval: member.watch_progress_notify_interval,
            election_timeout: member.election_timeout,
            range_bytes_in_flight: Limits::RANGE_BYTES_IN_FLIGHT,
            slow_request: member.warning_unary_request_duration,
            extensive_metrics: member.metrics == MetricsMode::Extensive,
        },
        health,
        registry: parts.registry.clone(),
        hashes: Semaphore::new(Backend::HASHES),
    }
}
