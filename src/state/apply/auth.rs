//! Users, roles and tokens: what entries about them do.

use std::sync::Arc;

use super::Apply;
use crate::proto::internal::Authenticate;
use crate::proto::internal::request::Op;
use crate::state::auth::Auth;
use crate::state::error::ApplyError;
use crate::state::outcome::{Issued, Response};

/// What a batch does to tokens; told once the batch is committed.
#[derive(Debug)]
pub(in crate::state) enum TokenEvent {
    /// A user was given one.
    Issued { user: String, token: Issued },
    /// Those of a user hold no more.
    User(String),
    /// No token holds any more.
    All,
}

impl Apply<'_> {
    /// Changes users or roles.
    pub(super) fn change_auth(&mut self, op: &Op) -> Result<Response, ApplyError> {
        // A refusal leaves no mark, also not in what was copied to be changed.
        let mut auth = Auth::clone(&self.tables.auth);
        let (auth_of, changes) = (&mut auth, &mut *self.changes);
        let ended = match op {
            Op::AuthEnable(_) => auth_of.enable(changes).map(|()| None)?,
            Op::AuthDisable(_) => auth_of.disable(changes).then_some(TokenEvent::All),
            Op::UserAdd(add) => auth_of.add_user(add, changes).map(|()| None)?,
            Op::UserDelete(delete) => {
                auth_of.delete_user(&delete.name, changes)?;
                Some(TokenEvent::User(delete.name.clone()))
            }
            Op::UserChangePassword(change) => {
                auth_of.change_password(change, changes)?;
                Some(TokenEvent::User(change.name.clone()))
            }
            Op::UserGrantRole(grant) => auth_of.grant_role(grant, changes).map(|()| None)?,
            Op::UserRevokeRole(revoke) => auth_of.revoke_role(revoke, changes).map(|()| None)?,
            Op::RoleAdd(add) => auth_of.add_role(&add.name, changes).map(|()| None)?,
            Op::RoleDelete(delete) => auth_of.delete_role(&delete.role, changes).map(|()| None)?,
            Op::RoleGrantPermission(grant) => {
                auth_of.grant_permission(grant, changes).map(|()| None)?
            }
            Op::RoleRevokePermission(revoke) => {
                auth_of.revoke_permission(revoke, changes).map(|()| None)?
            }
            _ => return Err(ApplyError::UnknownOperation),
        };
        self.tables.auth = Arc::new(auth);
        self.tables.token_events.extend(ended);
        Ok(Response::Done)
    }

    /// Gives a user that has shown its password a token, which ends with the entry's position in the
    /// log.
    pub(super) fn authenticate(&mut self, asked: &Authenticate) -> Result<Response, ApplyError> {
        self.tables.auth.admits(&asked.name)?;
        let token = Issued(format!("{}.{}", asked.token, self.index));
        let event = TokenEvent::Issued { user: asked.name.clone(), token: token.clone() };
        self.tables.token_events.push(event);
        Ok(Response::Authenticate(token))
    }
}
