//! Many writes at once, and how long each took.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::failure::{Exit, Failure, describe};
use super::progress::Progress;
use super::session::Session;
use super::stopwatch::Times;
use crate::client::Client;
use crate::proto::etcdserverpb::PutRequest;
use crate::tasks::{Signal, Signals};
use crate::types::clock::Clock;

/// Pause between two looks at how far it has come.
const LOOK: Duration = Duration::from_millis(250);

/// What is written.
pub(super) struct Work {
    pub(super) prefix: String,
    pub(super) key: usize,
    pub(super) value: usize,
    pub(super) clients: usize,
    /// Pairs in all.
    pub(super) pairs: u64,
    /// Writes per second; as many as can be without it.
    pub(super) rate: Option<u64>,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) times: Times,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) took: Duration,
    /// What stopped it before all was written.
    pub(super) stopped: Option<Signal>,
}

impl Work {
    /// Writes all of it through that many connections. A signal ends it before, once the writes that
    /// are under way are done; a second one does not wait for them.
    pub(super) async fn write(&self, session: &Session) -> Result<Outcome, Failure> {
        let failed = |text: String| Failure::new(Exit::Error, text);
        let mut signals = Signals::listen()
            .map_err(|error| failed(format!("cannot listen to signals: {error}")))?;
        let begun = Clock.now();
        let (next, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut writers = JoinSet::new();
        for _ in 0..self.clients {
            let client = session.again()?;
            let (next, done) = (Arc::clone(&next), Arc::clone(&done));
            writers.spawn(self.writer(client, next, done, begun).run());
        }
        let mut outcome = Outcome::default();
        let mut progress = Progress::new();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                one = writers.join_next() => match one {
                    Some(Ok(part)) => outcome.take(part),
                    Some(Err(error)) => return Err(failed(format!("a writer ended early: {error}"))),
                    None => break,
                },
                signal = signals.next() => {
                    if outcome.stopped.is_some() {
                        break;
                    }
                    outcome.stopped = Some(signal);
                    next.store(self.pairs, Ordering::Relaxed);
                }
                _ = tick.tick() => {
                    let (done, pairs) = (done.load(Ordering::Relaxed), self.pairs);
                    let percent = (done * 100).checked_div(pairs).unwrap_or(100);
                    progress.tell(|| format!("{done} / {pairs} writes ({percent} %)"));
                }
            }
        }
        outcome.took = Clock.now().duration_since(begun);
        Ok(outcome)
    }

    fn writer(
        &self,
        client: Client,
        next: Arc<AtomicU64>,
        done: Arc<AtomicU64>,
        begun: Instant,
    ) -> Writer {
        Writer {
            client,
            next,
            done,
            begun,
            pairs: self.pairs,
            pause: self.rate.map(|rate| Duration::from_secs(1).div_f64(rate as f64)),
            key: format!("{}{}", self.prefix, "k".repeat(self.key)),
            room: self.key,
            value: Bytes::from(vec![b'v'; self.value]),
        }
    }
}

impl Outcome {
    fn take(&mut self, (times, errors): (Times, BTreeMap<String, u64>)) {
        self.times.merge(times);
        for (error, count) in errors {
            *self.errors.entry(error).or_default() += count;
        }
    }
}

/// One connection that writes whatever is next.
struct Writer {
    client: Client,
    next: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
    begun: Instant,
    pairs: u64,
    /// Between two writes of all of them together.
    pause: Option<Duration>,
    /// A key of the right length, whose end is replaced by the number of the write.
    key: String,
    room: usize,
    value: Bytes,
}

impl Writer {
    async fn run(self) -> (Times, BTreeMap<String, u64>) {
        let (mut times, mut errors) = (Times::default(), BTreeMap::new());
        let mut kv = self.client.kv();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.pairs {
                return (times, errors);
            }
            if let Some(pause) = self.pause {
                let due = self.begun + pause.mul_f64(number as f64);
                tokio::time::sleep_until(due.into()).await;
            }
            let begun = Clock.now();
            match kv.put(self.request(number)).await {
                Ok(_) => times.note(Clock.now().duration_since(begun)),
                Err(status) => *errors.entry(describe(&status)).or_default() += 1,
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn request(&self, number: u64) -> PutRequest {
        let digits = format!("{number:020}");
        let kept = self.key.len().saturating_sub(self.room.min(digits.len()));
        let key = format!("{}{digits}", self.key.get(..kept).unwrap_or_default());
        PutRequest { key: key.into(), value: self.value.clone(), ..PutRequest::default() }
    }
}
