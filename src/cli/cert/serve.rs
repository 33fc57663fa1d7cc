//! `etcd cert serve`: the issuer, beside the authorities.

use std::net::IpAddr;

use super::args::Words;
use super::context::{self, Context, dir_flag};
use super::report::{Refusal, Report};
use crate::certs::Layout;
use crate::enrol::{Issuer, PORT, Parts};
use crate::systemd::Notifier;
use crate::tasks::{Signal, Signals, Supervisor};
use crate::telemetry::logging;
use crate::types::url::Url;

/// How long calls under way get to end.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) fn run(words: &Words, _context: &Context) -> Result<Report, Refusal> {
    if let Some(word) = words.rest.first() {
        return Err(Refusal::Misuse(format!("{word:?} is one word too many")));
    }
    let layout = context::layout(words)?;
    let parts = parts(words, layout.clone())?;
    let failed = |text: String| Refusal::Failed(text);
    // Whatever is made here is for nobody else.
    let _inherited = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let log = logging::init(&logging::Options::default());
    let log = log.map_err(|error| failed(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(format!("cannot start the runtime: {error}")))?;
    let served = runtime.block_on(serve(parts, &layout));
    log.flush();
    served?;
    Ok(Report::default())
}

fn parts(words: &Words, layout: Layout) -> Result<Parts, Refusal> {
    let listen =
        words.get("listen").map_or_else(|| format!("https://0.0.0.0:{PORT}"), str::to_owned);
    let listen =
        Url::parse_list(&listen).map_err(|error| Refusal::Misuse(format!("--listen: {error}")))?;
    let mut endpoints = words.list("endpoints");
    if endpoints.is_empty() {
        endpoints.push("https://127.0.0.1:2379".to_owned());
    }
    let mut hosts = context::sans(words)?;
    let reached = listen.iter().map(Url::host).filter(|host| !is_everywhere(host));
    hosts.extend(reached.map(str::to_owned));
    Ok(Parts { layout, listen, endpoints, life: context::leaf_life(words)?, hosts })
}

fn is_everywhere(host: &str) -> bool {
    host.is_empty() || host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

async fn serve(parts: Parts, layout: &Layout) -> Result<(), Refusal> {
    let failed = |text: String| Refusal::Failed(text);
    let mut signals =
        Signals::listen().map_err(|error| failed(format!("cannot listen for signals: {error}")))?;
    let (supervisor, notifier) = (Supervisor::new(), Notifier::from_env());
    let started = Issuer::start(parts, &supervisor).await;
    let issuer = started.map_err(|error| failed(error.to_string()))?;
    for url in issuer.urls() {
        let next = format!("etcd cert token create --role member --name NAME{}", dir_flag(layout));
        tracing::info!(address = %url, next, "serving certificates");
    }
    notifier.ready("serving certificates");
    let fault = loop {
        tokio::select! {
            signal = signals.next() => match signal {
                // Everything on disk is read anew with every call already.
                Signal::Reload => tracing::info!("nothing to reload: files are read when needed"),
                signal => {
                    tracing::info!(signal = signal.name(), "received signal; shutting down");
                    break None;
                }
            },
            fault = supervisor.failed() => break Some(fault),
        }
    };
    notifier.stopping("stopping");
    let overrun = supervisor.shutdown(GRACE).await;
    if !overrun.is_empty() {
        tracing::warn!(tasks = ?overrun, "tasks did not stop within their deadline");
    }
    match fault {
        Some(fault) => Err(failed(format!("the issuer cannot go on: {fault}"))),
        None => Ok(()),
    }
}
