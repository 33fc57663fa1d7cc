//! Lets libraries that speak through `log` (the storage engine, TLS) into the same lines.

use std::sync::Arc;

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::line::Content;
use super::severity::Severity;
use super::subscriber::Emitter;

struct Bridge {
    emitter: Arc<Emitter>,
}

/// Makes `emitter` receive what libraries log, if nobody does yet.
pub(super) fn install(emitter: Arc<Emitter>) {
    // Somebody else's logger, in a test harness for instance, may stay.
    let _ = log::set_boxed_logger(Box::new(Bridge { emitter }));
}

/// Tells libraries not to bother below what is wanted at this level.
pub(super) fn set_level(level: Severity) {
    log::set_max_level(match level.for_libraries() {
        Severity::Debug => LevelFilter::Debug,
        Severity::Info => LevelFilter::Info,
        Severity::Warn => LevelFilter::Warn,
        _ => LevelFilter::Error,
    });
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::Error,
        Level::Warn => Severity::Warn,
        Level::Info => Severity::Info,
        Level::Debug | Level::Trace => Severity::Debug,
    }
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.emitter.wants(severity(metadata.level()), metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let content = Content { message: record.args().to_string(), ..Content::default() };
            self.emitter.emit(severity(record.level()), record.file(), record.line(), &content);
        }
    }

    fn flush(&self) {}
}
