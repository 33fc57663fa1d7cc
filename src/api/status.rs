//! What clients are told when something cannot be done: etcd's codes and words, and nowhere else.
//!
//! Clients compare the words and some ignore the codes, so both are kept, also where etcd's code is
//! plainly a slip (`Unknown`). Every match is exhaustive: a new error of a room below does not
//! compile until somebody decides what clients hear of it.

use tonic::{Code, Status};

use super::check::CheckError;
use crate::consensus::{ChangeError, MoveError, ProposeError, ReadError as LinearError};
use crate::state::{ApplyError, ReadError};
use crate::tokens::{PasswordError, SignError};
use crate::transport::Full;
use crate::upkeep::LessorError;

impl From<CheckError> for Status {
    fn from(error: CheckError) -> Self {
        let text = match error {
            CheckError::EmptyKey => "etcdserver: key is not provided",
            CheckError::EmptyOperation => "etcdserver: key not found",
            CheckError::ValueProvided => "etcdserver: value is provided",
            CheckError::LeaseProvided => "etcdserver: lease is provided",
            CheckError::TooManyOps => "etcdserver: too many operations in txn request",
            CheckError::DuplicateKey => "etcdserver: duplicate key given in txn request",
            CheckError::InvalidSortOption => "etcdserver: invalid sort option",
        };
        Self::invalid_argument(text)
    }
}

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const FUTURE: &str = "etcdserver: mvcc: required revision is a future revision";
const STOPPED: &str = "etcdserver: server stopped";
const TIMED_OUT: &str = "etcdserver: request timed out";

/// A refusal by the state machine.
pub fn of_apply(error: ApplyError) -> Status {
    match error {
        ApplyError::KeyNotFound => Status::invalid_argument("etcdserver: key not found"),
        ApplyError::LeaseNotFound => Status::not_found("etcdserver: requested lease not found"),
        ApplyError::LeaseExists => Status::failed_precondition("etcdserver: lease already exists"),
        ApplyError::TtlTooLarge => Status::out_of_range("etcdserver: too large lease TTL"),
        ApplyError::Compacted => Status::out_of_range(COMPACTED),
        ApplyError::FutureRevision => Status::out_of_range(FUTURE),
        ApplyError::NoSpace => no_space(),
        ApplyError::Corrupt => corrupt(),
        ApplyError::InvalidSortOption => CheckError::InvalidSortOption.into(),
        ApplyError::EmptyKey => CheckError::EmptyKey.into(),
        ApplyError::UserEmpty => Status::invalid_argument("etcdserver: user name is empty"),
        ApplyError::PermissionDenied => Status::permission_denied("etcdserver: permission denied"),
        ApplyError::AuthOldRevision => auth_old_revision(),
        ApplyError::AuthNotEnabled => auth_not_enabled(),
        ApplyError::AuthFailed => auth_failed(),
        ApplyError::NoPasswordUser => no_password_user(),
        ApplyError::RootUserNotExist => {
            Status::failed_precondition("etcdserver: root user does not exist")
        }
        ApplyError::RootRoleNotExist => {
            Status::failed_precondition("etcdserver: root user does not have root role")
        }
        ApplyError::UserExists => {
            Status::failed_precondition("etcdserver: user name already exists")
        }
        ApplyError::UserNotFound => user_not_found(),
        ApplyError::RoleExists => {
            Status::failed_precondition("etcdserver: role name already exists")
        }
        ApplyError::RoleNotFound => role_not_found(),
        ApplyError::RoleEmpty => Status::invalid_argument("etcdserver: role name is empty"),
        ApplyError::RoleNotGranted => {
            Status::failed_precondition("etcdserver: role is not granted to the user")
        }
        ApplyError::PermissionNotGiven => {
            Status::invalid_argument("etcdserver: permission not given")
        }
        ApplyError::PermissionNotGranted => {
            Status::failed_precondition("etcdserver: permission is not granted to the role")
        }
        ApplyError::InvalidAuthMgmt => {
            Status::invalid_argument("etcdserver: invalid auth management")
        }
        ApplyError::NameTooLong => Status::invalid_argument("etcdserver: name is too long"),
        ApplyError::TooManyUsers => {
            Status::resource_exhausted("etcdserver: users and roles take all the memory they may")
        }
        ApplyError::UnknownOperation => Status::unknown("etcdserver: unknown method"),
    }
}

