//! Automatic compaction: which revision may go, by age or by number. Runs on the leader, proposes
//! ordinary compactions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::config::Retention;
use crate::consensus::{Leadership, Proposer};
use crate::proto::etcdserverpb::CompactionRequest;
use crate::proto::internal::request::Op;
use crate::state::{ApplyError, Reader};
use crate::tasks::{Stage, Supervisor};
use crate::types::clock::Clock;

/// Compaction by age happens at most this often, however long history is kept.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
/// A shorter period than ten of these is a mistake, and no reason to keep a processor busy.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// Looks at the revision within one such interval.
const SAMPLES: u32 = 10;
/// How often compaction by number looks.
const REVISION_INTERVAL: Duration = Duration::from_secs(300);

/// What automatic compaction needs.
pub struct AutoCompaction {
    /// How much history stays.
    pub retention: Retention,
    /// Tells the current revision.
    pub reader: Reader,
    /// Takes the compactions.
    pub proposer: Proposer,
    /// Tells whether this member leads.
    pub leadership: watch::Receiver<Leadership>,
    /// Tells the time.
    pub clock: Clock,
}

impl AutoCompaction {
    /// Starts compacting, unless the retention says never.
    pub fn start(self, supervisor: &Supervisor) {
        let plan: Plan = match self.retention {
            Retention::Periodic(period) if !period.is_zero() => {
                Plan::Age(ByAge::new(period, self.clock.now()))
            }
            Retention::Revision(keep) if keep > 0 => Plan::Number(ByNumber { keep, last: 0 }),
            Retention::Periodic(_) | Retention::Revision(_) => return,
        };
        let stop = supervisor.stop_token(Stage::Upkeep);
        supervisor.spawn("auto-compaction", Stage::Upkeep, async move {
            tokio::select! {
                () = stop.stopped() => {}
                () = self.run(plan) => {}
            }
        });
    }

    async fn run(&self, mut plan: Plan) {
        loop {
            plan.sample(self.reader.revision());
            tokio::time::sleep(plan.interval()).await;
            if !self.leadership.borrow().is_leader {
                continue;
            }
            let revision = plan.due(self.clock.now(), self.reader.revision());
            if let Some(revision) = revision.filter(|revision| *revision > 0) {
                let done = self.compact(&plan, revision).await;
                plan.finished(self.clock.now(), revision, done);
            }
        }
    }

    async fn compact(&self, plan: &Plan, revision: i64) -> bool {
        let kind = plan.name();
        tracing::info!(revision, "starting auto {kind} compaction");
        let began = self.clock.now();
        let request = CompactionRequest { revision, physical: false };
        let failure = match self.proposer.propose(Op::Compaction(request)).await {
            Ok(outcome) => match outcome.result {
                // Somebody else compacted as far: the goal is reached.
                Ok(_) | Err(ApplyError::Compacted) => None,
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(error.to_string()),
        };
        let took = self.clock.now().duration_since(began);
        match &failure {
            None => tracing::info!(revision, took = ?took, "completed auto {kind} compaction"),
            Some(error) => tracing::warn!(
                revision,
                "retry-interval" = ?plan.interval(),
                error,
                "failed auto {kind} compaction"
            ),
        }
        failure.is_none()
    }
}

/// The two ways to decide.
enum Plan {
    Age(ByAge),
    Number(ByNumber),
}

impl Plan {
    fn name(&self) -> &'static str {
        match self {
            Self::Age(_) => "periodic",
            Self::Number(_) => "revision",
        }
    }

    fn interval(&self) -> Duration {
        match self {
            Self::Age(plan) => plan.interval,
            Self::Number(_) => REVISION_INTERVAL,
        }
    }

    fn sample(&mut self, revision: i64) {
        if let Self::Age(plan) = self {
            plan.sample(revision);
        }
    }

    fn due(&self, now: Instant, revision: i64) -> Option<i64> {
        match self {
            Self::Age(plan) => plan.due(now),
            Self::Number(plan) => plan.due(revision),
        }
    }

