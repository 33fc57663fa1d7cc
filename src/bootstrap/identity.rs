//! Who a node is, as its data directory remembers it.

use crate::types::ids::{ClusterId, MemberId};

/// A member of a cluster, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The member.
    pub member: MemberId,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
}

/// The remembered text is not one we wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the data directory's identity is {found:?}, expected \"member=<hex> cluster=<hex>\"; \
     restore the directory from a backup"
)]
pub struct IdentityError {
    found: String,
}

impl Identity {
    /// The text to remember.
    pub fn to_text(self) -> String {
        format!("member={} cluster={}", self.member, self.cluster)
    }

    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn from_text(bytes: &[u8]) -> Result<Self, IdentityError> {
        let text = String::from_utf8_lossy(bytes);
        let word = |text: &str, name| u64::from_str_radix(text.strip_prefix(name)?, 16).ok();
        text.split_once(' ')
            .and_then(|(member, cluster)| {
                Some(Self {
                    member: MemberId(word(member, "member=")?),
                    cluster: ClusterId(word(cluster, "cluster=")?),
                })
            })
            .ok_or_else(|| IdentityError { found: text.chars().take(80).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote_and_nothing_else() {
        let identity = Identity { member: MemberId(0xabc), cluster: ClusterId(7) };
        assert_eq!(Identity::from_text(identity.to_text().as_bytes()), Ok(identity));
        for wrong in ["", "member=1", "member=x cluster=1", "cluster=1 member=1"] {
            assert!(Identity::from_text(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
