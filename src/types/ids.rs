//! Member, cluster and lease ids, and the generator of request ids (etcd's rules, byte for byte).

use std::fmt;

use sha1::{Digest, Sha1};

/// Identifies a member for ever; a removed id never comes back. Text form is unpadded lower-case hex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// Identifies a cluster for ever, however its members change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

/// Identifies a lease. Clients may choose any non-zero value, negative ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

impl fmt::Display for MemberId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:x}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:x}", self.0)
    }
}

impl fmt::Display for LeaseId {
    /// Hex the way etcd prints it: a minus sign, then the magnitude.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(out, "{sign}{:x}", self.0.unsigned_abs())
    }
}

impl MemberId {
    /// The id of a member with these peer URLs. `token` is the cluster token at bootstrap and empty
    /// when a member is added later, in which case `added_at` holds the Unix seconds of that moment.
    pub fn derive(peer_urls: &[String], token: &str, added_at: Option<i64>) -> Self {
        let mut urls: Vec<&str> = peer_urls.iter().map(String::as_str).collect();
        urls.sort_unstable();
        let mut hash = Sha1::new();
        for url in urls {
            hash.update(url);
        }
        hash.update(token);
        if let Some(seconds) = added_at {
            hash.update(seconds.to_string());
        }
        Self(first_word(hash))
    }
}

impl ClusterId {
    /// The id of a cluster founded by these members, in whatever order they are given.
    pub fn derive(members: &[MemberId]) -> Self {
        let mut sorted = members.to_vec();
        sorted.sort_unstable();
        let mut hash = Sha1::new();
        for member in sorted {
            hash.update(member.0.to_be_bytes());
        }
        Self(first_word(hash))
    }
}

fn first_word(hash: Sha1) -> u64 {
    hash.finalize().iter().take(8).fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

/// Hands out request ids: 16 bits of the member id, 40 bits of start time, a counter that starts at
/// zero and carries into the time. Ids of one member differ from those of any other and of its own
/// earlier runs.
#[derive(Debug)]
pub struct RequestIds {
    prefix: u64,
    suffix: std::sync::atomic::AtomicU64,
}

impl RequestIds {
    const SUFFIX_MASK: u64 = (1 << 48) - 1;

    /// A generator for a member that started at `started_ms`, Unix milliseconds.
    pub fn new(member: MemberId, started_ms: u64) -> Self {
        let suffix = (started_ms & ((1 << 40) - 1)) << 8;
        Self { prefix: member.0 << 48, suffix: std::sync::atomic::AtomicU64::new(suffix) }
    }

    /// The next id.
    pub fn next_id(&self) -> u64 {
        let next = self.suffix.fetch_add(1, std::sync::atomic::Ordering::Relaxed).wrapping_add(1);
        self.prefix | (next & Self::SUFFIX_MASK)
    }

    /// A lease id chosen by the server: positive and never zero.
    pub fn next_lease(&self) -> LeaseId {
        loop {
            let id = (self.next_id() & (u64::MAX >> 1)).cast_signed();
            if id != 0 {
                return LeaseId(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(url: &str, token: &str) -> MemberId {
        MemberId::derive(&[url.to_owned()], token, None)
    }

    #[test]
    fn default_node_has_the_ids_etcd_gives_it() {
        let id = member("http://localhost:2380", "etcd-cluster");
        assert_eq!(id.to_string(), "8e9e05c52164694d");
        assert_eq!(ClusterId::derive(&[id]).to_string(), "cdf818194e3a8c32");
    }

    #[test]
    fn three_member_cluster_has_the_ids_etcd_gives_it() {
        let ids: Vec<MemberId> = [12380, 22380, 32380]
            .iter()
            .map(|port| member(&format!("http://127.0.0.1:{port}"), "etcd-cluster-1"))
            .collect();
        let text: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["8211f1d0f64f3269", "91bc3c398fb3c146", "fd422379fda50e48"]);
        assert_eq!(ClusterId::derive(&ids).to_string(), "ef37ad9dc622a7c4");
    }

    #[test]
    fn lease_ids_print_like_etcd() {
        assert_eq!(LeaseId(78).to_string(), "4e");
        assert_eq!(LeaseId(-3).to_string(), "-3");
    }

    #[test]
    fn request_ids_count_up_within_the_members_prefix() {
        let ids = RequestIds::new(MemberId(0x1234), 1);
        assert_eq!(ids.next_id(), (0x1234 << 48) | 0x101);
        assert_eq!(ids.next_id(), (0x1234 << 48) | 0x102);
        assert!(RequestIds::new(MemberId(u64::MAX), 5).next_lease().0 > 0);
    }
}
