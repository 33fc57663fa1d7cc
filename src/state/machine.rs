//! The machine: the single writer of the state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::broadcast;

use super::apply::{self, Tables, TokenEvent};
use super::changes::Changes;
use super::checkpoints::Checkpoints;
use super::command::{Entry, Payload};
use super::error::StateError;
use super::late::EARLY_BYTES;
use super::load::{Facts, Loaded};
use super::meta;
use super::metrics::Metrics;
use super::mvcc::compaction::{Pace, Sweep};
use super::mvcc::read::Meter;
use super::mvcc::recent::Recent;
use super::options::Options;
use super::outcome::Outcome;
use super::quota;
use super::reader::Reader;
use super::receiver::Intake;
use super::retired::Retired;
use super::rolling::AppliedHash;
use super::shared::{Published, Shared};
use super::trail::Trail;
use crate::failpoint::{self, Point};
use crate::storage::engine::{Batch, Engine};
use crate::telemetry::metrics::Registry;
use crate::types::clock::Clock;

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
    pub(super) engine: Engine,
    pub(super) tables: Tables,
    pub(super) facts: Facts,
    pub(super) sweep: Option<Sweep>,
    pace: Pace,
    pub(super) cache_bytes: usize,
    intake: Option<Intake>,
    pub(super) checkpoints: Checkpoints,
    pub(super) retired: Retired,
    pub(super) shared: Arc<Shared>,
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
        let loaded = Loaded::load(&engine, options.checkpoint.as_deref())?;
        tracing::info!(
            revision = loaded.facts.progress.revision,
            applied_index = loaded.facts.progress.applied,
            replayed_records = loaded.replayed,
            from_checkpoint = loaded.stamp.is_some(),
            "state opened"
        );
        let (stamp, quota) = (loaded.stamp, quota::bytes(options.quota));
        let (facts, tables) =
            loaded.into_tables(&engine, Arc::default(), options.cache_bytes, quota);
        let (revision, compacted) = (facts.progress.revision, tables.compactions.scheduled);
        let shared = Arc::new(Shared {
            published: ArcSwap::from_pointee(snapshot(&tables, &facts)),
            trail: Trail::new(facts.rolling.at(facts.progress.applied)),
            leases: Arc::clone(&tables.leases),
            lease_events: broadcast::Sender::new(LEASE_EVENTS),
            recent: Recent::new(revision, compacted, options.recent_bytes),
            tokens: Arc::clone(&options.tokens),
            quota,
            metrics: Metrics::new(registry),
        });
        shared.metrics.cluster_version(tables.members.cluster_version());
        let reader = Reader::new(Arc::clone(&shared));
        let machine = Self {
            engine,
            tables,
            facts,
            sweep: None,
            pace: options.pace,
            cache_bytes: options.cache_bytes,
            intake: options.intake.clone(),
            checkpoints: Checkpoints::new(options, stamp),
            retired: Retired::new(options.supervisor.clone()),
            shared,
            clock: Clock,
            measured: None,
        };
        Ok((machine, reader))
    }

    /// The id of the newest applied entry, as it was given; `None` before the first.
    pub fn applied(&self) -> Option<Bytes> {
        self.facts.started.then(|| self.facts.progress.log_id.clone())
    }

    /// The newest applied membership, as it was given.
    pub fn membership(&self) -> Option<Bytes> {
        self.facts.membership.clone()
    }

    /// If the whole state was received from another member: the id of the entry it was received at.
    /// Equal to [`Self::applied`] as long as nothing was applied since.
    pub fn received(&self) -> Option<Bytes> {
        self.facts.received.clone()
    }

    /// Where states of other members are received, if this machine was given a place for it.
    pub fn intake(&self) -> Option<Intake> {
        self.intake.clone()
    }

    /// Applies entries in order, in one batch of the engine. Entries that were applied before are
    /// skipped. For each entry with requests comes a list with their outcomes.
    ///
    /// # Errors
    /// The store failed or entries are missing: the process must stop, and the state in memory must
    /// not be used any more.
    pub fn apply(&mut self, entries: Vec<Entry>) -> Result<Vec<Option<Vec<Outcome>>>, StateError> {
        let mut changes = Changes::new(self.engine.batch(), self.facts.rolling);
        let compacted = self.tables.compactions.scheduled;
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut passed = Vec::with_capacity(entries.len());
        let early = Meter::new(EARLY_BYTES);
        for entry in entries {
            if !self.follows(entry.index)? {
                outcomes.push(None);
                continue;
            }
            outcomes.push(self.apply_entry(&entry, &mut changes, &early)?);
            self.tables.writer.fold(&mut changes.rolling);
            self.facts.progress.applied = entry.index;
            self.facts.progress.log_id = entry.log_id;
            self.facts.started = true;
            passed.push(changes.rolling.at(entry.index));
        }
        if !passed.is_empty() {
            let (batch, rolling) = changes.into_parts();
            self.facts.rolling = rolling;
            self.commit(batch, &passed)?;
        }
        if self.tables.compactions.scheduled > compacted {
            self.shared.recent.compacted_to(self.tables.compactions.scheduled);
        }
        Ok(outcomes)
    }

    /// Whether an entry is the next one; `false` if it has been applied.
    fn follows(&self, index: u64) -> Result<bool, StateError> {
        if !self.facts.started {
            return Ok(true);
        }
        let expected = self.facts.progress.applied + 1;
        if index > expected {
            return Err(StateError::Gap { expected, got: index });
        }
        Ok(index == expected)
    }

    fn apply_entry(
        &mut self,
        entry: &Entry,
        changes: &mut Changes,
        early: &Meter,
    ) -> Result<Option<Vec<Outcome>>, StateError> {
        match &entry.payload {
            Payload::Blank => Ok(None),
            Payload::Membership { record, members } => {
                meta::store_membership(record, changes.apart());
                self.facts.membership = Some(record.clone());
                Arc::make_mut(&mut self.tables.members).configure(members, changes);
                Ok(None)
            }
            Payload::Batch(proposal) => {
                let mut outcomes = Vec::with_capacity(proposal.requests.len());
                let mut begun = self.clock.now();
                for request in &proposal.requests {
                    let outcome =
                        apply::apply(&mut self.tables, changes, (entry.index, request), early)?;
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
    fn commit(&mut self, mut batch: Batch, passed: &[AppliedHash]) -> Result<(), StateError> {
        self.tables.writer.flush(&mut batch);
        self.facts.progress.revision = self.tables.writer.visible();
        self.facts.progress.live = self.tables.writer.live();
        self.facts.progress.store(&mut batch);
        self.facts.rolling.store(self.facts.progress.applied, &mut batch);
        failpoint::hit(Point::ApplyUncommitted);
        self.write(batch)?;
        failpoint::hit(Point::ApplyCommitted);
        let events = self.tables.writer.committed();
        self.shared.trail.add(passed);
        self.tell_tokens();
        self.publish();
        self.shared.metrics.events(&events);
        self.shared.recent.push(events);
        for event in self.tables.lease_events.drain(..) {
            // Fails only when nobody listens.
            let _ = self.shared.lease_events.send(event);
        }
        Ok(())
    }

    /// Tells of tokens: before the state is seen in which they hold or hold no more.
    fn tell_tokens(&mut self) {
        let tokens = &self.shared.tokens;
        for event in self.tables.token_events.drain(..) {
            match event {
                TokenEvent::Issued { user, token } => tokens.issue(&user, token.0),
                TokenEvent::User(user) => tokens.end_of(&user),
                TokenEvent::All => tokens.end_all(),
            }
        }
    }

    fn write(&self, batch: Batch) -> Result<(), StateError> {
        let begun = self.clock.now();
        batch.commit()?;
        self.shared.metrics.commit(self.clock.now() - begun);
        Ok(())
    }

    /// Shows the present state to readers.
    pub(super) fn publish(&self) {
        let state = snapshot(&self.tables, &self.facts);
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
        Ok(self.retired.tidy().map_or(Upkeep::Done, |wait| Upkeep::Rest(now + wait)))
    }

    /// Whether [`Self::maintain`] has nothing to do, nor is anything done that it began.
    pub(super) fn is_at_rest(&self) -> bool {
        let marks = self.tables.compactions;
        self.sweep.is_none()
            && marks.finished >= marks.scheduled
            && self.checkpoints.is_at_rest(&self.tables.writer, marks)
            && !self.is_measure_due(self.clock.now())
            && self.retired.is_empty()
    }

    /// Does the next step of a compaction.
    fn sweep(&mut self, mut sweep: Sweep, begun: Instant) -> Result<(), StateError> {
        let mut batch = self.engine.batch();
        let deleted = sweep.deleted;
        let (writer, records) = (&mut self.tables.writer, &self.tables.records);
        if sweep.search(writer) {
            self.shared.metrics.compaction_index_step(self.clock.now() - begun);
        }
        let complete = sweep.delete(begun, writer, records, &mut batch)?;
        if complete {
            self.tables.compactions.finished = sweep.at;
            self.tables.compactions.store(&mut batch);
        }
        if self.facts.started {
            self.facts.progress.live = self.tables.writer.live();
            self.facts.progress.store(&mut batch);
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
        if self.is_measure_due(now) {
            self.measured = Some(now);
            let live = self.shared.published.load().live;
            self.shared.metrics.allocated(self.engine.disk_bytes().max(live));
        }
    }

    fn is_measure_due(&self, now: Instant) -> bool {
        self.measured.is_none_or(|then| now - then > Duration::from_secs(1))
    }

    /// As [`Self::measure`], without waiting for the moment.
    pub(super) fn measure_anew(&mut self) {
        self.measured = None;
        self.measure();
    }

    /// Wakes those who wait for a compaction up to `finished`.
    pub(super) fn release(&mut self, finished: i64) {
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

    /// Persists, writes an index checkpoint in place and has the memory buffers written out, so that the
    /// next start is quick; for an orderly stop. What is only for speed and fails is logged.
    ///
    /// # Errors
    /// The store failed.
    pub fn close(mut self) -> Result<(), StateError> {
        if self.sweep.is_none() {
            let marks = self.tables.compactions;
            self.checkpoints.write_now(&self.engine, &self.tables.writer, marks)?;
        }
        self.engine.persist()?;
        if let Err(error) = self.engine.flush() {
            tracing::warn!(%error, "memory buffers are not written out; the next start replays them");
        }
        Ok(())
    }
}

fn snapshot(tables: &Tables, facts: &Facts) -> Published {
    let progress = &facts.progress;
    Published {
        records: Arc::clone(&tables.records),
        root: tables.writer.root(),
        revision: progress.revision,
        compacted: tables.writer.compacted(),
        applied: progress.applied,
        hash: facts.rolling.at(progress.applied),
        live: tables.writer.live(),
        alarms: Arc::clone(&tables.alarms),
        members: Arc::clone(&tables.members),
        auth: Arc::clone(&tables.auth),
    }
}
