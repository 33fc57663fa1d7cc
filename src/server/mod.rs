//! Composition root of the daemon: builds a node from its parts, says when it serves, stops it in
//! order. No rules of its own.

mod access;
mod certificates;
mod embedded;
mod error;
mod files;
mod first_start;
mod following;
mod hardening;
mod listeners;
mod reload;
mod renewal;
mod start;
mod stop;
mod telling;
mod watchdog;

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Exit, Loaded};
use crate::systemd::Notifier;
use crate::tasks::{Signal, Signals, Supervisor};
use crate::telemetry::logging::{self, LogHandle};
use crate::telemetry::panic::{self, Then};
use crate::transport::Inherited;
use crate::types::version;

pub use embedded::Embedded;
pub use error::ServerError;

/// How long a member goes on that was removed, as in etcd.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long threads of the runtime may take to end that should have ended.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Stopped in order because of this signal; the process should end by it, as etcd's does.
    Signal(Signal),
    /// The member was removed from its cluster.
    Removed,
    /// Could not start or go on; the log says why.
    Failed,
}

/// Reads the configuration anew, from the same places as the first time.
pub type Reread<'a> = dyn Fn() -> Result<Loaded, Exit> + Sync + 'a;

/// Runs a node until it is told to stop or cannot go on.
///
/// # Errors
/// If the log or the runtime cannot be set up; everything later is logged.
pub fn run(loaded: Loaded, reread: &Reread<'_>) -> Result<Ending, ServerError> {
    // While no other thread may look at the environment.
    let inherited = Inherited::from_env()?;
    let hardened = hardening::harden(&loaded.config);
    let log = logging::init(&log_options(&loaded))?;
    panic::install(log.clone(), Then::Abort);
    introduce(&loaded);
    hardened.announce();
    files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("etcd-worker")
        .enable_all()
        .build()
        .map_err(ServerError::Runtime)?;
    let ending = runtime.block_on(live(loaded, log.clone(), reread, inherited));
    log.flush();
    // Everybody was told to stop; whom a dead disk holds up is not waited for without end.
    runtime.shutdown_timeout(LAST_WAIT);
    ending
}

fn log_options(loaded: &Loaded) -> logging::Options {
    let log = &loaded.config.log;
    logging::Options {
        level: log.level.as_str().to_owned(),
        outputs: log.outputs.clone(),
        format: match log.format {
            crate::config::LogFormat::Json => logging::Format::Json,
            crate::config::LogFormat::Console => logging::Format::Console,
        },
        enable_rotation: log.enable_rotation,
        rotation_config_json: log.rotation_config_json.clone(),
    }
}

fn introduce(loaded: &Loaded) {
    let arguments: Vec<String> = std::env::args().collect();
    tracing::info!(args = ?arguments, "Running: ");
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let member = &loaded.config.member;
    tracing::info!(
        "etcd-version" = version::ETCD_API,
        implementation = version::IMPLEMENTATION,
        version = version::OURS,
        name = member.name,
        "data-dir" = %member.data_dir.display(),
        "starting an etcd server"
    );
}

/// The life of the node: start, serve, reload when told, stop.
async fn live(
    loaded: Loaded,
    log: LogHandle,
    reread: &Reread<'_>,
    inherited: Inherited,
) -> Result<Ending, ServerError> {
    let mut signals = Signals::listen().map_err(ServerError::Signals)?;
    let supervisor = Supervisor::new();
    let notifier = Arc::new(Notifier::from_env());
    let started = tokio::select! {
        started = start::start(&loaded.config, &supervisor, &notifier, inherited) => started,
        signal = stop_signal(&mut signals) => {
            notifier.stopping("stopping before it served");
            stop::before_serving(&supervisor, &loaded.config).await;
            return Ok(Ending::Signal(signal));
        }
        fault = supervisor.failed() => {
            tracing::error!(severity = "fatal", error = fault, "the server cannot go on");
            stop::before_serving(&supervisor, &loaded.config).await;
            return Ok(Ending::Failed);
        }
    };
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            tracing::error!(severity = "fatal", %error, "failed to start etcd");
            stop::before_serving(&supervisor, &loaded.config).await;
            return Ok(Ending::Failed);
        }
    };
    let reloader = reload::Reloader::new(log, &running, reread);
    let ending = loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => reloader.reload(),
                signal => {
                    tracing::info!(signal = signal.name(), "received signal; shutting down");
                    break Ending::Signal(signal);
                }
            },
            () = running.node.removed() => {
                // Whoever had it removed may still want an answer from it.
                tokio::time::sleep(LAST_WORDS).await;
                tracing::warn!(
                    error = "the member has been permanently removed from the cluster",
                    "server error"
                );
                tracing::warn!("data-dir used by this member must be removed");
                break Ending::Removed;
            }
            fault = supervisor.failed() => {
                tracing::error!(severity = "fatal", error = fault, "the server cannot go on");
                break Ending::Failed;
            }
        }
    };
    stop::stop(running, &supervisor, &notifier).await;
    Ok(ending)
}

/// The next signal that means the end.
async fn stop_signal(signals: &mut Signals) -> Signal {
    loop {
        match signals.next().await {
            Signal::Reload => tracing::info!("nothing to reload yet; still starting"),
            signal => return signal,
        }
    }
}
