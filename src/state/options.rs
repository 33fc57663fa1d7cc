//! How a state machine is set up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::mvcc::compaction::Pace;
use super::receiver::Intake;
use crate::tasks::Supervisor;
use crate::tokens::SimpleTokens;

/// etcd's default for how long a token holds that nobody shows.
const TOKEN_TTL: Duration = Duration::from_secs(300);

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
    /// Runs the writer of checkpoints and what removes a replaced state; without one both are done in
    /// place.
    pub supervisor: Option<Supervisor>,
    /// What is told which tokens were issued and which ended.
    pub tokens: Arc<SimpleTokens>,
    /// Where states of other members are received; without it none is.
    pub intake: Option<Intake>,
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
            tokens: Arc::new(SimpleTokens::new(TOKEN_TTL)),
            intake: None,
        }
    }
}
