//! How openraft reaches another member.
//!
//! Openraft makes one of these for each purpose: log, heartbeats, votes, snapshots. All of them go
//! through the one connection of the target, but for snapshots, which have their own.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{
    Backoff, RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential,
};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;
use openraft::{AnyError, OptionalSend};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use super::guard::says_removed;
use super::link::{Links, PeerChannel};
use super::removal::Removal;
use super::wire::{self, Malformed};
use crate::consensus::machine::{SnapshotHandle, Work};
use crate::consensus::proposer::Shared;
use crate::consensus::types::{Peer, TypeConfig, Vote};
use crate::proto::peer::append_answer::Result as Answered;
use crate::proto::peer::raft_client::RaftClient;
use crate::proto::peer::{AppendAnswer, AppendRequest, VoteAnswer};
use crate::types::ids::{MemberId, RequestIds};

pub(super) type Failed = RPCError<TypeConfig>;
type Appended = Result<StreamAppendResult<TypeConfig>, Failed>;

/// Pauses between attempts to reach a member that does not answer.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Makes the ways to other members.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) links: Links,
    /// Told when a member says that we are none any more.
    pub(super) removal: Removal,
    /// The way to the state, which is sent to members that lack too much.
    pub(super) work: mpsc::Sender<Work>,
    pub(super) shared: Arc<Shared>,
    /// Numbers of transfers, different from those of earlier runs.
    transfers: Arc<RequestIds>,
}

impl Network {
    /// Ways through `links`; states that are sent come from the apply thread behind `work`.
    pub(crate) fn new(
        links: Links,
        removal: Removal,
        work: mpsc::Sender<Work>,
        shared: Arc<Shared>,
    ) -> Self {
        let started = shared.clock.unix().as_millis() as u64;
        let transfers = Arc::new(RequestIds::new(links.identity().member, started));
        Self { links, removal, work, shared, transfers }
    }

    pub(super) fn next_transfer(&self) -> u64 {
        self.transfers.next_id()
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = ToPeer;

    async fn new_client(&mut self, target: u64, node: &Peer) -> ToPeer {
        self.links.add(target, node);
        let local = self.links.identity().member.0;
        ToPeer { network: self.clone(), local, target, beats: false, standing: None }
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Peer) -> ToPeer {
        ToPeer { beats: true, ..self.new_client(target, node).await }
    }
}

/// The way to one member.
pub(crate) struct ToPeer {
    pub(super) network: Network,
    local: u64,
    target: u64,
    /// Whether this is the way of heartbeats, which openraft sends as streams of one append each.
    beats: bool,
    /// Where single appends go, which are heartbeats.
    standing: Option<Standing>,
}

/// A stream of appends that are answered one by one. Opening one for each heartbeat, of which every
/// linearizable read needs some, costs more than the heartbeat.
struct Standing {
    requests: mpsc::Sender<AppendRequest>,
    answers: Streaming<AppendAnswer>,
}

impl ToPeer {
    fn client(&self) -> Result<RaftClient<PeerChannel>, Failed> {
        let channel = self.network.links.to(self.target).ok_or_else(|| self.unknown())?;
        Ok(RaftClient::new(channel))
    }

    pub(super) fn target(&self) -> MemberId {
        MemberId(self.target)
    }

    pub(super) fn unknown(&self) -> Failed {
        self.unreachable("it is no member any more, or its addresses are not known yet")
    }

    pub(super) fn unreachable(&self, why: impl std::fmt::Display) -> Failed {
        let target = self.target;
        Unreachable::new(&AnyError::error(format!("member {target:x}: {why}"))).into()
    }

    /// Asks on the standing stream, or on a new one if there is none or it broke since. A stream goes
    /// on only after a whole exchange, so that whoever gives up waiting leaves no answer for the next.
    async fn append_once(&mut self, request: AppendRequest) -> Result<AppendAnswer, Status> {
        if let Some(standing) = self.standing.take()
            && let Ok(answer) = self.exchange(standing, request.clone()).await
        {
            return Ok(answer);
        }
        let (requests, sent) = mpsc::channel(1);
        let mut client = self.client().map_err(|error| Status::unavailable(error.to_string()))?;
        let (opened, queued) =
            tokio::join!(client.append(ReceiverStream::new(sent)), requests.send(request));
        queued.map_err(|_| Status::unavailable("the stream closed"))?;
        let standing = Standing { requests, answers: opened?.into_inner() };
        self.answer(standing).await
    }

    async fn exchange(
        &mut self,
        standing: Standing,
        request: AppendRequest,
    ) -> Result<AppendAnswer, Status> {
        let sent = standing.requests.send(request).await;
        sent.map_err(|_| Status::unavailable("the stream closed"))?;
        self.answer(standing).await
    }

    async fn answer(&mut self, mut standing: Standing) -> Result<AppendAnswer, Status> {
        let answer = standing.answers.message().await?;
        let answer = answer.ok_or_else(|| Status::unavailable("no answer to an append"))?;
        // Any other answer is the last.
        if matches!(answer.result, Some(Answered::Matched(_))) {
            self.standing = Some(standing);
        }
        Ok(answer)
    }

