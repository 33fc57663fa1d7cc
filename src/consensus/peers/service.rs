//! What this member does for the others: the receiving side of Raft, and for members that do not lead,
//! the way into the log.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use openraft::ReadPolicy;
use openraft::errors::ClientWriteError;
use openraft::raft::{AppendEntriesRequest, ClientWriteResult};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::guard::Guard;
use super::link::PeerIdentity;
use super::metrics::PeerMetrics;
use super::receive::Arrivals;
use super::wire;
use crate::consensus::members::{self, Change, Changes};
use crate::consensus::node::Core;
use crate::consensus::proposer::Shared;
use crate::consensus::ticket::Ticket;
use crate::consensus::types::{Proposal, TypeConfig};
use crate::proto::peer::raft_server::{Raft, RaftServer};
use crate::proto::peer::{
    AppendAnswer, AppendRequest, ChangeAnswer, ChangeRequest, ProbeAnswer, ProbeQuestion,
    ProposeAnswer, ProposeRequest, ReadIndexAnswer, ReadIndexRequest, SnapshotAnswer,
    SnapshotPiece, TransferAnswer, TransferRequest, VoteAnswer, VoteRequest,
};
use crate::state::{Intake, Reader};
use crate::tasks::{Stage, Supervisor};
use crate::types::ids::MemberId;

/// Room in a message beside the largest request: other entries of the same batch, and a few more.
const BESIDE: usize = 16 << 20;

/// Serves the other members. Clones are one service.
#[derive(Clone)]
pub struct PeerService {
    core: Core,
    shared: Arc<Shared>,
    changes: Changes,
    arrivals: Arrivals,
    guard: Guard,
    supervisor: Supervisor,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a member is to the others.
pub(crate) struct Host {
    pub(crate) identity: PeerIdentity,
    pub(crate) reader: Reader,
    /// Where it receives states.
    pub(crate) intake: Option<Intake>,
}

impl PeerService {
    pub(crate) fn new(
        core: Core,
        shared: Arc<Shared>,
        changes: Changes,
        host: Host,
        supervisor: Supervisor,
    ) -> Self {
        let Host { identity, reader, intake } = host;
        let arrivals =
            Arrivals::new(core.clone(), intake, shared.metrics.peers.clone(), shared.clock);
        let guard = Guard::new(identity, reader);
        Self { core, shared, changes, arrivals, guard, supervisor }
    }

    /// The service as the HTTP server takes it.
    pub fn server(&self) -> RaftServer<Self> {
        let most = self.shared.limits.request_bytes.saturating_add(BESIDE);
        RaftServer::new(self.clone()).max_decoding_message_size(most)
    }

    /// The member that makes a call, if it may.
    ///
    /// # Errors
    /// What to tell it.
    pub fn admit<T>(&self, request: &Request<T>) -> Result<MemberId, Status> {
        self.guard.admit(request.metadata())
    }

    fn leads(&self) -> bool {
        self.shared.leadership.borrow().is_leader
    }
}

#[tonic::async_trait]
impl Raft for PeerService {
    type AppendStream = Answers<AppendAnswer>;
    type SnapshotStream = Answers<SnapshotAnswer>;