    fn finished(&mut self, now: Instant, revision: i64, done: bool) {
        match self {
            Self::Age(plan) => plan.finished(now, revision, done),
            Self::Number(plan) if done => plan.last = revision,
            Self::Number(_) => {}
        }
    }
}

/// Keeps the history of a period: looks at the revision several times per interval and compacts
/// to what it was a period ago. The first compaction comes after a whole period, later ones every
/// period or hour, whichever is shorter.
struct ByAge {
    /// Revisions seen, the oldest from a period ago.
    samples: VecDeque<i64>,
    keep: usize,
    interval: Duration,
    /// Time from one compaction to the next.
    wait: Duration,
    /// The same from the second compaction on.
    later_wait: Duration,
    last_done: Instant,
    last: i64,
}

impl ByAge {
    fn new(period: Duration, now: Instant) -> Self {
        let later_wait = period.min(LONGEST_INTERVAL);
        let interval = (later_wait / SAMPLES).max(SHORTEST_INTERVAL);
        let per_period = period.as_nanos() / interval.as_nanos();
        Self {
            samples: VecDeque::new(),
            keep: usize::try_from(per_period).unwrap_or(usize::MAX).saturating_add(1),
            interval,
            wait: period,
            later_wait,
            last_done: now,
            last: 0,
        }
    }

    fn sample(&mut self, revision: i64) {
        self.samples.push_back(revision);
        if self.samples.len() > self.keep {
            self.samples.pop_front();
        }
    }

    fn due(&self, now: Instant) -> Option<i64> {
        let revision = *self.samples.front()?;
        let waited = now.saturating_duration_since(self.last_done) >= self.wait;
        (waited && revision != self.last).then_some(revision)
    }

    fn finished(&mut self, now: Instant, revision: i64, done: bool) {
        self.wait = self.later_wait;
        if done {
            self.last_done = now;
            self.last = revision;
        }
    }
}

/// Keeps a number of revisions.
struct ByNumber {
    keep: i64,
    last: i64,
}

impl ByNumber {
    fn due(&self, revision: i64) -> Option<i64> {
        let target = revision - self.keep;
        (target > 0 && target != self.last).then_some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    /// Runs a plan for `time` with one new revision per minute; the compactions with their minute.
    fn simulate(period: Duration, time: Duration) -> Vec<(u64, i64)> {
        let start = Clock.now();
        let mut plan = ByAge::new(period, start);
        let mut now = start;
        let mut compactions = Vec::new();
        while now - start < time {
            let minute = (now - start).as_secs() / 60;
            plan.sample(minute.cast_signed() + 1);
            now += plan.interval;
            if let Some(revision) = plan.due(now) {
                compactions.push(((now - start).as_secs() / 60, revision));
                plan.finished(now, revision, true);
            }
        }
        compactions
    }

    #[test]
    fn a_period_below_an_hour_compacts_once_per_period() {
        assert_eq!(simulate(30 * MINUTE, 2 * HOUR), [(30, 1), (60, 28), (90, 58), (120, 88)]);
    }

    #[test]
    fn a_longer_period_compacts_every_hour_once_it_is_over() {
        let compactions = simulate(5 * HOUR, 8 * HOUR);
        assert_eq!(compactions, [(300, 1), (360, 55), (420, 115), (480, 175)]);
    }

    #[test]
    fn nothing_new_is_not_compacted_again_and_failures_are_retried() {
        let start = Clock.now();
        let mut plan = ByAge::new(10 * MINUTE, start);
        plan.sample(5);
        let now = start + 10 * MINUTE;
        assert_eq!(plan.due(now), Some(5));
        plan.finished(now, 5, false);
        assert_eq!(plan.due(now + MINUTE), Some(5));
        plan.finished(now + MINUTE, 5, true);
        assert_eq!(plan.due(now + HOUR), None);
    }

    #[test]
    fn a_number_of_revisions_stays() {
        let mut plan = ByNumber { keep: 100, last: 0 };
        assert_eq!(plan.due(100), None);
        assert_eq!(plan.due(150), Some(50));
        plan.last = 50;
        assert_eq!(plan.due(150), None);
        assert_eq!(plan.due(151), Some(51));
    }
}
