//! What members publish about themselves, and the version the cluster agreed on.

use std::collections::BTreeMap;

use prost::Message;

use crate::proto::internal::MemberAttributes;
use crate::storage::engine::{Batch, Space};
use crate::types::ids::MemberId;

/// What one member published once it served. Peer addresses are not here: they belong to the
/// consensus membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Its name.
    pub name: String,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
}

/// The published facts of all members; a copy is published to readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    published: BTreeMap<MemberId, Published>,
    cluster_version: Option<String>,
}

/// Where the cluster version is stored; kept beside the 8-byte member ids.
const VERSION_KEY: &[u8] = b"cluster_version";

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

    /// Takes what a member published, here and into the batch.
    pub(in crate::state) fn publish(&mut self, attributes: &MemberAttributes, batch: &mut Batch) {
        let id = attributes.member_id;
        batch.put(Space::Members, &id.to_be_bytes(), &attributes.encode_to_vec());
        self.published.insert(MemberId(id), read(attributes.clone()));
    }

    /// Takes the version the cluster agreed on, here and into the batch.
    pub(in crate::state) fn set_cluster_version(&mut self, version: &str, batch: &mut Batch) {
        batch.put(Space::Members, VERSION_KEY, version.as_bytes());
        self.cluster_version = Some(version.to_owned());
    }

    /// Adds a record read from storage; `false` if it is not one of ours.
    pub(in crate::state) fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        if key == VERSION_KEY {
            self.cluster_version = Some(String::from_utf8_lossy(value).into_owned());
            return true;
        }
        let Ok(id) = <[u8; 8]>::try_from(key) else { return false };
        let Ok(attributes) = MemberAttributes::decode(value) else { return false };
        self.published.insert(MemberId(u64::from_be_bytes(id)), read(attributes));
        true
    }
}

fn read(attributes: MemberAttributes) -> Published {
    Published { name: attributes.name, client_urls: attributes.client_urls }
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
        };
        let mut members = Members::default();
        assert!(members.restore(&7u64.to_be_bytes(), &attributes.encode_to_vec()));
        assert!(members.restore(VERSION_KEY, b"3.5.0"));
        assert!(!members.restore(b"odd", b""));
        assert_eq!(members.get(MemberId(7)).map(|one| one.name.as_str()), Some("one"));
        assert_eq!(members.cluster_version(), Some("3.5.0"));
    }
}
