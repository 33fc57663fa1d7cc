//! Log lines in etcd's layouts.
//!
//! A room logs with the macros of `tracing`: `info!("local-member-id" = %id, "added member")`. The
//! caller renders the line and leaves it in a bounded queue; one thread writes. A slow disk or a
//! stopped terminal therefore costs lines, which are counted, and never a request.
//!
//! Some field names mean something: `logger` names the part that speaks, `severity` raises an error
//! to `dpanic`, `panic` or `fatal`, `stacktrace` comes last. A value recorded with `?` whose text is a
//! JSON array, such as a list of strings, is written as one. Durations go through [`Took`].

mod bridge;
mod copies;
mod line;
mod output;
mod queue;
mod rotate;
mod sample;
mod severity;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::{io, path::PathBuf};

pub use line::Took;
pub use severity::Severity;

use crate::types::clock::Clock;
use output::Output;
use queue::Queue;
use rotate::Rotation;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, as etcd's `zap` logger writes it.
    #[default]
    Json,
    /// Separated by tabs, the fields as JSON at the end.
    Console,
}

/// What to log and where; the fields are etcd's `--log-*` flags.
#[derive(Clone, Debug)]
pub struct Options {
    /// `debug`, `info`, `warn`, `error`, `dpanic`, `panic` or `fatal`.
    pub level: String,
    /// `default`, `stderr`, `stdout`, `systemd/journal` or paths of files.
    pub outputs: Vec<String>,
    /// How lines look.
    pub format: Format,
    /// Whether the single file among the outputs is rotated.
    pub enable_rotation: bool,
    /// When and how it is rotated: `maxsize` (MB), `maxage` (days), `maxbackups`, `localtime`,
    /// `compress`.
    pub rotation_config_json: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            level: String::from("info"),
            outputs: vec![String::from("default")],
            format: Format::Json,
            enable_rotation: false,
            rotation_config_json: String::from("{}"),
        }
    }
}

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is none of etcd's.
    #[error("unknown log level {0:?}; use debug, info, warn, error, dpanic, panic or fatal")]
    Level(String),
    /// The rotation settings cannot be read or ask for what is not there.
    #[error("--log-rotation-config-json {json:?} is not valid: {reason}")]
    Rotation {
        /// What was given.
        json: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Rotation needs to know which file.
    #[error("--enable-log-rotation needs exactly one file among --log-outputs, found {found}")]
    RotationFiles {
        /// How many files there are.
        found: usize,
    },
    /// A file or socket among the outputs cannot be opened.
    #[error("cannot open log output {path:?}: {source}")]
    Open {
        /// Which one.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The writing thread did not start.
    #[error("cannot start the log thread: {0}")]
    Thread(io::Error),
    /// Logging was set up before in this process.
    #[error("logging is already set up in this process")]
    Twice,
}

/// The running log; clones share it.
#[derive(Clone, Debug)]
pub struct LogHandle {
    level: Arc<AtomicU8>,
    queue: Arc<Queue>,
}

impl LogHandle {
    /// Changes the level from the next line on.
    ///
    /// # Errors
    /// If the level is none of etcd's; the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        let level = parse_level(level)?;
        self.level.store(level as u8, Ordering::Relaxed);
        bridge::set_level(level);
        // Call sites remember whether anybody listens.
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// Opens the log files again before the next line, for tools that moved them away.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Waits until the lines logged so far are written, at most a second.
    pub fn flush(&self) {
        self.queue.flush();
    }
}

/// Makes `options` the log of this process, for `tracing` and for libraries that use `log`.
///
/// # Errors
/// If an option is not valid, an output cannot be opened, or logging was set up before.
pub fn init(options: &Options) -> Result<LogHandle, LogError> {
    let (subscriber, handle) = build(options, Clock)?;
    let emitter = Arc::clone(&subscriber.emitter);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)?;
    bridge::install(emitter);
    handle.set_level(&options.level)?;
    Ok(handle)
}

fn build(options: &Options, clock: Clock) -> Result<(subscriber::Subscriber, LogHandle), LogError> {
    let level = Arc::new(AtomicU8::new(parse_level(&options.level)? as u8));
    let outputs = outputs(options, clock)?;
    let queue = Queue::start(outputs, options.format, clock).map_err(LogError::Thread)?;
    let handle = LogHandle { level: Arc::clone(&level), queue: Arc::clone(&queue) };
    let emitter = subscriber::Emitter::new(level, options.format, queue, clock);
    Ok((subscriber::Subscriber { emitter: Arc::new(emitter) }, handle))
}

fn outputs(options: &Options, clock: Clock) -> Result<Vec<Output>, LogError> {
    let mut names: Vec<&str> = options.outputs.iter().map(String::as_str).collect();
    names.iter_mut().filter(|name| **name == "default").for_each(|name| *name = "stderr");
    // An output named twice gets every line once.
    names.sort_unstable();
    names.dedup();
    let rotation = if options.enable_rotation {
        let found = names.iter().filter(|name| Output::is_file(name)).count();
        if found != 1 {
            return Err(LogError::RotationFiles { found });
        }
        Some(Rotation::parse(&options.rotation_config_json)?)
    } else {
        None
    };
    names.into_iter().map(|name| Output::open(name, rotation.as_ref(), clock)).collect()
}

fn parse_level(level: &str) -> Result<Severity, LogError> {
    Severity::parse(level).ok_or_else(|| LogError::Level(String::from(level)))
}

#[cfg(test)]
mod tests;
