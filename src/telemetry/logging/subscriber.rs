//! Turns events of `tracing` into lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::metadata::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata};

use super::Format;
use super::line::{Content, caller, render};
use super::queue::{Line, Queue};
use super::sample::Sampler;
use super::severity::Severity;
use crate::types::clock::Clock;

/// The first part of the target of our own lines.
const OURS: &str = "etcd";

/// Decides what is logged, renders it and queues it.
pub(super) struct Emitter {
    level: Arc<AtomicU8>,
    format: Format,
    queue: Arc<Queue>,
    sampler: Sampler,
    clock: Clock,
}

impl Emitter {
    pub(super) fn new(
        level: Arc<AtomicU8>,
        format: Format,
        queue: Arc<Queue>,
        clock: Clock,
    ) -> Self {
        Self { level, format, queue, sampler: Sampler::new(), clock }
    }

    /// Whether a line of this severity from this part of the program is wanted.
    pub(super) fn wants(&self, severity: Severity, target: &str) -> bool {
        let level = Severity::from_u8(self.level.load(Ordering::Relaxed));
        let root = target.split("::").next();
        let ours = root == Some(OURS);
        // What consensus finds odd is part of every start; what matters of it reaches us as errors.
        if root == Some("openraft") && severity < Severity::Error && level > Severity::Debug {
            return false;
        }
        // Above errors the severity is in a field, so the call site only says "error or worse".
        let least = if ours { level } else { level.for_libraries() };
        severity >= least.min(Severity::Error)
    }

    /// Queues a line.
    pub(super) fn emit(
        &self,
        severity: Severity,
        file: Option<&str>,
        line: Option<u32>,
        content: &Content,
    ) {
        let severity = content.severity.unwrap_or(severity).max(severity);
        if severity < Severity::from_u8(self.level.load(Ordering::Relaxed)) {
            return;
        }
        let now = self.clock.unix();
        if !self.sampler.passes(severity as u8, &content.message, now) {
            return;
        }
        let caller = caller(file, line);
        let package = caller.split_once('/').map_or("", |(dir, _)| dir);
        let text = render(self.format, severity, now, &caller, content);
        self.queue.push(Line { severity, package: String::from(package), text });
    }
}

/// The receiver of all events; spans are not kept.
pub(super) struct Subscriber {
    pub(super) emitter: Arc<Emitter>,
}

impl tracing::Subscriber for Subscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Asked once per call site and level, so that a line nobody wants costs one load.
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let severity = Severity::of(*metadata.level());
        metadata.is_event() && self.emitter.wants(severity, metadata.target())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match Severity::from_u8(self.emitter.level.load(Ordering::Relaxed)) {
            // The trace lines of libraries are for their authors.
            Severity::Debug => LevelFilter::DEBUG,
            Severity::Info => LevelFilter::INFO,
            Severity::Warn => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut content = Content::default();
        event.record(&mut content);
        let severity = Severity::of(*metadata.level());
        self.emitter.emit(severity, metadata.file(), metadata.line(), &content);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
