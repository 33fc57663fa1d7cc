//! The users and roles there are, and what each user holds.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use prost::Message;

use super::intervals::Intervals;
use super::{Caller, ROOT};
use crate::proto::authpb::permission::Type;
use crate::proto::authpb::{Permission, Role, User};
use crate::state::changes::Changes;
use crate::state::error::ApplyError;
use crate::storage::engine::Space;

/// The revision of a store that never had users or roles.
const FIRST_REVISION: u64 = 1;
/// Bytes that users and roles may take together. They are all in memory, and a copy is made of what
/// leads to them with every change.
const MOST_BYTES: usize = 32 << 20;

/// Bytes of a name, as many as etcd's store takes. It is part of a key, and the engine ends the process over
/// keys of 64 KiB.
const LONGEST_NAME: usize = 32 << 10;

/// Where is stored what is not a user or a role.
const ENABLED_KEY: &[u8] = b"enabled";
const REVISION_KEY: &[u8] = b"revision";
/// What keys of users and of roles begin with.
const USER: &str = "u/";
const ROLE: &str = "r/";

/// Users, roles and whether they matter; a copy is published to readers.
#[derive(Clone, Debug)]
pub struct Auth {
    pub(super) enabled: bool,
    revision: u64,
    users: BTreeMap<String, Arc<Held>>,
    roles: BTreeMap<String, Arc<Role>>,
    /// Of all of them, encoded.
    bytes: usize,
}

/// A user, and what its roles grant together, which is found out when it is first asked for and again
/// when the user or one of its roles has changed.
#[derive(Debug)]
struct Held {
    user: User,
    rights: OnceLock<Rights>,
}

/// What the roles of a user grant.
#[derive(Debug)]
pub(in crate::state) struct Rights {
    read: Intervals,
    write: Intervals,
}

/// What a caller may do with keys.
#[derive(Clone, Copy, Debug)]
pub(in crate::state) enum Standing<'a> {
    /// Everything.
    All,
    /// What its roles grant.
    Some(&'a Rights),
}

impl Standing<'_> {
    /// Whether all keys of a range may be read.
    pub(in crate::state) fn may_read(self, key: &[u8], range_end: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Some(rights) => rights.read.cover(key, range_end),
        }
    }

    /// Whether all keys of a range may be written.
    pub(in crate::state) fn may_write(self, key: &[u8], range_end: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Some(rights) => rights.write.cover(key, range_end),
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            enabled: false,
            revision: FIRST_REVISION,
            users: BTreeMap::new(),
            roles: BTreeMap::new(),
            bytes: 0,
        }
    }
}

