//! States that were replaced, until nobody reads from them any more.

use std::time::Duration;

use crate::storage::engine::Engine;
use crate::tasks::{Stage, Supervisor};

/// How soon to look again whether a replaced state is still read from.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Keeps replaced engines open for those who still read, and removes their folders afterwards. What is
/// left at the end is removed at the next start.
pub(super) struct Retired {
    engines: Vec<Engine>,
    supervisor: Option<Supervisor>,
}

impl Retired {
    pub(super) fn new(supervisor: Option<Supervisor>) -> Self {
        Self { engines: Vec::new(), supervisor }
    }

    pub(super) fn add(&mut self, engine: Engine) {
        self.engines.push(engine);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.engines.is_empty()
    }

    /// Removes those that nobody uses. Says when to look again, if any are left.
    pub(super) fn tidy(&mut self) -> Option<Duration> {
        let (free, used) = self.engines.drain(..).partition(Engine::is_alone);
        self.engines = used;
        free.into_iter().for_each(|engine| self.remove(engine));
        (!self.engines.is_empty()).then_some(LOOK_AGAIN)
    }

    /// On a thread of its own: closing waits for merges under way, and large files take their time.
    fn remove(&self, engine: Engine) {
        let Some(supervisor) = &self.supervisor else { return engine.remove() };
        let removed = supervisor.thread("replaced-state", Stage::Storage, move |_| engine.remove());
        if let Err(error) = removed {
            tracing::warn!(%error, "cannot start the thread that removes a replaced state");
        }
    }
}
