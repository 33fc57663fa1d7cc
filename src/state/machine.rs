//! The machine: the single writer of the state. It lives on the apply thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::broadcast;

use super::apply::{self, Tables};
use super::checkpoints::Checkpoints;
use super::command::{Entry, Payload};
use super::error::StateError;
use super::late::EARLY_BYTES;
use super::load;
use super::meta::{self, Compactions, Progress};
use super::metrics::Metrics;
use super::mvcc::cache::ValueCache;
use super::mvcc::compaction::{Pace, Sweep};
use super::mvcc::read::Meter;
use super::mvcc::recent::Recent;
use super::mvcc::record::Records;
use super::mvcc::reopen;
use super::mvcc::write::{Start, Writer};
use super::outcome::Outcome;
use super::reader::Reader;
use super::shared::{Published, Shared};
use crate::failpoint::{self, Point};
use crate::storage::engine::{Batch, Engine};
use crate::tasks::Supervisor;
use crate::telemetry::metrics::Registry;
use crate::types::clock::Clock;

/// How a machine is set up. Only `quota` changes what applying an entry does, as in etcd: it should
/// be the same on every member.
#[derive(Clone)]
pub struct Options {
    /// The file of the index checkpoint; none is kept without it.
    pub checkpoint: Option<PathBuf>,
    /// Memory for values of recent revisions, in bytes.
    pub cache_bytes: usize,
    /// Memory for recent events, in bytes.
    pub recent_bytes: usize,
    /// The space quota as configured: zero is the default, below zero is none.
    pub quota: i64,
    /// How fast compactions go.
    pub pace: Pace,
    /// Runs the writer of checkpoints; without one they are written in place.
    pub supervisor: Option<Supervisor>,
}

impl Default for Options {
    /// 64 MiB of values, 16 MiB of events, etcd's quota, compactions without pauses, no checkpoint.
    fn default() -> Self {
        Self {
            checkpoint: None,
            cache_bytes: 64 << 20,
            recent_bytes: 16 << 20,
            quota: 0,
            pace: Pace::default(),
            supervisor: None,
        }
    }
}

/// Lease events a slow subscriber may fall behind before it has to read the table anew.
const LEASE_EVENTS: usize = 8192;

/// When [`Machine::maintain`] has something to do again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// After the next change.
    Done,
    /// Right away.
    More,
    /// At this moment, or after the next change.
    Rest(Instant),
}

/// The replicated state and its single writer.
pub struct Machine {
    engine: Engine,
    tables: Tables,
    progress: Progress,
    /// Whether anything was ever applied.
    started: bool,
    membership: Option<Bytes>,
    sweep: Option<Sweep>,
    pace: Pace,
    checkpoints: Checkpoints,
    shared: Arc<Shared>,
    /// For durations in metrics; nothing that is applied sees it.
    clock: Clock,
    measured: Option<Instant>,
}

impl Machine {
    /// Opens the state in an engine: rebuilds the index and resumes an unfinished compaction.
    ///
    /// # Errors
    /// The store failed or holds what it should not.
    pub fn open(
        engine: Engine,
        options: &Options,
        registry: &Registry,
    ) -> Result<(Self, Reader), StateError> {
        let stored = Progress::load(&engine)?;
        let started = stored.is_some();
        let progress = stored.unwrap_or_default();
        let mut compactions = Compactions::load(&engine)?;
        let reopened =
            reopen::reopen(&engine, options.checkpoint.as_deref(), &progress, compactions)?;
        tracing::info!(
            revision = progress.revision,
            applied_index = progress.applied,
            replayed_records = reopened.replayed,
            from_checkpoint = reopened.stamp.is_some(),
            "state opened"
        );
        if let Some(stamp) = reopened.stamp {
            // An older sweep than the store's: the index still holds what the store has deleted.
            compactions.finished = compactions.finished.min(stamp.compacted);
        }
        let records = Arc::new(Records {
            engine: engine.clone(),
            cache: ValueCache::new(options.cache_bytes),
        });
        let start = Start {
            index: reopened.index,
            revision: progress.revision,
            compacted: compactions.scheduled,
            live: progress.live,
        };
        let writer = Writer::new(start, Arc::clone(&records));
        let tables = load::tables(&engine, options, writer, compactions)?;
        let shared = Arc::new(Shared {
            records,
            published: ArcSwap::from_pointee(snapshot(&tables, &progress)),
            leases: Arc::clone(&tables.leases),
            lease_events: broadcast::Sender::new(LEASE_EVENTS),
            recent: Recent::new(progress.revision, compactions.scheduled, options.recent_bytes),
            quota: tables.quota,
            metrics: Metrics::new(registry),
        });
        shared.metrics.cluster_version(tables.members.cluster_version());
        let reader = Reader::new(Arc::clone(&shared));
        let machine = Self {
            membership: meta::membership(&engine)?,
            checkpoints: Checkpoints::new(options, reopened.stamp),
            engine,
            tables,
            progress,
            started,
            sweep: None,
            pace: options.pace,
            shared,
            clock: Clock,
            measured: None,
        };
        Ok((machine, reader))
    }

