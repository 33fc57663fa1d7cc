//! Why the state machine refuses a request, and why it must stop.

use super::mvcc::checkpoint::CheckpointError;
use crate::storage::StorageError;
use crate::types::revision::Revision;

/// The state on disk cannot be read, written or trusted: the process must stop.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The engine failed.
    #[error("state on disk: {0}")]
    Storage(#[from] StorageError),
    /// A record the index names is gone although no compaction took it.
    #[error(
        "record of revision {}.{} is missing; restore the data directory from a snapshot",
        .0.main, .0.sub
    )]
    MissingRecord(Revision),
    /// Bytes that do not read as what they should be.
    #[error("{what} cannot be decoded ({why}); restore the data directory from a snapshot")]
    Damaged {
        /// Which record.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The parts of the state do not fit together: some of what was written is gone.
    #[error(
        "the state is not whole: {0}; restore the data directory from a snapshot, or replace this \
         member"
    )]
    Incomplete(String),
    /// The disk failed while an index checkpoint was written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Log entries arrived with a hole between them.
    #[error("log entry {got} arrived to be applied where {expected} should follow")]
    Gap {
        /// The index that should have come.
        expected: u64,
        /// The index that came.
        got: u64,
    },
}

/// Why a read has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The revision asked for is below the compacted one.
    #[error("required revision has been compacted")]
    Compacted,
    /// The revision asked for has not been written yet.
    #[error("required revision is a future revision")]
    FutureRevision,
    /// A sort order or target outside the known ones.
    #[error("sort order or target is not a known one")]
    InvalidSortOption,
    /// The answer would take more bytes than it may.
    #[error("the answer would take more than {0} bytes")]
    TooLarge(usize),
    /// A transaction that writes was handed to a reader.
    #[error("a transaction that writes cannot be answered by a read")]
    NotReadOnly,
    /// The state on disk failed; the node is about to stop.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why a request was refused at apply. The same on every member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A put that keeps the value or lease of a key that does not exist, or an empty operation.
    #[error("key not found")]
    KeyNotFound,
    /// No such lease.
    #[error("requested lease not found")]
    LeaseNotFound,
    /// A lease of this id exists.
    #[error("lease already exists")]
    LeaseExists,
    /// The time to live is above [`super::lease::MAX_TTL`].
    #[error("too large lease TTL")]
    TtlTooLarge,
    /// The revision is at or below the compacted one.
    #[error("required revision has been compacted")]
    Compacted,
    /// The revision has not been written yet.
    #[error("required revision is a future revision")]
    FutureRevision,
    /// The space quota is used up, or the alarm about it is raised.
    #[error("database space exceeded")]
    NoSpace,
    /// The corruption alarm is raised.
    #[error("corrupt cluster")]
    Corrupt,
    /// A sort order or target outside the known ones.
    #[error("invalid sort option")]
    InvalidSortOption,
    /// A key is empty; requests are checked for this before they are proposed.
    #[error("key is not provided")]
    EmptyKey,
    /// With auth enabled, somebody asks who has not said who it is; or a user without a name is added.
    #[error("user name is empty")]
    UserEmpty,
    /// The caller may not do it.
    #[error("permission denied")]
    PermissionDenied,
    /// The caller was known before users or roles last changed.
    #[error("revision of auth store is old")]
    AuthOldRevision,
    /// A token is asked for while nobody is asked for one.
    #[error("authentication is not enabled")]
    AuthNotEnabled,
    /// No such user, or another password.
    #[error("authentication failed, invalid user ID or password")]
    AuthFailed,
    /// A password for a user that has none, or a hash that is not base64.
    #[error("authentication failed, password was given for no password user")]
    NoPasswordUser,
    /// Auth cannot be enabled without the user root.
    #[error("root user does not exist")]
    RootUserNotExist,
    /// Nor if that has not the role root.
    #[error("root user does not have root role")]
    RootRoleNotExist,
    /// The user is there already.
    #[error("user name already exists")]
    UserExists,
    /// No such user.
    #[error("user name not found")]
    UserNotFound,
    /// The role is there already.
    #[error("role name already exists")]
    RoleExists,
    /// No such role.
    #[error("role name not found")]
    RoleNotFound,
    /// A role without a name.
    #[error("role name is empty")]
    RoleEmpty,
    /// The user has not the role that is to be taken.
    #[error("role is not granted to the user")]
    RoleNotGranted,
    /// A grant without a permission.
    #[error("permission not given")]
    PermissionNotGiven,
    /// The role has not the permission that is to be taken.
    #[error("permission is not granted to the role")]
    PermissionNotGranted,
    /// The root user or role would go while auth is enabled, or a range has no keys.
    #[error("invalid auth management")]
    InvalidAuthMgmt,
    /// The name of a user or a role is longer than any store takes.
    #[error("name is too long")]
    NameTooLong,
    /// Users and roles take all the memory they may.
    #[error("too many users and roles")]
    TooManyUsers,
    /// The entry carries an operation this version does not know.
    #[error("unknown operation")]
    UnknownOperation,
}

/// What ends the work on one request: a refusal, or a failure that ends the process.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(ApplyError),
    Fatal(StateError),
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        Self::Refused(error)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::Fatal(error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Fatal(error.into())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Compacted => Self::Refused(ApplyError::Compacted),
            ReadError::FutureRevision => Self::Refused(ApplyError::FutureRevision),
            ReadError::InvalidSortOption => Self::Refused(ApplyError::InvalidSortOption),
            // What is too large at apply is read later; see `Outcome::late`.
            ReadError::NotReadOnly | ReadError::TooLarge(_) => {
                Self::Refused(ApplyError::UnknownOperation)
            }
            ReadError::State(error) => Self::Fatal(error),
        }
    }
}
