//! Leases.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use prost::Message;
use tokio::time::timeout;
use tonic::Status;

use super::Shared;
use super::call::{Call, Reply};
use super::frame::Frames;
use super::identity::Asker;
use super::propose::{decide, mismatch};
use crate::api::backend::Backend;
use crate::api::method::Method;
use crate::api::{header, status};
use crate::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use crate::proto::internal::request::Op;
use crate::state::{Demand, Response};
use crate::types::ids::LeaseId;
use crate::upkeep::{LessorError, min_lease_ttl};

pub(super) async fn grant(
    shared: Arc<Shared>,
    asker: Asker,
    mut request: LeaseGrantRequest,
) -> Result<LeaseGrantResponse, Status> {
    let backend = &shared.backend;
    if request.id == 0 {
        request.id = backend.ids.next_lease().0;
    }
    // Raised here and not at apply: members may be configured differently, the log is one.
    request.ttl = request.ttl.max(min_lease_ttl(backend.limits.election_timeout));
    match decide(&shared, &asker, Op::LeaseGrant(request)).await? {
        (revision, Response::LeaseGrant(mut response)) => {
            response.header = header::at(backend, revision);
            Ok(response)
        }
        _ => Err(mismatch()),
    }
}

pub(super) async fn revoke(
    shared: Arc<Shared>,
    asker: Asker,
    request: LeaseRevokeRequest,
) -> Result<LeaseRevokeResponse, Status> {
    let (revision, _) = decide(&shared, &asker, Op::LeaseRevoke(request)).await?;
    Ok(LeaseRevokeResponse { header: header::at(&shared.backend, revision) })
}

/// Asks the lessor, and once more when this member leads if it does not yet.
async fn ask<T, F>(backend: &Backend, ask: impl Fn() -> F) -> Result<T, LessorError>
where
    F: Future<Output = Result<T, LessorError>>,
{
    let patience = backend.limits.request_timeout();
    let asked = async {
        let mut leadership = backend.node.leadership();
        loop {
            leadership.borrow_and_update();
            match ask().await {
                Err(LessorError::NotLeader) => {}
                answer => return answer,
            }
            // The lessor hears of a change when we do, so a short pause may be needed as well.
            let pause = backend.limits.election_timeout / 10;
            if let Ok(Err(_)) = timeout(pause, leadership.changed()).await {
                return Err(LessorError::NotLeader);
            }
        }
    };
    timeout(patience, asked).await.unwrap_or(Err(LessorError::NotLeader))
}

pub(super) fn keep_alive<B>(call: Call<B>) -> Reply
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
{
    let Call { frames, ticket } = call;
    let shared = Arc::clone(&ticket.shared);
    let answers = stream::unfold((shared, frames), |(shared, mut frames)| async move {
        let answer = renew(&shared, &mut frames).await.transpose()?;
        Some((answer, (shared, frames)))
    });
    Box::pin(std::future::ready(ticket.stream(Box::pin(answers))))
}

/// Answers the next request of a stream; the stream ends with its requests.
async fn renew<B>(
    shared: &Shared,
    frames: &mut Frames<B>,
) -> Result<Option<LeaseKeepAliveResponse>, Status>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin,
{
    let Some(message) = frames.next().await.transpose()? else { return Ok(None) };
    shared.metrics.received(Method::LeaseKeepAlive, message.len());
    let request =
        LeaseKeepAliveRequest::decode(message).map_err(|error| status::undecodable(&error))?;
    let backend = &shared.backend;
    // Taken before the renewal, as in etcd: the client may rely on nothing newer.
    let header = header::now(backend);
    let id = LeaseId(request.id);
    let ttl = ask(backend, || backend.lessor.renew(id)).await.map_err(status::of_renewal)?;
    Ok(Some(LeaseKeepAliveResponse { header, id: request.id, ttl }))
}

pub(super) async fn time_to_live(
    shared: Arc<Shared>,
    asker: Asker,
    request: LeaseTimeToLiveRequest,
) -> Result<LeaseTimeToLiveResponse, Status> {
    let backend = &shared.backend;
    let id = LeaseId(request.id);
    let admitted = match request.keys {
        true => Some(asker.admit(&shared, Demand::LeaseKeys(id)).await?),
        false => None,
    };
    let left = ask(backend, || backend.lessor.remaining(id)).await.map_err(status::of_lessor)?;
    let header = header::now(backend);
    let Some(left) = left else {
        return Ok(LeaseTimeToLiveResponse {
            header,
            id: request.id,
            ttl: -1,
            ..Default::default()
        });
    };
    let keys = match admitted {
        // Keys that came on it meanwhile may be others'.
        Some(_) => {
            let admitted = asker.admit(&shared, Demand::LeaseKeys(id)).await?;
            let keys = backend.reader.lease_keys(id);
            admitted.still(backend)?;
            keys
        }
        None => Vec::new(),
    };
    Ok(LeaseTimeToLiveResponse {
        header,
        id: request.id,
        ttl: left.seconds,
        granted_ttl: left.granted,
        keys,
    })
}

pub(super) async fn leases(
    shared: Arc<Shared>,
    _: Asker,
    _: LeaseLeasesRequest,
) -> Result<LeaseLeasesResponse, Status> {
    let leases = shared.backend.lessor.list().into_iter().map(|id| LeaseStatus { id: id.0 });
    Ok(LeaseLeasesResponse { header: header::now(&shared.backend), leases: leases.collect() })
}
