//! Members.

use std::sync::Arc;

use tonic::Status;

use super::Shared;
use super::identity::Asker;
use crate::api::{header, status};
use crate::consensus::Change;
use crate::proto::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse,
};
use crate::proto::members::{ReplaceRequest, ReplaceResponse};
use crate::types::ids::MemberId;
use crate::types::url::Url;

pub(super) async fn list(
    shared: Arc<Shared>,
    _: Asker,
    request: MemberListRequest,
) -> Result<MemberListResponse, Status> {
    let backend = &shared.backend;
    let members = if request.linearizable {
        backend.linear.read_index().await.map_err(status::of_linear)?;
        backend.members_now().await?
    } else {
        backend.members()
    };
    // No reply about members tells a revision.
    Ok(MemberListResponse { header: header::at(backend, 0), members })
}

/// Has a change made, and tells the member it was about as it is now.
async fn change(shared: &Shared, change: Change) -> Result<(MemberId, Vec<Member>), Status> {
    let backend = &shared.backend;
    let id = backend.node.changes().change(change).await.map_err(status::of_change)?;
    Ok((id, backend.members_now().await?))
}

/// Addresses as they may become part of a membership.
fn peer_urls(urls: &[String]) -> Result<Vec<String>, Status> {
    let read: Result<Vec<Url>, _> = urls.iter().map(|url| Url::parse(url)).collect();
    match read {
        Ok(urls) if !urls.is_empty() => Ok(urls.iter().map(ToString::to_string).collect()),
        _ => Err(status::bad_member_urls()),
    }
}

pub(super) async fn add(
    shared: Arc<Shared>,
    _: Asker,
    request: MemberAddRequest,
) -> Result<MemberAddResponse, Status> {
    let peer_urls = peer_urls(&request.peer_ur_ls)?;
    let is_learner = request.is_learner;
    let (id, members) = change(&shared, Change::Add { peer_urls, is_learner }).await?;
    let member = members.iter().find(|member| member.id == id.0).cloned();
    Ok(MemberAddResponse { header: header::at(&shared.backend, 0), member, members })
}

pub(super) async fn remove(
    shared: Arc<Shared>,
    _: Asker,
    request: MemberRemoveRequest,
) -> Result<MemberRemoveResponse, Status> {
    let (_, members) = change(&shared, Change::Remove(MemberId(request.id))).await?;
    Ok(MemberRemoveResponse { header: header::at(&shared.backend, 0), members })
}

pub(super) async fn update(
    shared: Arc<Shared>,
    _: Asker,
    request: MemberUpdateRequest,
) -> Result<MemberUpdateResponse, Status> {
    let peer_urls = peer_urls(&request.peer_ur_ls)?;
    let id = MemberId(request.id);
    let (_, members) = change(&shared, Change::Update { id, peer_urls }).await?;
    Ok(MemberUpdateResponse { header: header::at(&shared.backend, 0), members })
}

pub(super) async fn promote(
    shared: Arc<Shared>,
    _: Asker,
    request: MemberPromoteRequest,
) -> Result<MemberPromoteResponse, Status> {
    let (_, members) = change(&shared, Change::Promote(MemberId(request.id))).await?;
    Ok(MemberPromoteResponse { header: header::at(&shared.backend, 0), members })
}

pub(super) async fn replace(
    shared: Arc<Shared>,
    _: Asker,
    request: ReplaceRequest,
) -> Result<ReplaceResponse, Status> {
    let (id, peer_urls) = (MemberId(request.id), peer_urls(&request.peer_urls)?);
    let (new, members) = change(&shared, Change::Replace { id, peer_urls }).await?;
    let member = members.iter().find(|member| member.id == new.0).cloned();
    Ok(ReplaceResponse { header: header::at(&shared.backend, 0), member, members })
}