/// A read the state cannot answer.
pub fn of_read(error: &ReadError) -> Status {
    match error {
        ReadError::Compacted => Status::out_of_range(COMPACTED),
        ReadError::FutureRevision => Status::out_of_range(FUTURE),
        ReadError::InvalidSortOption => CheckError::InvalidSortOption.into(),
        ReadError::TooLarge(limit) => answer_too_large(*limit),
        ReadError::NotReadOnly | ReadError::State(_) => internal(error),
    }
}

/// A proposal without outcome.
pub fn of_propose(error: ProposeError) -> Status {
    match error {
        ProposeError::TooLarge { .. } => {
            Status::invalid_argument("etcdserver: request is too large")
        }
        // The code is etcd's slip.
        ProposeError::TooManyRequests => Status::unknown("etcdserver: too many requests"),
        ProposeError::Deadline => deadline_exceeded(),
        ProposeError::Timeout => Status::unavailable(TIMED_OUT),
        ProposeError::TimeoutLeaderFail => Status::unavailable(
            "etcdserver: request timed out, possibly due to previous leader failure",
        ),
        ProposeError::Stopped => stopped(),
    }
}

/// A linearizable read that was not confirmed.
pub fn of_linear(error: LinearError) -> Status {
    match error {
        LinearError::Timeout => Status::unavailable(TIMED_OUT),
        LinearError::LeaderChanged => Status::unavailable("etcdserver: leader changed"),
        LinearError::Stopped => stopped(),
    }
}

/// A change of members that was not made.
pub fn of_change(error: ChangeError) -> Status {
    match error {
        ChangeError::NotFound => Status::not_found("etcdserver: member not found"),
        ChangeError::IdExists => Status::failed_precondition("etcdserver: member ID already exist"),
        ChangeError::UrlExists => {
            Status::failed_precondition("etcdserver: Peer URLs already exists")
        }
        // The code is etcd's slip.
        ChangeError::NotEnoughStarted => {
            Status::unknown("etcdserver: re-configuration failed due to not enough started members")
        }
        ChangeError::Unhealthy => Status::unavailable("etcdserver: unhealthy cluster"),
        ChangeError::NotLearner => {
            Status::failed_precondition("etcdserver: can only promote a learner member")
        }
        ChangeError::LearnerNotReady => Status::failed_precondition(
            "etcdserver: can only promote a learner member which is in sync with leader",
        ),
        ChangeError::TooManyLearners => {
            Status::failed_precondition("etcdserver: too many learner members in cluster")
        }
        ChangeError::NotVoter => {
            Status::failed_precondition("etcdserver: can only replace a voting member")
        }
        ChangeError::NotLeader => no_leader(),
        ChangeError::Timeout => Status::unavailable(TIMED_OUT),
        ChangeError::Stopped => stopped(),
    }
}

/// Addresses no member can have.
pub fn bad_member_urls() -> Status {
    Status::invalid_argument("etcdserver: given member URLs are invalid")
}

/// Leadership that was not handed over.
pub fn of_move(error: MoveError) -> Status {
    match error {
        MoveError::NotLeader => Status::failed_precondition("etcdserver: not leader"),
        MoveError::BadTarget => Status::failed_precondition("etcdserver: bad leader transferee"),
        // The code is etcd's slip.
        MoveError::Timeout => {
            Status::unknown("etcdserver: request timed out, leader transfer took too long")
        }
        MoveError::Stopped => stopped(),
    }
}

/// A lease whose deadline could not be looked up.
pub fn of_lessor(error: LessorError) -> Status {
    match error {
        LessorError::NotLeader => no_leader(),
        LessorError::Unconfirmed(error) => of_linear(error),
    }
}

/// A renewal that was refused: etcd calls the unconfirmed leader by an internal name.
pub fn of_renewal(error: LessorError) -> Status {
    match error {
        LessorError::NotLeader => no_leader(),
        LessorError::Unconfirmed(LinearError::Stopped) => stopped(),
        LessorError::Unconfirmed(LinearError::Timeout | LinearError::LeaderChanged) => {
            Status::unknown("not a primary lessor")
        }
    }
}

/// The quota is used up.
pub fn no_space() -> Status {
    Status::resource_exhausted("etcdserver: mvcc: database space exceeded")
}

/// The members hold different data.
pub fn corrupt() -> Status {
    Status::data_loss("etcdserver: corrupt cluster")
}