    async fn append(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let from = self.admit(&request)?;
        let metrics = self.shared.metrics.peers.clone();
        let traffic = metrics.traffic(from);
        let heard = traffic.clone();
        // The stream ends with the first message that is lost or none; the sender begins another.
        let requests = request.into_inner().scan((), move |(), message| {
            let message = message.ok().inspect(|message| heard.received(message.encoded_len()));
            ready(message.and_then(|message| readable(message, &metrics, from)))
        });
        let answers = self.core.stream_append(requests);
        let answers = answers.map(move |answer| {
            let answer = wire::from_appended(&answer.map_err(|error| gone(&error))?);
            traffic.sent(answer.encoded_len());
            Ok(answer)
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteAnswer>, Status> {
        self.admit(&request)?;
        let request = wire::to_vote_request(request.get_ref()).map_err(|e| malformed(&e))?;
        let answer = self.core.vote(request).await.map_err(|error| gone(&error))?;
        Ok(Response::new(wire::from_vote_answer(&answer)))
    }

    async fn pre_vote(
        &self,
        request: Request<VoteRequest>,
    ) -> Result<Response<VoteAnswer>, Status> {
        self.admit(&request)?;
        let request = wire::to_vote_request(request.get_ref()).map_err(|e| malformed(&e))?;
        let answer = self.core.pre_vote(request).await.map_err(|error| gone(&error))?;
        Ok(Response::new(wire::from_vote_answer(&answer)))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferRequest>,
    ) -> Result<Response<TransferAnswer>, Status> {
        self.admit(&request)?;
        let request = wire::to_transfer(request.get_ref()).map_err(|e| malformed(&e))?;
        let answer = self.core.handle_transfer_leader(request).await.map_err(|e| gone(&e))?;
        Ok(Response::new(wire::from_transferred(answer)))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<SnapshotPiece>>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let from = self.admit(&request)?;
        let (answers, told) = mpsc::channel(1);
        let arrivals = self.arrivals.clone();
        let pieces = request.into_inner();
        self.supervisor.spawn("snapshot", Stage::Consensus, async move {
            arrivals.take(from, pieces, &answers).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }

    async fn propose(
        &self,
        request: Request<ProposeRequest>,
    ) -> Result<Response<ProposeAnswer>, Status> {
        let from = self.admit(&request)?;
        self.shared.metrics.peers.heard(from, request.get_ref().encoded_len());
        let proposal = Proposal::read(request.into_inner().record)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if !self.leads() {
            return Ok(Response::new(ProposeAnswer { not_leader: true }));
        }
        let (done, committed) = oneshot::channel();
        let ticket = Ticket::new(move |result: ClientWriteResult<TypeConfig>| {
            // Who asked may have gone away.
            let _ = done.send(result.map(|_| ()));
        });
        self.core.client_write_ff(proposal, Some(ticket)).await.map_err(|error| gone(&error))?;
        match committed.await {
            Ok(Ok(())) => Ok(Response::new(ProposeAnswer { not_leader: false })),
            Ok(Err(ClientWriteError::LogEntryDiscarded(_))) => {
                Err(Status::aborted("another leader decides what becomes of the batch"))
            }
            Ok(Err(_)) => Ok(Response::new(ProposeAnswer { not_leader: true })),
            Err(_) => Err(Status::unavailable("the member is stopping")),
        }
    }

    async fn read_index(
        &self,
        request: Request<ReadIndexRequest>,
    ) -> Result<Response<ReadIndexAnswer>, Status> {
        self.admit(&request)?;
        let answer = match self.core.get_read_linearizer(ReadPolicy::ReadIndex).await {
            // Openraft counts entries from zero.
            Ok(read) => {
                ReadIndexAnswer { not_leader: false, index: read.read_log_id().index() + 1 }
            }
            Err(_) => ReadIndexAnswer { not_leader: true, index: 0 },
        };
        Ok(Response::new(answer))
    }

    async fn probe(
        &self,
        request: Request<ProbeQuestion>,
    ) -> Result<Response<ProbeAnswer>, Status> {
        self.admit(&request)?;
        Ok(Response::new(ProbeAnswer {}))
    }

    async fn change_members(
        &self,
        request: Request<ChangeRequest>,
    ) -> Result<Response<ChangeAnswer>, Status> {
        self.admit(&request)?;
        let change = Change::read(request.into_inner())
            .ok_or_else(|| Status::invalid_argument("a change of members that names none"))?;
        let decided = self.changes.decide(&change).await;
        Ok(Response::new(members::answer(decided)))
    }
}

fn readable(
    message: AppendRequest,
    metrics: &PeerMetrics,
    from: MemberId,
) -> Option<AppendEntriesRequest<TypeConfig>> {
    wire::to_append(message)
        .inspect_err(|error| {
            tracing::warn!(%error, "dropped a stream of another member");
            metrics.not_received(from);
        })
        .ok()
}

fn malformed(error: &wire::Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}

fn gone(error: &impl std::fmt::Display) -> Status {
    Status::unavailable(format!("consensus has stopped: {error}"))
}
