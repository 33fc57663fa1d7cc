//! SIGHUP: certificates, keys of tokens and the log level are read again, log files opened again.

use super::Reread;
use super::access::Access;
use super::start::Running;
use super::telling::Telling;
use crate::telemetry::logging::LogHandle;
use crate::transport::Credentials;

/// What can be renewed while the node runs.
pub(super) struct Reloader<'a> {
    log: LogHandle,
    credentials: Vec<Credentials>,
    access: Access,
    telling: Telling,
    reread: &'a Reread<'a>,
}

impl<'a> Reloader<'a> {
    /// Of a node that serves.
    pub(super) fn new(log: LogHandle, running: &Running, reread: &'a Reread<'a>) -> Self {
        let (credentials, telling) = (running.credentials.clone(), running.telling.clone());
        let access = running.access.clone();
        Self { log, credentials, access, telling, reread }
    }

    /// Reads again what may have changed. What is broken is said and stays as it was.
    pub(super) fn reload(&self) {
        self.telling.reloads();
        tracing::info!("received signal; reloading certificates, log level and log files");
        self.log.reopen();
        let renewed = [self.level(), self.certificates(), self.keys()];
        self.telling.serves(if renewed.contains(&false) {
            "; the last reload failed, see the log"
        } else {
            ""
        });
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

    fn keys(&self) -> bool {
        let Some(keys) = self.access.keys() else { return true };
        // What is wrong is logged there.
        keys.reload().is_ok()
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
