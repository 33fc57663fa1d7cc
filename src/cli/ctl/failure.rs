//! Exit codes and the one line that goes with them.

use tonic::{Code, Status};

/// The exit codes of etcd's tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// A request failed.
    Error,
    /// No client could be made.
    BadConnection,
    /// Input read while running cannot be used.
    InvalidInput,
    /// An option or format this command does not have.
    BadFeature,
    /// Ended from the other side.
    Interrupted,
    /// The command line cannot be used.
    BadArgs,
    /// That of a command run in our place.
    Child(u8),
}

impl Exit {
    /// The code itself.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Error => 1,
            Self::BadConnection => 2,
            Self::InvalidInput => 3,
            Self::BadFeature => 4,
            Self::Interrupted => 5,
            Self::BadArgs => 128,
            Self::Child(code) => code,
        }
    }
}

/// Why a command ends with another code than zero.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    /// Printed on standard error behind `Error: `; nothing when all was said already.
    pub(super) message: Option<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: Some(message.into()) }
    }

    pub(super) fn bad_args(message: impl Into<String>) -> Self {
        Self::new(Exit::BadArgs, message)
    }

    pub(super) fn silent(exit: Exit) -> Self {
        Self { exit, message: None }
    }

    pub(super) fn unsupported(format: &str) -> Self {
        Self::new(Exit::BadFeature, format!("{format} not supported as output format"))
    }
}

/// What etcd's client prints for a failed call: the server's own words if they are etcd's, else the
/// code as well.
pub(super) fn describe(status: &Status) -> String {
    let message = status.message();
    match status.code() {
        Code::DeadlineExceeded => "context deadline exceeded".to_owned(),
        Code::Cancelled => "context canceled".to_owned(),
        // The original knows no text of a server that lacks something.
        code if message.starts_with("etcdserver: ") && code != Code::Unimplemented => {
            message.to_owned()
        }
        code => format!("rpc error: code = {} desc = {message}", code_name(code)),
    }
}

/// Go's name of a code.
pub(super) fn code_name(code: Code) -> &'static str {
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
    fn known_words_stand_alone_and_others_carry_their_code() {
        let known = Status::not_found("etcdserver: requested lease not found");
        assert_eq!(describe(&known), "etcdserver: requested lease not found");
        let other = Status::unimplemented("unknown service x.Y");
        assert_eq!(describe(&other), "rpc error: code = Unimplemented desc = unknown service x.Y");
        assert_eq!(describe(&Status::deadline_exceeded("late")), "context deadline exceeded");
    }
}
