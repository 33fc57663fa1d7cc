//! One watch stream: requests in, responses out, polled by its connection.

use std::collections::VecDeque;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::hub::Inner;
use super::limits::WATCHER_BYTES;
use super::outbox::{Outbox, Taken};
use super::response;
use crate::proto::etcdserverpb::{WatchCreateRequest, WatchResponse};

/// What the server's configuration says about watch streams.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// Size in bytes from which a response is cut, for watchers that ask for fragments.
    pub fragment_bytes: usize,
    /// Time between progress notifications, for watchers that ask for them; up to a tenth is added
    /// so that streams do not tick together.
    pub progress_interval: Duration,
}

/// The server's end of a watch stream.
pub struct WatchStream {
    hub: Arc<Inner>,
    number: Option<u32>,
    outbox: Arc<Outbox>,
    options: StreamOptions,
    pending: VecDeque<WatchResponse>,
    /// Runs once a watcher has asked for progress notifications.
    ticker: Option<Pin<Box<Sleep>>>,
}

impl WatchStream {
    pub(super) fn new(
        hub: Arc<Inner>,
        number: Option<u32>,
        outbox: Arc<Outbox>,
        options: StreamOptions,
    ) -> Self {
        Self { hub, number, outbox, options, pending: VecDeque::new(), ticker: None }
    }

    /// Whether requests may be handed in; if not, responses must be taken first.
    pub fn is_open_for_requests(&self) -> bool {
        self.outbox.is_short()
    }

    /// Creates a watcher; the answer, a refusal included, comes as a response.
    pub fn create(&mut self, request: &WatchCreateRequest) {
        let Some(number) = self.number else { return };
        self.hub.create(number, request);
        if request.progress_notify && self.ticker.is_none() {
            self.ticker = Some(Box::pin(sleep(self.interval())));
        }
    }

    /// Bytes its watchers take.
    pub fn bytes(&self) -> usize {
        self.number.map_or(0, |number| self.hub.bytes(number))
    }

    /// Bytes the watcher of a create request would take.
    pub fn cost(request: &WatchCreateRequest) -> usize {
        WATCHER_BYTES + request.key.len().max(1) + request.range_end.len()
    }

    /// Answers a create request with a refusal of the caller's own, such as a missing permission.
    pub fn refuse(&mut self, reason: String) {
        self.outbox.note(response::refused(self.hub.source.revision(), reason));
    }

    /// Cancels a watcher; an unknown id is ignored.
    pub fn cancel(&mut self, watch_id: i64) {
        if let Some(number) = self.number {
            self.hub.cancel(number, watch_id);
        }
    }

    /// Asks for a progress response, which comes if all watchers of the stream are up to date.
    pub fn request_progress(&mut self) {
        if let Some(number) = self.number {
            self.hub.progress(number);
        }
    }

    /// The next response, `None` once the server stops. Its header carries only the revision.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<WatchResponse>> {
        loop {
            if let Some(response) = self.pending.pop_front() {
                return Poll::Ready(Some(response));
            }
            match self.outbox.take() {
                Taken::Item(item, room) => {
                    if room {
                        self.hub.room();
                    }
                    let limit = self.options.fragment_bytes;
                    self.pending = response::write(item, &*self.hub.source, limit);
                }
                Taken::Closed => return Poll::Ready(None),
                Taken::Empty => {
                    self.outbox.reader().register(context.waker());
                    // Between the look and the registration something may have come.
                    if !self.outbox.is_empty() {
                        continue;
                    }
                    if self.poll_tick(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// As [`Self::poll_next`], for callers that can wait.
    pub async fn next(&mut self) -> Option<WatchResponse> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_tick(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let interval = self.interval();
        let Some(ticker) = self.ticker.as_mut() else { return Poll::Pending };
        std::task::ready!(ticker.as_mut().poll(context));
        ticker.set(sleep(interval));
        if let Some(number) = self.number {
            self.hub.tick(number);
        }
        Poll::Ready(())
    }

    fn interval(&self) -> Duration {
        let interval = self.options.progress_interval;
        // The standard library seeds every hasher state anew, which is randomness enough here.
        let share = RandomState::new().hash_one(0) % 1_000;
        interval + interval.mul_f64(share as f64 / 10_000.0)
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.hub.close(number);
        }
    }
}
