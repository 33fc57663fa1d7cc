//! etcd's log levels, and how those of `tracing` and `log` map to them.

use tracing::Level;

/// How bad it is, from what only a developer reads to what ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Severity {
    /// For whoever looks for a fault.
    Debug,
    /// What an operator may want to know.
    Info,
    /// Something is wrong, and the node copes.
    Warn,
    /// Something failed.
    Error,
    /// A broken assumption; the node goes on.
    Dpanic,
    /// A broken assumption; the process ends.
    Panic,
    /// The process ends.
    Fatal,
}

impl Severity {
    const ALL: [Self; 7] =
        [Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Dpanic, Self::Panic, Self::Fatal];

    /// The severity of that name, if etcd has it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }

    /// The name in a log line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Dpanic => "dpanic",
            Self::Panic => "panic",
            Self::Fatal => "fatal",
        }
    }

    /// The priority of the journal, as syslog numbers it.
    pub(super) fn priority(self) -> u8 {
        match self {
            Self::Debug => 7,
            Self::Info => 6,
            Self::Warn => 4,
            Self::Error => 3,
            Self::Dpanic | Self::Panic | Self::Fatal => 2,
        }
    }

    /// The severity stored as a number; anything unknown counts as the worst.
    pub(super) fn from_u8(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Fatal)
    }

    /// What a macro of `tracing` means; `trace` counts as debug.
    pub(super) fn of(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }

    /// The least severity of the lines of libraries when this is the level of ours.
    ///
    /// Libraries speak of things an operator cannot act on, one line per frame or request at worst.
    pub(super) fn for_libraries(self) -> Self {
        if self == Self::Debug { Self::Info } else { self.max(Self::Warn) }
    }
}
