//! Who is right when members hold different things.

use std::collections::BTreeMap;

use crate::types::ids::MemberId;

/// The hash of what a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) member: MemberId,
    pub(super) hash: u64,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} holds {:016x}", self.member, self.hash)
    }
}

/// What hashes taken at one place say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All that could be compared are equal.
    Same,
    /// A quorum of the cluster is equal, and these are not; ascending.
    Apart(Vec<MemberId>),
    /// Some differ, and no hash has a quorum.
    Unclear,
}

/// Judges as etcd does: what a quorum of all `members` holds is right, whether or not all of them could
/// be asked. Without such a quorum nobody can say which one is.
pub(super) fn judge(held: &[Held], members: usize) -> Verdict {
    let mut holders: BTreeMap<u64, usize> = BTreeMap::new();
    for one in held {
        *holders.entry(one.hash).or_default() += 1;
    }
    if holders.len() <= 1 {
        return Verdict::Same;
    }
    let quorum = members / 2 + 1;
    let Some((right, _)) = holders.iter().find(|(_, count)| **count >= quorum) else {
        return Verdict::Unclear;
    };
    let apart = held.iter().filter(|one| one.hash != *right);
    let mut apart: Vec<MemberId> = apart.map(|one| one.member).collect();
    apart.sort_unstable();
    Verdict::Apart(apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members 1, 2, 3 … with these hashes.
    fn held(hashes: &[u64]) -> Vec<Held> {
        let member =
            |(place, hash): (usize, &u64)| Held { member: MemberId(place as u64 + 1), hash: *hash };
        hashes.iter().enumerate().map(member).collect()
    }

    #[test]
    fn a_quorum_is_right_and_nobody_else() {
        let apart = |ids: &[u64]| Verdict::Apart(ids.iter().copied().map(MemberId).collect());
        for (hashes, members, expected) in [
            (&[7][..], 3, Verdict::Same),
            (&[7, 7], 3, Verdict::Same),
            (&[7, 7, 8], 3, apart(&[3])),
            // Whoever asks may be the one.
            (&[8, 7, 7], 3, apart(&[1])),
            (&[7, 8, 9, 7, 7], 5, apart(&[2, 3])),
            (&[7, 8], 3, Verdict::Unclear),
            (&[7, 8], 2, Verdict::Unclear),
            (&[7, 8, 9], 3, Verdict::Unclear),
            (&[7, 7, 8, 8], 4, Verdict::Unclear),
            // Two of those that answered are no quorum of five.
            (&[7, 7, 8], 5, Verdict::Unclear),
        ] {
            assert_eq!(judge(&held(hashes), members), expected, "{hashes:?} of {members}");
        }
    }
}
