//! SIGHUP: certificates are read again, log files opened again.

use std::sync::Arc;

use super::start::Running;
use crate::systemd::Notifier;
use crate::telemetry::logging::LogHandle;
use crate::transport::Credentials;

/// What can be renewed while the node runs.
pub(super) struct Reloader {
    log: LogHandle,
    credentials: Option<Credentials>,
    notifier: Arc<Notifier>,
}

impl Reloader {
    /// Of a node that serves.
    pub(super) fn new(log: LogHandle, running: &Running, notifier: Arc<Notifier>) -> Self {
        Self { log, credentials: running.credentials.clone(), notifier }
    }

    /// Reads again what may have changed. What is broken is said and stays as it was.
    pub(super) fn reload(&self) {
        self.notifier.reloading();
        tracing::info!("received signal; reloading certificates and log files");
        self.log.reopen();
        let status = match self.credentials.as_ref().map(Credentials::reload) {
            Some(Err(error)) => {
                tracing::error!(%error, "kept the old certificates: the new ones cannot be used");
                "serving; the last reload failed, see the log"
            }
            Some(Ok(())) | None => "serving",
        };
        self.notifier.ready(status);
    }
}
