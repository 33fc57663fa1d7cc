//! Users, roles and what they permit.
//!
//! [`Auth`] is replicated state like any other: changed by entries, stored with them, in every image
//! and in the hash over everything applied. Who is allowed what is decided by
//! `state/apply/authorize.rs` alone, which asks [`Auth`] what a caller holds. Tokens are
//! not here: they say who a caller is, on one member, for a time.

mod change;
mod intervals;
mod store;

use std::sync::Arc;

pub use change::has_no_password;
pub use store::Auth;
pub(super) use store::Standing;

use crate::proto::internal::Request;

/// The name of the user, and of the role, that may do everything.
pub const ROOT: &str = "root";

/// Who asks, as the member that was asked found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A member, on its own account: it may do everything.
    Member,
    /// Nobody that is known: no token, no certificate that counts.
    Nobody,
    /// A user by this name, which need not exist.
    User {
        /// The name.
        name: Arc<str>,
        /// The auth revision at which it was known.
        revision: u64,
    },
}

impl Caller {
    /// The caller of a request in the log.
    pub(super) fn of(request: &Request) -> Self {
        if request.internal {
            return Self::Member;
        }
        // The first revision of all is 1.
        if request.user.is_empty() && request.auth_revision == 0 {
            return Self::Nobody;
        }
        Self::User { name: request.user.as_str().into(), revision: request.auth_revision }
    }

    /// Writes it into a request for the log.
    pub fn sign(&self, request: &mut Request) {
        match self {
            Self::Member => request.internal = true,
            Self::Nobody => {}
            Self::User { name, revision } => {
                name.as_ref().clone_into(&mut request.user);
                request.auth_revision = *revision;
            }
        }
    }

    /// The user's name, if there is one.
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::User { name, .. } => Some(name),
            Self::Member | Self::Nobody => None,
        }
    }

    /// The auth revision at which a user was known.
    pub fn revision(&self) -> Option<u64> {
        match self {
            Self::User { revision, .. } => Some(*revision),
            Self::Member | Self::Nobody => None,
        }
    }
}
