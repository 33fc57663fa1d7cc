//! Who may speak to this member: members of the same cluster, in the same protocol, that were not
//! removed. Everybody else is told why, and nothing they say reaches consensus.

use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::link::PeerIdentity;
use crate::state::Reader;
use crate::telemetry::quiet::Quiet;
use crate::types::ids::MemberId;

/// Metadata of every call: hexadecimal ids, as in etcd's headers.
pub(super) const CLUSTER: &str = "x-etcd-cluster-id";
pub(super) const FROM: &str = "x-server-from";
pub(super) const TO: &str = "x-raft-to";
/// The version of what is said; counts up when members of two versions could not understand each
/// other.
pub(super) const PROTOCOL: &str = "x-etcd-rs-protocol";
pub(super) const VERSION: &str = "1";

/// The refusal that tells a member it was removed.
const REMOVED: &str = "the member has been permanently removed from the cluster";

/// Looks at who calls.
#[derive(Clone)]
pub(super) struct Guard {
    identity: PeerIdentity,
    reader: Reader,
    quiet: std::sync::Arc<Quiet>,
}

impl Guard {
    pub(super) fn new(identity: PeerIdentity, reader: Reader) -> Self {
        Self { identity, reader, quiet: std::sync::Arc::default() }
    }

    /// The member that calls, if it may.
    ///
    /// # Errors
    /// Told to the caller, and logged here now and then.
    pub(super) fn admit(&self, metadata: &MetadataMap) -> Result<MemberId, Status> {
        let id = |name| {
            let text = metadata.get(name).and_then(|value| value.to_str().ok())?;
            u64::from_str_radix(text, 16).ok()
        };
        let Some((cluster, from, to)) = id(CLUSTER).zip(id(FROM)).zip(id(TO)).map(flat) else {
            return Err(Status::failed_precondition("incompatible version: not a member's call"));
        };
        let protocol = metadata.get(PROTOCOL).and_then(|value| value.to_str().ok());
        let (ours, local) = (self.identity.cluster.0, self.identity.member);
        let refusal = if cluster != ours {
            format!("cluster ID mismatch: caller has {cluster:x}, this member has {ours:x}")
        } else if protocol != Some(VERSION) {
            let got = protocol.unwrap_or("none");
            format!("incompatible version: caller speaks protocol {got}, this member {VERSION}")
        } else if to != local.0 {
            format!("to field mismatch: caller wants {to:x}, this member is {local}")
        } else if self.reader.members().is_removed(MemberId(from)) {
            return Err(Status::new(Code::PermissionDenied, REMOVED));
        } else {
            return Ok(MemberId(from));
        };
        self.quiet.say(|hidden| {
            let from = MemberId(from);
            tracing::warn!(
                "local-member-id" = %local,
                "remote-peer-id" = %from,
                "local-member-cluster-id" = %self.identity.cluster,
                reason = refusal,
                hidden,
                "request from a peer refused"
            );
        });
        Err(Status::failed_precondition(refusal))
    }
}

fn flat(((a, b), c): ((u64, u64), u64)) -> (u64, u64, u64) {
    (a, b, c)
}

/// Whether a member was told that it is no longer one.
pub(super) fn says_removed(status: &Status) -> bool {
    status.code() == Code::PermissionDenied && status.message() == REMOVED
}
