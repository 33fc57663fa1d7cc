//! The token that tells a task to stop.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

/// A stop request that tasks await and threads poll; clones share one request.
#[derive(Clone, Debug)]
pub struct Stop {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    // Two signals for one fact: tasks wait on the channel, threads without a runtime on the condition.
    asked: watch::Sender<bool>,
    flag: Mutex<bool>,
    changed: Condvar,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// A token nobody has asked to stop yet.
    pub fn new() -> Self {
        let inner = Inner {
            asked: watch::Sender::new(false),
            flag: Mutex::new(false),
            changed: Condvar::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Asks to stop; asking again changes nothing.
    pub fn stop(&self) {
        *self.inner.flag.lock() = true;
        self.inner.changed.notify_all();
        self.inner.asked.send_replace(true);
    }

    /// Whether somebody has asked to stop.
    pub fn is_stopped(&self) -> bool {
        *self.inner.asked.borrow()
    }

    /// Waits until somebody asks to stop; returns at once if that has happened.
    pub async fn stopped(&self) {
        let mut asked = self.inner.asked.subscribe();
        // The sender lives in `self`, so the channel cannot close while we wait.
        let _ = asked.wait_for(|stop| *stop).await;
    }

    /// Blocks a thread until somebody asks to stop or `limit` has passed; true if asked to stop.
    pub fn wait(&self, limit: Duration) -> bool {
        let mut flag = self.inner.flag.lock();
        self.inner.changed.wait_while_for(&mut flag, |stop| !*stop, limit);
        *flag
    }
}
