//! A node inside another program, which keeps its own log, signals and file modes.

use std::sync::Arc;

use super::error::ServerError;
use super::start::{Running, start};
use super::stop;
use crate::config::Loaded;
use crate::systemd::Notifier;
use crate::tasks::Supervisor;
use crate::transport::Inherited;

/// A node that serves until it is stopped, removed from its cluster, or cannot go on. Dropped without
/// [`Self::stop`], its tasks end with the runtime they are on.
pub struct Embedded {
    running: Running,
    supervisor: Supervisor,
    notifier: Arc<Notifier>,
}

impl Embedded {
    /// Starts a node and returns when it serves, which for one of several takes a quorum of them.
    ///
    /// # Errors
    /// If anything it needs is not as it must be, or fails meanwhile.
    pub async fn start(loaded: &Loaded) -> Result<Self, ServerError> {
        let (supervisor, notifier) = (Supervisor::new(), Arc::new(Notifier::default()));
        let started = tokio::select! {
            started = start(&loaded.config, &supervisor, &notifier, Inherited::default()) => started,
            fault = supervisor.failed() => Err(ServerError::Failed(fault)),
        };
        match started {
            Ok(running) => Ok(Self { running, supervisor, notifier }),
            Err(error) => {
                stop::before_serving(&supervisor, &loaded.config).await;
                Err(error)
            }
        }
    }

    /// Waits until the node cannot go on, and tells why; also when it was removed from its cluster.
    pub async fn ended(&self) -> String {
        tokio::select! {
            () = self.running.node.removed() => "removed from the cluster".to_owned(),
            fault = self.supervisor.failed() => fault,
        }
    }

    /// Stops it in order: leadership is handed over, open requests are answered, files are closed.
    pub async fn stop(self) {
        stop::stop(self.running, &self.supervisor, &self.notifier).await;
    }
}
