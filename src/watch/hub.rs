//! The hub: follows the store, owns the table, runs the catch-up.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;

use super::catchup::{Cohort, Round};
use super::core::{Core, Store};
use super::limits::{REPLAYED_BYTES, REPLAYED_REVISIONS};
use super::metrics::Metrics;
use super::outbox::{Outbox, Revision, Totals};
use super::source::{History, HistoryError, HistoryLimits, Source};
use super::stream::{StreamOptions, WatchStream};
use crate::proto::etcdserverpb::WatchCreateRequest;
use crate::tasks::{Stage, Stop, Supervisor};
use crate::telemetry::metrics::Registry;

/// Pause after a failed read of history; the store itself stops the node if it is broken.
const RETRY: Duration = Duration::from_millis(500);

/// Revisions dispatched under one hold of the table's lock.
const STEP: usize = 256;

/// Fans committed revisions out to watch streams; clones share one.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) source: Arc<dyn Source>,
    core: Mutex<Core>,
    totals: Arc<Totals>,
    /// Somebody is behind and has room.
    catch_up: Notify,
}

impl Hub {
    /// Starts following `source`. When serving stops, every stream ends after what it has queued.
    pub fn start(source: impl Source, supervisor: &Supervisor, registry: &Registry) -> Self {
        let metrics = Metrics::new(registry);
        // First the ear, then the look: what is committed in between must not go unheard.
        let published = source.published();
        let totals = Arc::new(Totals::new(metrics.pending.clone()));
        let core = Mutex::new(Core::new(source.revision(), metrics));
        let source: Arc<dyn Source> = Arc::new(source);
        let inner = Arc::new(Inner { source, core, totals, catch_up: Notify::new() });
        let stop = supervisor.stop_token(Stage::Watching);
        let serving = supervisor.stop_token(Stage::Serving);
        supervisor.spawn("watch-fan-out", Stage::Watching, {
            let (inner, stop) = (Arc::clone(&inner), stop.clone());
            async move { inner.follow(published, &stop, &serving).await }
        });
        supervisor.spawn("watch-catch-up", Stage::Watching, {
            let inner = Arc::clone(&inner);
            async move { inner.run_catch_up(&stop).await }
        });
        Self { inner }
    }

    /// Opens a stream; dropping it cancels its watchers.
    pub fn stream(&self, options: StreamOptions) -> WatchStream {
        let outbox = Arc::new(Outbox::new(Arc::clone(&self.inner.totals)));
        let number = self.inner.core.lock().open(Arc::clone(&outbox));
        WatchStream::new(Arc::clone(&self.inner), number, outbox, options)
    }
}

impl Inner {
    async fn follow(&self, mut published: watch::Receiver<i64>, stop: &Stop, serving: &Stop) {
        let mut open = true;
        loop {
            tokio::select! {
                () = stop.stopped() => break,
                () = serving.stopped(), if open => {
                    // Connections end only when their streams do.
                    open = false;
                    self.core.lock().stop();
                }
                changed = published.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    published.borrow_and_update();
                    self.pump();
                }
            }
        }
        self.core.lock().stop();
    }

    /// Dispatches whatever is committed and not dispatched yet, and lets others in between.
    fn pump(&self) {
        let waiting = self.source.recent(self.core.lock().dispatched);
        let Some(batches) = waiting else {
            self.core.lock().lose_touch(self.source.revision());
            self.catch_up.notify_one();
            return;
        };
        let mut refused = false;
        for step in batches.chunks(STEP) {
            let mut core = self.core.lock();
            for batch in step {
                refused |= core.dispatch(batch);
            }
        }
        if refused {
            self.catch_up.notify_one();
        }
    }

    async fn run_catch_up(&self, stop: &Stop) {
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                () = self.catch_up.notified() => {}
            }
            while !stop.is_stopped() && self.catch_up_round().await {
                // A round may have cost some milliseconds of this worker.
                tokio::task::yield_now().await;
            }
        }
    }

    /// One round; false when nobody behind has room.
    async fn catch_up_round(&self) -> bool {
        let cohort = match self.core.lock().round(&*self.source) {
            Round::Idle => return false,
            Round::Done => return true,
            Round::Read(cohort) => cohort,
        };
        match self.read_history(&cohort).await {
            Ok((revisions, end)) => {
                self.core.lock().finish(&cohort, &*self.source, revisions, end);
            }
            // The next round ends those that lost their place.
            Err(HistoryError::Compacted { .. }) => {}
            Err(HistoryError::Store(error)) => {
                tracing::error!(error, from = cohort.from, "cannot read history for watchers");
                tokio::time::sleep(RETRY).await;
            }
        }
        true
    }

    async fn read_history(
        &self,
        cohort: &Cohort,
    ) -> Result<(Vec<Arc<Revision>>, i64), HistoryError> {
        let source = Arc::clone(&self.source);
        let (hull, span, prev_kv) = (cohort.hull.clone(), (cohort.from, cohort.to), cohort.prev_kv);
        let read = spawn_blocking(move || {
            let limits = HistoryLimits { revisions: REPLAYED_REVISIONS, bytes: REPLAYED_BYTES };
            let History { batches, end } = source.history(&hull, span, limits)?;
            let revisions: Vec<_> =
                batches.into_iter().map(|batch| Arc::new(Revision::new(batch))).collect();
            if prev_kv {
                // Here the disk may be waited for; where responses are written it should not be.
                for revision in &revisions {
                    for place in 0..revision.batch.events.len() {
                        revision.previous(place, &*source);
                    }
                }
            }
            Ok((revisions, end))
        });
        read.await.map_err(|error| HistoryError::Store(error.to_string()))?
    }

    pub(super) fn create(&self, stream: u32, request: &WatchCreateRequest) {
        if request.start_revision > 0 {
            // What is committed by now is history to this watcher, to be told in one go.
            self.pump();
        }
        let mut core = self.core.lock();
        if core.create(stream, request, self.store()) {
            self.catch_up.notify_one();
        }
    }

    pub(super) fn cancel(&self, stream: u32, id: i64) {
        let mut core = self.core.lock();
        core.cancel(stream, id, self.source.revision());
    }

    pub(super) fn bytes(&self, stream: u32) -> usize {
        self.core.lock().bytes(stream)
    }

    pub(super) fn progress(&self, stream: u32) {
        // A client that asks right after its write expects to hear of that write.
        self.pump();
        self.core.lock().progress(stream);
    }

    pub(super) fn tick(&self, stream: u32) {
        self.core.lock().tick(stream);
    }

    pub(super) fn close(&self, stream: u32) {
        self.core.lock().close(stream);
    }

    pub(super) fn room(&self) {
        self.catch_up.notify_one();
    }

    fn store(&self) -> Store {
        Store { revision: self.source.revision(), compacted: self.source.compacted() }
    }
}