    /// The id of the newest applied entry, as it was given; `None` before the first.
    pub fn applied(&self) -> Option<Bytes> {
        self.started.then(|| self.progress.log_id.clone())
    }

    /// The newest applied membership, as it was given.
    pub fn membership(&self) -> Option<Bytes> {
        self.membership.clone()
    }

    /// Applies entries in order, in one batch of the engine. Entries that were applied before are
    /// skipped. For each entry with requests comes a list with their outcomes.
    ///
    /// # Errors
    /// The store failed or entries are missing: the process must stop, and the state in memory must
    /// not be used any more.
    pub fn apply(&mut self, entries: Vec<Entry>) -> Result<Vec<Option<Vec<Outcome>>>, StateError> {
        let mut batch = self.engine.batch();
        let compacted = self.tables.compactions.scheduled;
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut moved = false;
        let early = Meter::new(EARLY_BYTES);
        for entry in entries {
            if !self.follows(entry.index)? {
                outcomes.push(None);
                continue;
            }
            outcomes.push(self.apply_entry(&entry.payload, &mut batch, &early)?);
            self.progress.applied = entry.index;
            self.progress.log_id = entry.log_id;
            self.started = true;
            moved = true;
        }
        if moved {
            self.commit(batch)?;
        }
        if self.tables.compactions.scheduled > compacted {
            self.shared.recent.compacted_to(self.tables.compactions.scheduled);
        }
        Ok(outcomes)
    }

    /// Whether an entry is the next one; `false` if it has been applied.
    fn follows(&self, index: u64) -> Result<bool, StateError> {
        if !self.started {
            return Ok(true);
        }
        let expected = self.progress.applied + 1;
        if index > expected {
            return Err(StateError::Gap { expected, got: index });
        }
        Ok(index == expected)
    }

    fn apply_entry(
        &mut self,
        payload: &Payload,
        batch: &mut Batch,
        early: &Meter,
    ) -> Result<Option<Vec<Outcome>>, StateError> {
        match payload {
            Payload::Blank => Ok(None),
            Payload::Membership(membership) => {
                meta::store_membership(membership, batch);
                self.membership = Some(membership.clone());
                Ok(None)
            }
            Payload::Batch(proposal) => {
                let mut outcomes = Vec::with_capacity(proposal.requests.len());
                let mut begun = self.clock.now();
                for request in &proposal.requests {
                    let outcome = apply::apply(&mut self.tables, batch, request, early)?;
                    let ended = self.clock.now();
                    self.shared.metrics.applied(request, &outcome, ended - begun);
                    begun = ended;
                    outcomes.push(outcome);
                }
                Ok(Some(outcomes))
            }
        }
    }

    /// Commits what was staged, then shows it: readers never see what could still be lost.
    fn commit(&mut self, mut batch: Batch) -> Result<(), StateError> {
        self.tables.writer.flush(&mut batch);
        self.progress.revision = self.tables.writer.visible();
        self.progress.live = self.tables.writer.live();
        self.progress.store(&mut batch);
        failpoint::hit(Point::ApplyUncommitted);
        self.write(batch)?;
        failpoint::hit(Point::ApplyCommitted);
        let events = self.tables.writer.committed();
        self.publish();
        self.shared.metrics.events(&events);
        self.shared.recent.push(events);
        for event in self.tables.lease_events.drain(..) {
            // Fails only when nobody listens.
            let _ = self.shared.lease_events.send(event);
        }
        Ok(())
    }

    fn write(&self, batch: Batch) -> Result<(), StateError> {
        let begun = self.clock.now();
        batch.commit()?;
        self.shared.metrics.commit(self.clock.now() - begun);
        Ok(())
    }

    fn publish(&self) {
        let state = snapshot(&self.tables, &self.progress);
        let before = self.shared.published.swap(Arc::new(state));
        let state = self.shared.published.load();
        self.shared.metrics.published(&state);
        if !Arc::ptr_eq(&before.members, &state.members) {
            self.shared.metrics.cluster_version(state.members.cluster_version());
        }
    }