    /// What a call that failed means.
    pub(super) fn failed(&self, status: &Status) -> Failed {
        if says_removed(status) {
            self.network.removal.heard();
        }
        self.network.links.metrics().not_sent(self.target());
        self.unreachable(format_args!("{:?}: {}", status.code(), status.message()))
    }

    /// No answer came in time.
    fn late(&self, action: RPCTypes, timeout: Duration) -> Failed {
        self.network.links.metrics().not_sent(self.target());
        Timeout { action, id: self.local, target: self.target, timeout }.into()
    }

    pub(super) fn malformed(&self, error: &Malformed) -> Failed {
        self.network.links.metrics().not_received(self.target());
        self.unreachable(error)
    }

    /// The answer to either kind of vote.
    async fn voted(
        &self,
        option: &RPCOption,
        asked: impl Future<Output = Result<Response<VoteAnswer>, Status>>,
    ) -> Result<VoteResponse<TypeConfig>, Failed> {
        let answer = self.within(RPCTypes::Vote, option, asked).await?;
        wire::to_vote_answer(answer.get_ref()).map_err(|error| self.malformed(&error))
    }

    /// Waits for an answer as long as openraft does.
    async fn within<T>(
        &self,
        action: RPCTypes,
        option: &RPCOption,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Failed> {
        let limit = option.soft_ttl();
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map_err(|status| self.failed(&status)),
            Err(_) => Err(self.late(action, limit)),
        }
    }
}

/// A stream, and the session it ends with: when that is dropped. The HTTP/2 library goes on reading the
/// requests of a stream whose answers nobody waits for any more, until the other end resets it, and
/// openraft's next session shares where it stands with this one: entries taken meanwhile would never be
/// acknowledged, nor sent again before there are newer ones.
fn bound<S>(input: S) -> (oneshot::Sender<()>, impl Stream<Item = S::Item> + Unpin)
where
    S: Stream + Unpin,
{
    let (session, over) = oneshot::channel();
    (session, input.take_until(over))
}

impl RaftNetworkV2<TypeConfig> for ToPeer {
    type SnapshotData = SnapshotHandle;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Failed> {
        let request = wire::from_append(&request);
        let limit = option.soft_ttl();
        let Ok(answer) = tokio::time::timeout(limit, self.append_once(request)).await else {
            return Err(self.late(RPCTypes::AppendEntries, limit));
        };
        let answer = answer.map_err(|status| self.failed(&status))?;
        let answer = wire::to_appended(answer).map_err(|error| self.malformed(&error))?;
        Ok(AppendEntriesResponse::from(answer))
    }

    /// One stream of requests and one of answers. The first request may come late, and so may any
    /// answer: that the other end is alive, the connection itself looks after.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Appended>, Failed>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        if self.beats {
            return stream_append_sequential(self, input, option);
        }
        Box::pin(async move {
            let mut client = self.client()?;
            let (session, input) = bound(input);
            let requests = input.map(|request| wire::from_append(&request));
            let call = client.append(requests);
            let answers = self.within(RPCTypes::AppendEntries, &option, call).await?.into_inner();
            let this = &*self;
            let answers = answers.map(move |answer| {
                let _bound = &session;
                let answer = answer.map_err(|status| this.failed(&status))?;
                wire::to_appended(answer).map_err(|error| this.malformed(&error))
            });
            Ok(answers.boxed())
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failed> {
        let mut client = self.client()?;
        let asked = client.vote(wire::from_vote_request(&request));
        self.voted(&option, asked).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Failed> {
        let mut client = self.client()?;
        let asked = client.pre_vote(wire::from_vote_request(&request));
        self.voted(&option, asked).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotHandle>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let promised = snapshot.meta.last_log_id.map(|last| last.index);
        self.send_state(vote, promised, cancel).await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Failed> {
        let mut client = self.client()?;
        let call = client.transfer_leader(wire::from_transfer(&request));
        let answer = self.within(RPCTypes::TransferLeader, &option, call).await?;
        wire::to_transferred(answer.get_ref(), &request).map_err(|error| self.malformed(&error))
    }

    fn backoff(&self) -> Option<Backoff> {
        let pauses =
            std::iter::successors(Some(FIRST_PAUSE), |pause| Some((*pause * 2).min(LONGEST_PAUSE)));
        Some(Backoff::new(pauses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_taken_for_a_stream_whose_answers_nobody_waits_for() {
        let (entries, input) = mpsc::channel(4);
        let (session, mut requests) = bound(ReceiverStream::new(input));
        entries.send("first").await.unwrap();
        assert_eq!(requests.next().await, Some("first"));
        entries.send("for the next session").await.unwrap();
        drop(session);
        assert_eq!(requests.next().await, None);
        drop(requests);
        assert!(entries.is_closed(), "what the next session shares is still held");
    }
}