/// Nobody leads.
pub fn no_leader() -> Status {
    Status::unavailable("etcdserver: no leader")
}

/// The member stops.
pub fn stopped() -> Status {
    Status::unavailable(STOPPED)
}

/// The client's or the server's time is up; the words are those of Go's contexts.
pub fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("context deadline exceeded")
}

/// A member without a vote was asked for more than it may answer.
pub fn not_for_learners() -> Status {
    Status::unavailable("etcdserver: rpc not supported for learner")
}

/// What the maintenance service says to who may not use it: etcd's inner words, with its slip of a code.
pub fn of_maintenance(error: ApplyError) -> Status {
    Status::unknown(format!("auth: {error}"))
}

/// A token nobody has been given, or one that holds no more.
pub fn invalid_auth_token() -> Status {
    Status::unauthenticated("etcdserver: invalid auth token")
}

/// [`invalid_auth_token`] in the maintenance service's words.
pub fn invalid_maintenance_token() -> Status {
    Status::unknown("auth: invalid auth token")
}

/// Users or roles have changed while the request was under way.
pub fn auth_old_revision() -> Status {
    Status::invalid_argument("etcdserver: revision of auth store is old")
}

/// No such user, or another password.
pub fn auth_failed() -> Status {
    Status::invalid_argument("etcdserver: authentication failed, invalid user ID or password")
}

/// A password for a user that has none; the code is etcd's slip.
pub fn no_password_user() -> Status {
    Status::unknown("auth: authentication failed, password was given for no password user")
}

/// No such user.
pub fn user_not_found() -> Status {
    Status::failed_precondition("etcdserver: user name not found")
}

/// No such role.
pub fn role_not_found() -> Status {
    Status::failed_precondition("etcdserver: role name not found")
}

/// A member of an earlier version would not understand the request.
pub fn not_capable() -> Status {
    Status::unavailable("etcdserver: not capable")
}

/// A password that was not hashed or compared.
pub fn of_password(error: PasswordError) -> Status {
    match error {
        PasswordError::Busy => {
            Status::resource_exhausted(format!("etcdserver: {error}; try again"))
        }
        // As etcd, where the library's words reach the client.
        PasswordError::TooLong => Status::unknown(error.to_string()),
        PasswordError::Failed => internal(&error),
    }
}

/// A token that was not signed; the code is etcd's slip.
pub fn of_signing(error: &SignError) -> Status {
    Status::unknown(error.to_string())
}

/// Passwords mean nothing while auth is not enabled.
pub fn auth_not_enabled() -> Status {
    Status::failed_precondition("etcdserver: authentication is not enabled")
}

/// An alarm request with an action nobody knows, which stops the real etcd.
pub fn unknown_alarm_action(action: i32) -> Status {
    Status::invalid_argument(format!("etcdserver: unknown alarm action {action}"))
}

/// A service this member does not know; the words are those of Go's gRPC.
pub fn unknown_service(service: &str) -> Status {
    Status::unimplemented(format!("unknown service {service}"))
}

/// A method of a known service that this member does not know.
pub fn unknown_method(service: &str, method: &str) -> Status {
    Status::unimplemented(format!("unknown method {method} for service {service}"))
}

/// A path that names no method.
pub fn malformed_method(path: &str) -> Status {
    Status::unimplemented(format!("malformed method name: {path:?}"))
}

/// A method of etcd's that this version does not offer.
pub fn not_offered(what: &str, instead: &str) -> Status {
    Status::unimplemented(format!("etcdserver: {what} is not available in this version; {instead}"))
}

/// A health check of a service that has none.
pub fn unknown_health_service() -> Status {
    Status::not_found("unknown service")
}

/// A stream of pieces cannot sort.
pub fn no_sorted_stream() -> Status {
    Status::unimplemented("RangeStream does not support custom sort orders")
}

/// A stream of pieces cannot filter.
pub fn no_filtered_stream() -> Status {
    Status::unimplemented("RangeStream does not support revision filters")
}

/// A message above the limit; the words are those of Go's gRPC.
pub fn message_too_large(size: usize, limit: usize) -> Status {
    Status::resource_exhausted(format!(
        "grpc: received message larger than max ({size} vs. {limit})"
    ))
}

/// A request in an encoding this member does not read.
pub fn unknown_encoding(encoding: &str) -> Status {
    Status::unimplemented(format!(
        "grpc: Decompressor is not installed for grpc-encoding {encoding:?}"
    ))
}

