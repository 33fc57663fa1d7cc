//! Response headers.

use super::Backend;
use crate::proto::etcdserverpb::ResponseHeader;

/// A header of this member at a revision; zero for those that carry none.
pub fn at(backend: &Backend, revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        cluster_id: backend.cluster.0,
        member_id: backend.member.0,
        revision,
        raft_term: backend.node.status().term,
    })
}

/// A header at the current revision.
pub fn now(backend: &Backend) -> Option<ResponseHeader> {
    at(backend, backend.reader.revision())
}

/// Adds the cluster, the member and the term to a header that so far only tells the revision.
pub fn complete(backend: &Backend, header: Option<ResponseHeader>) -> Option<ResponseHeader> {
    at(backend, header.map_or(0, |header| header.revision))
}
