//! Members.

use std::sync::Arc;

use tonic::Status;

use super::Shared;
use crate::api::backend::Backend;
use crate::api::{header, status};
use crate::proto::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse,
};

pub(super) async fn list(
    shared: Arc<Shared>,
    request: MemberListRequest,
) -> Result<MemberListResponse, Status> {
    if request.linearizable {
        shared.backend.linear.read_index().await.map_err(status::of_linear)?;
    }
    // No reply about members tells a revision.
    let header = header::at(&shared.backend, 0);
    Ok(MemberListResponse { header, members: members(&shared.backend) })
}

/// The members by id: addresses from consensus, names and client addresses as they published them.
fn members(backend: &Backend) -> Vec<Member> {
    let published = backend.reader.members();
    let described = |member: crate::consensus::Member| {
        let own = published.get(member.id);
        Member {
            id: member.id.0,
            name: own.map(|own| own.name.clone()).unwrap_or_default(),
            peer_ur_ls: member.peer_urls,
            client_ur_ls: own.map(|own| own.client_urls.clone()).unwrap_or_default(),
            is_learner: member.is_learner,
        }
    };
    backend.node.members().into_iter().map(described).collect()
}

fn fixed<T>(what: &str) -> Result<T, Status> {
    Err(status::not_offered(what, "the cluster keeps the members it was founded with"))
}

pub(super) async fn add(_: Arc<Shared>, _: MemberAddRequest) -> Result<MemberAddResponse, Status> {
    fixed("adding a member")
}

pub(super) async fn remove(
    _: Arc<Shared>,
    _: MemberRemoveRequest,
) -> Result<MemberRemoveResponse, Status> {
    fixed("removing a member")
}

pub(super) async fn update(
    _: Arc<Shared>,
    _: MemberUpdateRequest,
) -> Result<MemberUpdateResponse, Status> {
    fixed("changing the addresses of a member")
}

pub(super) async fn promote(
    _: Arc<Shared>,
    _: MemberPromoteRequest,
) -> Result<MemberPromoteResponse, Status> {
    fixed("promoting a member")
}
