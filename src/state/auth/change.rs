//! The rules by which users and roles change: etcd's, in etcd's order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Auth, ROOT};
use crate::proto::authpb::{Permission, Role, User, UserAddOptions};
use crate::proto::etcdserverpb::{
    AuthRoleGrantPermissionRequest, AuthRoleRevokePermissionRequest, AuthUserAddRequest,
    AuthUserChangePasswordRequest, AuthUserGrantRoleRequest, AuthUserRevokeRoleRequest,
};
use crate::state::changes::Changes;
use crate::state::error::ApplyError;
use crate::types::range::UNBOUNDED;

type Changed = Result<(), ApplyError>;

impl Auth {
    /// Has everybody asked who it is; nothing happens if that is so.
    pub(in crate::state) fn enable(&mut self, changes: &mut Changes) -> Changed {
        if self.enabled {
            return Ok(());
        }
        let root = self.user(ROOT).ok_or(ApplyError::RootUserNotExist)?;
        if !root.roles.iter().any(|role| role == ROOT) {
            return Err(ApplyError::RootRoleNotExist);
        }
        self.set_enabled(true, changes);
        Ok(())
    }

    /// Has nobody asked any more; whether that was different before.
    pub(in crate::state) fn disable(&mut self, changes: &mut Changes) -> bool {
        let was = self.enabled;
        if was {
            self.set_enabled(false, changes);
            self.count(changes);
        }
        was
    }

    /// Whether a user that has shown its password may be given a token.
    pub(in crate::state) fn admits(&self, name: &str) -> Changed {
        if !self.enabled {
            return Err(ApplyError::AuthNotEnabled);
        }
        match self.user(name) {
            Some(user) if !has_no_password(user) => Ok(()),
            _ => Err(ApplyError::AuthFailed),
        }
    }

    pub(in crate::state) fn add_user(
        &mut self,
        request: &AuthUserAddRequest,
        changes: &mut Changes,
    ) -> Changed {
        if request.name.is_empty() {
            return Err(ApplyError::UserEmpty);
        }
        if self.user(&request.name).is_some() {
            return Err(ApplyError::UserExists);
        }
        let options = request.options.unwrap_or_default();
        let password =
            if options.no_password { Bytes::new() } else { password(&request.hashed_password)? };
        let name = Bytes::from(request.name.clone());
        let user = User { name, password, roles: Vec::new(), options: Some(options) };
        self.put_user(user, changes)?;
        self.count(changes);
        Ok(())
    }

    pub(in crate::state) fn delete_user(&mut self, name: &str, changes: &mut Changes) -> Changed {
        if self.enabled && name == ROOT {
            return Err(ApplyError::InvalidAuthMgmt);
        }
        if !self.remove_user(name, changes) {
            return Err(ApplyError::UserNotFound);
        }
        self.count(changes);
        Ok(())
    }

    pub(in crate::state) fn change_password(
        &mut self,
        request: &AuthUserChangePasswordRequest,
        changes: &mut Changes,
    ) -> Changed {
        let user = self.user(&request.name).ok_or(ApplyError::UserNotFound)?;
        let password =
            if has_no_password(user) { Bytes::new() } else { password(&request.hashed_password)? };
        let user = User { password, ..user.clone() };
        self.put_user(user, changes)?;
        self.count(changes);
        Ok(())
    }

    pub(in crate::state) fn grant_role(
        &mut self,
        request: &AuthUserGrantRoleRequest,
        changes: &mut Changes,
    ) -> Changed {
        let user = self.user(&request.user).ok_or(ApplyError::UserNotFound)?;
        // The root role needs not be there to be granted.
        if request.role != ROOT && self.role(&request.role).is_none() {
            return Err(ApplyError::RoleNotFound);
        }
        let Err(place) = user.roles.binary_search(&request.role) else { return Ok(()) };
        let mut user = user.clone();
        user.roles.insert(place, request.role.clone());
        self.put_user(user, changes)?;
        self.count(changes);
        Ok(())
    }

    pub(in crate::state) fn revoke_role(
        &mut self,
        request: &AuthUserRevokeRoleRequest,
        changes: &mut Changes,
    ) -> Changed {
        if self.enabled && request.name == ROOT && request.role == ROOT {
            return Err(ApplyError::InvalidAuthMgmt);
        }
        let user = self.user(&request.name).ok_or(ApplyError::UserNotFound)?;
        let place = user.roles.binary_search(&request.role);
        let place = place.map_err(|_| ApplyError::RoleNotGranted)?;
        let mut user = user.clone();
        user.roles.remove(place);
        self.put_user(user, changes)?;
        self.count(changes);
        Ok(())
    }

    pub(in crate::state) fn add_role(&mut self, name: &str, changes: &mut Changes) -> Changed {
        if name.is_empty() {
            return Err(ApplyError::RoleEmpty);
        }
        if self.role(name).is_some() {
            return Err(ApplyError::RoleExists);
        }
        let role = Role { name: Bytes::from(name.to_owned()), key_permission: Vec::new() };
        self.put_role(role, changes)?;
        self.count(changes);
        Ok(())
    }

    pub(in crate::state) fn delete_role(&mut self, name: &str, changes: &mut Changes) -> Changed {
        if self.enabled && name == ROOT {
            return Err(ApplyError::InvalidAuthMgmt);
        }
        if !self.remove_role(name, changes) {
            return Err(ApplyError::RoleNotFound);
        }
        self.count(changes);
        Ok(())
    }

    pub(in crate::state) fn grant_permission(
        &mut self,
        request: &AuthRoleGrantPermissionRequest,
        changes: &mut Changes,
    ) -> Changed {
        let granted = request.perm.as_ref().ok_or(ApplyError::PermissionNotGiven)?;
        if !is_range(granted) {
            return Err(ApplyError::InvalidAuthMgmt);
        }
        let mut role = self.role(&request.name).ok_or(ApplyError::RoleNotFound)?.clone();
        match role.key_permission.iter_mut().find(|one| same_range(one, granted)) {
            Some(one) => one.perm_type = granted.perm_type,
            None => {
                let place = role.key_permission.partition_point(|one| one.key <= granted.key);
                role.key_permission.insert(place, granted.clone());
            }
        }
        self.put_role(role, changes)?;
        self.count(changes);
        Ok(())
    }

    pub(in crate::state) fn revoke_permission(
        &mut self,
        request: &AuthRoleRevokePermissionRequest,
        changes: &mut Changes,
    ) -> Changed {
        let mut role = self.role(&request.role).ok_or(ApplyError::RoleNotFound)?.clone();
        let before = role.key_permission.len();
        role.key_permission
            .retain(|one| one.key != request.key || one.range_end != request.range_end);
        if role.key_permission.len() == before {
            return Err(ApplyError::PermissionNotGranted);
        }
        self.put_role(role, changes)?;
        self.count(changes);
        Ok(())
    }
}

/// Whether nobody can come as this user by showing a password.
pub fn has_no_password(user: &User) -> bool {
    user.options.is_some_and(|options: UserAddOptions| options.no_password)
}

/// The hash in a request, whose text form is base64.
fn password(hashed: &str) -> Result<Bytes, ApplyError> {
    STANDARD.decode(hashed).map(Bytes::from).map_err(|_| ApplyError::NoPasswordUser)
}

fn is_range(granted: &Permission) -> bool {
    let (key, end) = (&granted.key, &granted.range_end);
    !key.is_empty() && (end.is_empty() || end == UNBOUNDED || key < end)
}

fn same_range(a: &Permission, b: &Permission) -> bool {
    (&a.key, &a.range_end) == (&b.key, &b.range_end)
}