impl Auth {
    /// Whether anybody is asked who it is.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Counts the changes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A user.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name).map(|held| &held.user)
    }

    /// A role.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name).map(AsRef::as_ref)
    }

    /// The names of all users, ascending.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    /// The names of all roles, ascending.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().map(String::as_str)
    }

    /// Whether a caller has a role.
    pub(in crate::state) fn has_role(&self, caller: &Caller, role: &str) -> bool {
        let user = caller.name().and_then(|name| self.user(name));
        user.is_some_and(|user| holds(user, role))
    }

    /// Whether a caller may do what only root may.
    ///
    /// # Errors
    /// Why not.
    pub(in crate::state) fn administers(&self, caller: &Caller) -> Result<(), ApplyError> {
        let name = match caller {
            Caller::Member => return Ok(()),
            Caller::User { name, .. } if !name.is_empty() => name,
            Caller::User { .. } | Caller::Nobody => return Err(ApplyError::UserEmpty),
        };
        let user = self.user(name).ok_or(ApplyError::PermissionDenied)?;
        if holds(user, ROOT) { Ok(()) } else { Err(ApplyError::PermissionDenied) }
    }

    /// What a caller may do with keys.
    ///
    /// # Errors
    /// Nobody that is known asks, or somebody who was known before the last change.
    pub(in crate::state) fn standing(&self, caller: &Caller) -> Result<Standing<'_>, ApplyError> {
        let (name, revision) = match caller {
            Caller::Member => return Ok(Standing::All),
            Caller::Nobody => return Err(ApplyError::UserEmpty),
            Caller::User { name, revision } => (name, *revision),
        };
        if revision < self.revision {
            return Err(ApplyError::AuthOldRevision);
        }
        let held = self.users.get(name.as_ref()).ok_or(ApplyError::PermissionDenied)?;
        if holds(&held.user, ROOT) {
            return Ok(Standing::All);
        }
        Ok(Standing::Some(held.rights.get_or_init(|| self.rights(&held.user))))
    }

    fn rights(&self, user: &User) -> Rights {
        let granted = |wanted: [Type; 2]| {
            let roles = user.roles.iter().filter_map(|name| self.roles.get(name));
            let all = roles.flat_map(|role| &role.key_permission);
            let some = all.filter(|one: &&Permission| wanted.contains(&one.perm_type()));
            Intervals::union(some.map(|one| (&one.key, &one.range_end)))
        };
        Rights {
            read: granted([Type::Read, Type::Readwrite]),
            write: granted([Type::Write, Type::Readwrite]),
        }
    }

    /// Enters or changes a user, here and in the batch.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn put_user(&mut self, user: User, changes: &mut Changes) -> Result<(), ApplyError> {
        let name = name(&user.name);
        let (key, value) = (format!("{USER}{name}"), user.encode_to_vec());
        if name.len() > LONGEST_NAME {
            return Err(ApplyError::NameTooLong);
        }
        let before = self.users.get(&name).map(|held| key.len() + held.user.encoded_len());
        self.take(before, key.len() + value.len())?;
        changes.put(Space::Auth, key.as_bytes(), &value);
        self.users.insert(name, Arc::new(Held { user, rights: OnceLock::new() }));
        Ok(())
    }

    /// Removes a user, here and in the batch; whether there was one.
    pub(super) fn remove_user(&mut self, name: &str, changes: &mut Changes) -> bool {
        let Some(held) = self.users.remove(name) else { return false };
        let key = format!("{USER}{name}");
        self.bytes = self.bytes.saturating_sub(key.len() + held.user.encoded_len());
        changes.delete(Space::Auth, key.as_bytes());
        true
    }

    /// Enters or changes a role, here and in the batch.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn put_role(&mut self, role: Role, changes: &mut Changes) -> Result<(), ApplyError> {
        let name = name(&role.name);
        let (key, value) = (format!("{ROLE}{name}"), role.encode_to_vec());
        if name.len() > LONGEST_NAME {
            return Err(ApplyError::NameTooLong);
        }
        let before = self.roles.get(&name).map(|role| key.len() + role.encoded_len());
        self.take(before, key.len() + value.len())?;
        changes.put(Space::Auth, key.as_bytes(), &value);
        self.roles.insert(name.clone(), Arc::new(role));
        self.forget_rights(&name);
        Ok(())
    }

    /// Removes a role, here and in the batch, and from those who have it; whether there was one.
    pub(super) fn remove_role(&mut self, name: &str, changes: &mut Changes) -> bool {
        let Some(role) = self.roles.remove(name) else { return false };
        let key = format!("{ROLE}{name}");
        self.bytes = self.bytes.saturating_sub(key.len() + role.encoded_len());
        changes.delete(Space::Auth, key.as_bytes());
        let holders: Vec<User> = self
            .users
            .values()
            .filter(|held| holds(&held.user, name))
            .map(|held| held.user.clone())
            .collect();
        for mut user in holders {
            user.roles.retain(|role| role != name);
            // It becomes smaller, so that there is room.
            let _ = self.put_user(user, changes);
        }
        true
    }

    /// Has what the holders of a role may do be found out anew.
    fn forget_rights(&mut self, role: &str) {
        for held in self.users.values_mut().filter(|held| holds(&held.user, role)) {
            *held = Arc::new(Held { user: held.user.clone(), rights: OnceLock::new() });
        }
    }

    /// Sets whether anybody is asked, here and in the batch.
    pub(super) fn set_enabled(&mut self, enabled: bool, changes: &mut Changes) {
        self.enabled = enabled;
        changes.put(Space::Auth, ENABLED_KEY, &[u8::from(enabled)]);
    }

    /// Counts a change, here and in the batch.
    pub(super) fn count(&mut self, changes: &mut Changes) {
        self.revision += 1;
        changes.put(Space::Auth, REVISION_KEY, &self.revision.to_be_bytes());
    }

    fn take(&mut self, before: Option<usize>, now: usize) -> Result<(), ApplyError> {
        let bytes = self.bytes.saturating_sub(before.unwrap_or(0)).saturating_add(now);
        if bytes > MOST_BYTES && now > before.unwrap_or(0) {
            return Err(ApplyError::TooManyUsers);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Adds a record read from storage; `false` if it is not one of ours.
    pub(in crate::state) fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        match key {
            ENABLED_KEY => {
                self.enabled = value == [1];
                return value.len() == 1;
            }
            REVISION_KEY => {
                let Ok(revision) = <[u8; 8]>::try_from(value) else { return false };
                self.revision = u64::from_be_bytes(revision);
                return true;
            }
            _ => {}
        }
        let Ok(key) = std::str::from_utf8(key) else { return false };
        self.bytes = self.bytes.saturating_add(key.len() + value.len());
        if let Some(name) = key.strip_prefix(USER) {
            let Ok(user) = User::decode(value) else { return false };
            let known = user.name == name.as_bytes();
            self.users.insert(name.to_owned(), Arc::new(Held { user, rights: OnceLock::new() }));
            known
        } else if let Some(name) = key.strip_prefix(ROLE) {
            let Ok(role) = Role::decode(value) else { return false };
            let known = role.name == name.as_bytes();
            self.roles.insert(name.to_owned(), Arc::new(role));
            known
        } else {
            false
        }
    }
}

/// Whether a user has a role; roles are sorted.
fn holds(user: &User, role: &str) -> bool {
    user.roles.binary_search_by(|one| one.as_str().cmp(role)).is_ok()
}

/// Names come as text in requests, and are bytes in etcd's records.
fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
