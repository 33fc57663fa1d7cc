//! Who belongs to the cluster and who no longer does, what members publish about themselves, and the
//! version the cluster agreed on.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use super::changes::Changes;
use crate::proto::internal::MemberAttributes;
use crate::storage::engine::Space;
use crate::types::ids::MemberId;

/// What one member published once it served. Peer addresses are not here: they belong to the
/// consensus membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Its name.
    pub name: String,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// What its version understands of the log, as [`LEVEL`].
    pub level: u32,
}

/// The members, as far as the state remembers them; a copy is published to readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    published: BTreeMap<MemberId, Published>,
    cluster_version: Option<String>,
    /// Everybody the newest configuration names; empty where an earlier release applied it.
    present: BTreeSet<MemberId>,
    /// Everybody an earlier configuration named and a later one did not.
    removed: BTreeSet<MemberId>,
}

/// What this version understands of the log: users and roles. An entry of a level that a member does not
/// understand would leave it with another state than the others, so none is proposed before all do.
pub const LEVEL: u32 = 1;

/// Where the cluster version is stored; kept beside the 8-byte member ids.
const VERSION_KEY: &[u8] = b"cluster_version";
/// Where the ids of the present and of the removed members are stored, ascending.
const PRESENT_KEY: &[u8] = b"present";
const REMOVED_KEY: &[u8] = b"removed";

impl Members {
    /// What a member published; `None` before it first served.
    pub fn get(&self, id: MemberId) -> Option<&Published> {
        self.published.get(&id)
    }

    /// What all members published, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = (MemberId, &Published)> {
        self.published.iter().map(|(id, one)| (*id, one))
    }

    /// The version the cluster agreed on, such as `3.5.0`.
    pub fn cluster_version(&self) -> Option<&str> {
        self.cluster_version.as_deref()
    }

    /// Whether every member that ever served understands entries of a level.
    pub fn all_understand(&self, level: u32) -> bool {
        self.published.values().all(|one| one.level >= level)
    }

    /// Whether a member was removed. That is for ever: an id never comes back.
    pub fn is_removed(&self, id: MemberId) -> bool {
        self.removed.contains(&id)
    }

    /// Everybody who was removed, ascending by id.
    pub fn removed(&self) -> impl Iterator<Item = MemberId> {
        self.removed.iter().copied()
    }

    /// Takes a new configuration, here and into the batch: `members` are all it names, voters and
    /// learners. What the others published goes.
    pub(in crate::state) fn configure(&mut self, members: &[MemberId], changes: &mut Changes) {
        let present: BTreeSet<MemberId> = members.iter().copied().collect();
        if present == self.present {
            return;
        }
        let gone: Vec<MemberId> = self.present.difference(&present).copied().collect();
        for id in &gone {
            if self.published.remove(id).is_some() {
                changes.delete(Space::Members, &id.0.to_be_bytes());
            }
        }
        if !gone.is_empty() {
            self.removed.extend(gone);
            changes.put(Space::Members, REMOVED_KEY, &write_ids(&self.removed));
        }
        changes.put(Space::Members, PRESENT_KEY, &write_ids(&present));
        self.present = present;
    }

    /// Takes what a member published, here and into the batch. What a removed one says is not heard:
    /// it may have said it before it was removed.
    pub(in crate::state) fn publish(
        &mut self,
        attributes: &MemberAttributes,
        changes: &mut Changes,
    ) {
        let id = attributes.member_id;
        if self.is_removed(MemberId(id)) {
            return;
        }
        changes.put(Space::Members, &id.to_be_bytes(), &attributes.encode_to_vec());
        self.published.insert(MemberId(id), read(attributes.clone()));
    }

    /// Takes the version the cluster agreed on, here and into the batch.
    pub(in crate::state) fn set_cluster_version(&mut self, version: &str, changes: &mut Changes) {
        changes.put(Space::Members, VERSION_KEY, version.as_bytes());
        self.cluster_version = Some(version.to_owned());
    }

    /// Adds a record read from storage; `false` if it is not one of ours.
    pub(in crate::state) fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        if key == VERSION_KEY {
            self.cluster_version = Some(String::from_utf8_lossy(value).into_owned());
            return true;
        }
        if key == PRESENT_KEY || key == REMOVED_KEY {
            let Some(ids) = read_ids(value) else { return false };
            *if key == PRESENT_KEY { &mut self.present } else { &mut self.removed } = ids;
            return true;
        }
        let Ok(id) = <[u8; 8]>::try_from(key) else { return false };
        let Ok(attributes) = MemberAttributes::decode(value) else { return false };
        self.published.insert(MemberId(u64::from_be_bytes(id)), read(attributes));
        true
    }
}

fn write_ids(ids: &BTreeSet<MemberId>) -> Vec<u8> {
    ids.iter().flat_map(|id| id.0.to_be_bytes()).collect()
}

fn read_ids(bytes: &[u8]) -> Option<BTreeSet<MemberId>> {
    let (ids, rest) = bytes.as_chunks::<8>();
    rest.is_empty().then(|| ids.iter().map(|id| MemberId(u64::from_be_bytes(*id))).collect())
}

fn read(attributes: MemberAttributes) -> Published {
    Published {
        name: attributes.name,
        client_urls: attributes.client_urls,
        level: attributes.level,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back() {
        let attributes = MemberAttributes {
            member_id: 7,
            name: "one".into(),
            client_urls: vec!["http://localhost:2379".into()],
            level: LEVEL,
        };
        let mut members = Members::default();
        assert!(members.restore(&7u64.to_be_bytes(), &attributes.encode_to_vec()));
        assert!(members.restore(VERSION_KEY, b"3.5.0"));
        assert!(!members.restore(b"odd", b""));
        assert!(!members.restore(REMOVED_KEY, &[0; 9]));
        assert!(members.restore(REMOVED_KEY, &[3_u64, 9].map(u64::to_be_bytes).concat()));
        assert_eq!(members.removed().collect::<Vec<_>>(), [MemberId(3), MemberId(9)]);
        assert!(members.is_removed(MemberId(9)) && !members.is_removed(MemberId(7)));
        assert_eq!(members.get(MemberId(7)).map(|one| one.name.as_str()), Some("one"));
        assert_eq!(members.cluster_version(), Some("3.5.0"));
        assert!(members.all_understand(LEVEL));
        let older = MemberAttributes { member_id: 8, ..MemberAttributes::default() };
        assert!(members.restore(&8u64.to_be_bytes(), &older.encode_to_vec()));
        assert!(!members.all_understand(LEVEL), "one that runs an earlier version");
    }
}
