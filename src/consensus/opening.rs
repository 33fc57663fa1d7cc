//! Log and state as they were left, and whether they fit together.

use super::alone;
use super::apply::applied_state;
use super::error::ConsensusError;
use super::log_store::LogStore;
use super::machine::{Durable, position};
use super::parts::{Beginning, Parts};
use super::types::decode_log_id;

/// The log and the state, found to fit together.
pub(super) async fn open_log(parts: &mut Parts) -> Result<(LogStore, Durable), ConsensusError> {
    let wal = parts.wal.clone();
    let mut log = LogStore::new(wal, &parts.recovered).map_err(ConsensusError::Log)?;
    // What it starts with counts as a snapshot, and the log may be cut up to there.
    if parts.machine.applied().is_some() {
        parts.machine.persist().map_err(|error| ConsensusError::Core(error.to_string()))?;
    }
    let state = applied_state(&parts.machine).map_err(ConsensusError::Log)?;
    check_log_covers(&log, &state, parts.machine.received().as_deref())?;
    if parts.beginning == Beginning::Alone {
        let id = parts.identity.member;
        alone::forget_others(&mut log, &state, id).await.map_err(ConsensusError::Log)?;
    }
    Ok((log, state))
}

/// The state never holds more than the log: an entry is durable there before it is applied. If it
/// does, the end of the log was lost, and entries that clients were told of with it; unless the state
/// is just as it was received from another member, and the log was not cut yet.
fn check_log_covers(
    log: &LogStore,
    state: &Durable,
    received: Option<&[u8]>,
) -> Result<(), ConsensusError> {
    let last = log.last().map_err(ConsensusError::Log)?;
    let received = received.map(decode_log_id).transpose().map_err(ConsensusError::Log)?;
    match (state.applied, last) {
        (Some(applied), _) if Some(applied) == received => Ok(()),
        (Some(applied), last) if Some(applied) > last => Err(ConsensusError::LogBehindState {
            applied: position(applied),
            last: last.map_or(0, position),
        }),
        (applied, _) => check_state_reaches_log(log, applied.map_or(0, position)),
    }
}

/// Nor is the state older than the oldest entry of the log: it is made durable before the log is cut.
fn check_state_reaches_log(log: &LogStore, applied: u64) -> Result<(), ConsensusError> {
    let purged = log.purged().map_err(ConsensusError::Log)?.map_or(0, position);
    if applied < purged {
        return Err(ConsensusError::StateBehindLog { applied, purged });
    }
    Ok(())
}