/// A compressed message in a request that named no encoding.
pub fn unexpected_compression() -> Status {
    Status::internal("grpc: compressed flag set with identity or empty encoding")
}

/// A message that is not the one of the method.
pub fn undecodable(error: &prost::DecodeError) -> Status {
    Status::internal(format!("grpc: error unmarshalling request: {error}"))
}

/// A second message where the method takes one.
pub fn one_message_too_many() -> Status {
    Status::internal("this method takes one message, got another")
}

/// A body that ended too early.
pub fn truncated() -> Status {
    Status::internal("unexpected EOF")
}

/// The connection failed while the request came in, or the client went away.
pub fn canceled() -> Status {
    Status::cancelled("context canceled")
}

/// Too many large answers are on their way.
pub fn answers_in_flight(limit: usize) -> Status {
    Status::resource_exhausted(format!(
        "etcdserver: large range responses use all of the {limit} bytes kept for them; \
         use a limit or RangeStream, or try again"
    ))
}

/// An answer was dropped on its way.
pub fn answer_not_read() -> Status {
    Status::resource_exhausted(
        "etcdserver: the response was read too slowly while others waited for its memory; \
         use a limit or RangeStream",
    )
}

/// An answer no client could take.
pub fn answer_too_large(limit: usize) -> Status {
    Status::resource_exhausted(format!(
        "grpc: trying to send message larger than max (more than {limit} bytes); \
         use a limit or RangeStream"
    ))
}

/// The answer to a request that was carried out cannot be given.
pub fn applied_without_answer(revision: i64, reason: &Status) -> Status {
    let why = reason.message();
    let text = format!(
        "etcdserver: the request was applied at revision {revision}; its response is lost: {why}"
    );
    Status::new(reason.code(), text)
}

/// Calls hold too much memory; see SECURITY.md for the bounds.
pub fn memory_full(full: Full) -> Status {
    Status::resource_exhausted(format!(
        "etcdserver: {full}; send less at once and read the answers"
    ))
}

/// More alarms than any cluster could raise.
pub fn too_many_alarms(limit: usize) -> Status {
    Status::resource_exhausted(format!(
        "etcdserver: too many alarms are raised, {limit} are allowed"
    ))
}

/// A fault of this member that the client can do nothing about.
pub fn internal(error: &impl std::fmt::Display) -> Status {
    Status::internal(format!("etcdserver: {error}"))
}

/// A status as Go prints it, which is how the reason of a refused watcher reads.
pub fn as_go_prints(status: &Status) -> String {
    let code = code_label(status.code());
    format!("rpc error: code = {code} desc = {}", status.message())
}

/// How the metric label `grpc_code` spells a code.
pub fn code_label(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_are_etcds() {
        let cases = [
            (Status::from(CheckError::EmptyOperation), 3, "etcdserver: key not found"),
            (of_apply(ApplyError::LeaseNotFound), 5, "etcdserver: requested lease not found"),
            (
                of_apply(ApplyError::Compacted),
                11,
                "etcdserver: mvcc: required revision has been compacted",
            ),
            (of_apply(ApplyError::NoSpace), 8, "etcdserver: mvcc: database space exceeded"),
            (of_apply(ApplyError::Corrupt), 15, "etcdserver: corrupt cluster"),
            (of_read(&ReadError::FutureRevision), 11, FUTURE),
            (of_propose(ProposeError::TooManyRequests), 2, "etcdserver: too many requests"),
            (
                of_propose(ProposeError::TooLarge { size: 2, limit: 1 }),
                3,
                "etcdserver: request is too large",
            ),
            (of_propose(ProposeError::Deadline), 4, "context deadline exceeded"),
            (of_linear(LinearError::Timeout), 14, "etcdserver: request timed out"),
            (of_lessor(LessorError::NotLeader), 14, "etcdserver: no leader"),
            (of_renewal(LessorError::Unconfirmed(LinearError::Timeout)), 2, "not a primary lessor"),
            (message_too_large(3, 2), 8, "grpc: received message larger than max (3 vs. 2)"),
            (
                unknown_encoding("gzip"),
                12,
                "grpc: Decompressor is not installed for grpc-encoding \"gzip\"",
            ),
        ];
        for (status, code, text) in cases {
            assert_eq!((status.code() as i32, status.message()), (code, text));
        }
    }
}
