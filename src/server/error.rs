//! Why a node cannot start.

use std::path::PathBuf;

use crate::bootstrap::PlanError;
use crate::certs::CertError;
use crate::consensus::{ConsensusError, ProposeError};
use crate::state::StateError;
use crate::storage::StorageError;
use crate::storage::wal::WalError;
use crate::telemetry::logging::LogError;
use crate::tokens::KeyError;
use crate::transport::{BindError, TlsError};
use crate::upkeep::Differs;

/// Every way a start can fail; the room below says what, with its values.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Logging cannot be set up.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No runtime, no signals.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] std::io::Error),
    /// Signals cannot be received.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// The flags do not describe a node.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The data directory or the database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Others may look into the data directory.
    #[error(
        "the directory {directory} has mode {mode:04o}, so that other users of this machine can reach \
         what is stored in it; expected 0700: run `chmod 700 {directory}`, or set --allow-loose-modes where \
         it cannot be otherwise, as in some containers"
    )]
    LooseMode {
        /// The directory.
        directory: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The Raft log.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// Consensus.
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
    /// The first proposals.
    #[error("cannot publish this member: {0}")]
    Publish(#[from] ProposeError),
    /// What this member holds.
    #[error(transparent)]
    Differs(#[from] Differs),
    /// Sockets.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// TLS files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Keys of signed tokens.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Something failed while the rest was being started.
    #[error("{0}")]
    Failed(String),
    /// Self-made certificates.
    #[error(transparent)]
    Certs(#[from] CertError),
}
