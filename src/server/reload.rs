//! SIGHUP: certificates and the log level are read again, log files opened again.

use std::sync::Arc;

use super::Reread;
use super::start::Running;
use crate::systemd::Notifier;
use crate::telemetry::logging::LogHandle;
use crate::transport::Credentials;

/// What can be renewed while the node runs.
pub(super) struct Reloader<'a> {
    log: LogHandle,
    credentials: Vec<Credentials>,
    notifier: Arc<Notifier>,
    reread: &'a Reread<'a>,
}

impl<'a> Reloader<'a> {
    /// Of a node that serves.
    pub(super) fn new(
        log: LogHandle,
        running: &Running,
        notifier: Arc<Notifier>,
        reread: &'a Reread<'a>,
    ) -> Self {
        Self { log, credentials: running.credentials.clone(), notifier, reread }
    }

    /// Reads again what may have changed. What is broken is said and stays as it was.
    pub(super) fn reload(&self) {
        self.notifier.reloading();
        tracing::info!("received signal; reloading certificates, log level and log files");
        self.log.reopen();
        let renewed = [self.level(), self.certificates()];
        let status = if renewed.contains(&false) {
            "serving; the last reload failed, see the log"
        } else {
            "serving"
        };
        self.notifier.ready(status);
    }

    /// The level of the configuration as it reads now; everything else in it waits for a restart.
    fn level(&self) -> bool {
        let loaded = match (self.reread)() {
            Ok(loaded) => loaded,
            Err(exit) => {
                let error = exit.stderr.trim();
                tracing::error!(error, "kept the log level: the configuration cannot be used");
                return false;
            }
        };
        let level = loaded.config.log.level.as_str();
        match self.log.set_level(level) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "kept the log level");
                false
            }
        }
    }

    fn certificates(&self) -> bool {
        let faults: Vec<_> =
            self.credentials.iter().filter_map(|held| held.reload().err()).collect();
        for error in &faults {
            tracing::error!(%error, "kept the old certificates: the new ones cannot be used");
        }
        faults.is_empty()
    }
}