    /// Does a bounded piece of background work: compaction first, then an index checkpoint when one
    /// is due. Returns when there is more to do.
    ///
    /// # Errors
    /// The store failed: the process must stop.
    pub fn maintain(&mut self) -> Result<Upkeep, StateError> {
        let marks = self.tables.compactions;
        let now = self.clock.now();
        if let Some(resumes) = self.sweep.as_ref().and_then(|sweep| sweep.pauses(now)) {
            return Ok(Upkeep::Rest(resumes));
        }
        let unfinished = marks.finished < marks.scheduled;
        let sweep = self
            .sweep
            .take()
            .or_else(|| unfinished.then(|| Sweep::new(marks.scheduled, now, self.pace)));
        if let Some(sweep) = sweep {
            self.sweep(sweep, now)?;
            return Ok(Upkeep::More);
        }
        self.checkpoints.consider(&self.engine, &self.tables.writer, marks)?;
        self.measure();
        Ok(Upkeep::Done)
    }

    /// Does the next step of a compaction.
    fn sweep(&mut self, mut sweep: Sweep, begun: Instant) -> Result<(), StateError> {
        let mut batch = self.engine.batch();
        let deleted = sweep.deleted;
        let (writer, records) = (&mut self.tables.writer, &self.shared.records);
        if sweep.search(writer) {
            self.shared.metrics.compaction_index_step(self.clock.now() - begun);
        }
        let complete = sweep.delete(begun, writer, records, &mut batch)?;
        if complete {
            self.tables.compactions.finished = sweep.at;
            self.tables.compactions.store(&mut batch);
        }
        if self.started {
            self.progress.live = self.tables.writer.live();
            self.progress.store(&mut batch);
        }
        failpoint::hit(Point::CompactionUncommitted);
        self.write(batch)?;
        failpoint::hit(Point::CompactionCommitted);
        self.publish();
        self.measure();
        let metrics = &self.shared.metrics;
        metrics.compaction_step(self.clock.now() - begun, sweep.deleted - deleted);
        if complete {
            failpoint::hit(Point::CompactionDone);
            metrics.compaction(self.clock.now() - sweep.begun, self.clock.unix());
            tracing::info!(
                compact_revision = sweep.at,
                deleted_records = sweep.deleted,
                "finished compaction"
            );
            self.release(sweep.at);
        } else {
            self.sweep = Some(sweep);
        }
        Ok(())
    }

    /// Shows the size on disk, now and then: it takes a walk over all tables.
    fn measure(&mut self) {
        let now = self.clock.now();
        if self.measured.is_none_or(|then| now - then > Duration::from_secs(1)) {
            self.measured = Some(now);
            let live = self.shared.published.load().live;
            self.shared.metrics.allocated(self.engine.disk_bytes().max(live));
        }
    }

    /// Wakes those who wait for a compaction up to `finished`.
    fn release(&mut self, finished: i64) {
        let waiters = std::mem::take(&mut self.tables.waiters);
        for waiter in waiters {
            if waiter.at <= finished {
                // Fails only when the waiter went away.
                let _ = waiter.done.send(());
            } else {
                self.tables.waiters.push(waiter);
            }
        }
    }

    /// Makes everything applied so far survive a power cut. Returns the id of the newest entry it
    /// covers, as [`Self::applied`]: the log up to there may go.
    ///
    /// # Errors
    /// The store failed: the process must stop.
    pub fn persist(&mut self) -> Result<Option<Bytes>, StateError> {
        failpoint::hit(Point::PersistBefore);
        let begun = self.clock.now();
        self.engine.persist()?;
        self.shared.metrics.snapshot(self.clock.now() - begun);
        failpoint::hit(Point::PersistAfter);
        Ok(self.applied())
    }

    /// Persists and writes an index checkpoint in place, so that the next start is quick; for an
    /// orderly stop. A checkpoint that cannot be written is only logged.
    ///
    /// # Errors
    /// The store failed.
    pub fn close(mut self) -> Result<(), StateError> {
        if self.sweep.is_none() {
            let marks = self.tables.compactions;
            self.checkpoints.write_now(&self.engine, &self.tables.writer, marks)?;
        }
        self.engine.persist()?;
        Ok(())
    }
}

fn snapshot(tables: &Tables, progress: &Progress) -> Published {
    Published {
        root: tables.writer.root(),
        revision: progress.revision,
        compacted: tables.writer.compacted(),
        applied: progress.applied,
        live: tables.writer.live(),
        alarms: Arc::clone(&tables.alarms),
        members: Arc::clone(&tables.members),
    }
}
