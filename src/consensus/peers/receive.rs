//! Receiving the state of the leader, piece by piece, and taking it over.

use std::sync::Arc;

use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use prost::Message;
use tokio::sync::{Mutex, mpsc, watch};
use tonic::{Status, Streaming};

use super::metrics::{PeerMetrics, Traffic};
use super::send::broken;
use super::wire;
use crate::consensus::aside::aside;
use crate::consensus::machine::SnapshotHandle;
use crate::consensus::node::Core;
use crate::consensus::types::{TypeConfig, Vote, decode_log_id, decode_membership};
use crate::proto::peer::{
    SnapshotAnswer, SnapshotHead, SnapshotPiece, snapshot_answer, snapshot_piece,
};
use crate::state::{Intake, Received, Receiver, Taken};
use crate::types::clock::Clock;
use crate::types::ids::MemberId;

/// Where answers go.
pub(super) type Answers = mpsc::Sender<Result<SnapshotAnswer, Status>>;

/// Takes states. Clones share what is on its way.
#[derive(Clone)]
pub(super) struct Arrivals {
    core: Core,
    intake: Option<Intake>,
    metrics: PeerMetrics,
    clock: Clock,
    /// What has come so far: one state at a time, kept when its connection breaks.
    arriving: Arc<Mutex<Option<Arriving>>>,
    /// How many connections have brought a state. The newest is the one that counts: an older one may
    /// be dead without having said so, its sender cut off or standing still.
    begun: watch::Sender<u64>,
}

struct Arriving {
    transfer: u64,
    receiver: Receiver,
}

impl Arrivals {
    pub(super) fn new(
        core: Core,
        intake: Option<Intake>,
        metrics: PeerMetrics,
        clock: Clock,
    ) -> Self {
        Self {
            core,
            intake,
            metrics,
            clock,
            arriving: Arc::default(),
            begun: watch::Sender::new(0),
        }
    }

    /// Takes what one connection brings and answers it.
    pub(super) async fn take(
        &self,
        from: MemberId,
        pieces: Streaming<SnapshotPiece>,
        answers: &Answers,
    ) {
        let receiving = self.metrics.receiving.begin(from);
        let began = self.clock.now();
        match self.converse(self.incoming(from, pieces), answers).await {
            Ok(()) => receiving.succeeded(self.clock.now() - began),
            Err(status) => {
                drop(receiving);
                tracing::warn!(error = status.message(), "receiving database snapshot broke off");
                // Nobody hears it if the connection is gone.
                let _ = answers.send(Err(status)).await;
            }
        }
    }

    fn incoming(&self, from: MemberId, pieces: Streaming<SnapshotPiece>) -> Incoming {
        let mut number = 0;
        self.begun.send_modify(|begun| {
            *begun += 1;
            number = *begun;
        });
        let traffic = self.metrics.traffic(from);
        Incoming { pieces, traffic, number, begun: self.begun.subscribe() }
    }

    async fn converse(&self, mut pieces: Incoming, answers: &Answers) -> Result<(), Status> {
        let head = match pieces.next().await? {
            snapshot_piece::Part::Head(head) => head,
            snapshot_piece::Part::Piece(_) => {
                return Err(Status::invalid_argument("a piece of a state that was not announced"));
            }
        };
        let vote = wire::to_vote(head.vote).map_err(|error| broken(&error))?;
        let mut slot = self.arriving.lock().await;
        let mut arriving = self.arriving_of(slot.take(), &head).await?;
        let wanted = snapshot_answer::Answer::Wanted(arriving.receiver.wanted());
        tell(answers, wanted).await?;
        let received = loop {
            let piece = match pieces.next().await {
                Ok(snapshot_piece::Part::Piece(piece)) => piece,
                Ok(snapshot_piece::Part::Head(_)) => {
                    return Err(Status::invalid_argument("a state was announced twice"));
                }
                Err(status) => {
                    // The sender comes back and goes on here.
                    *slot = Some(arriving);
                    return Err(status);
                }
            };
            let (taken, receiver) = aside(move || {
                let mut receiver = arriving.receiver;
                (receiver.take(piece), receiver)
            })
            .await
            .map_err(|error| broken(&error))?;
            arriving = Arriving { transfer: head.transfer, receiver };
            match taken.map_err(|error| broken(&error))? {
                Taken::Stored | Taken::Known => {}
                Taken::Last => break arriving.receiver,
            }
        };
        let received = aside(move || received.finish()).await;
        let received = received.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
        let vote = self.install(vote, received).await?;
        tell(answers, snapshot_answer::Answer::Vote(wire::from_vote(&vote))).await
    }

    /// What has come of a transfer so far; what came of another is dropped.
    async fn arriving_of(
        &self,
        kept: Option<Arriving>,
        head: &SnapshotHead,
    ) -> Result<Arriving, Status> {
        if let Some(kept) = kept
            && kept.transfer == head.transfer
        {
            tracing::info!(piece = kept.receiver.wanted(), "receiving database snapshot goes on");
            return Ok(kept);
        }
        let Some(intake) = self.intake.clone() else {
            return Err(Status::unimplemented("this member has no place to receive a state"));
        };
        tracing::info!("receiving database snapshot");
        let created = aside(move || Receiver::create(&intake)).await;
        let receiver = created.map_err(|e| broken(&e))?.map_err(|error| broken(&error))?;
        Ok(Arriving { transfer: head.transfer, receiver })
    }

    /// Hands a complete state to consensus, which takes it unless it follows a newer leader.
    async fn install(&self, vote: Vote, received: Received) -> Result<Vote, Status> {
        let last_log_id = received.applied().as_deref().map(decode_log_id).transpose();
        let last_membership = received.membership().map(decode_membership).transpose();
        let meta = SnapshotMetaOf::<TypeConfig> {
            last_log_id: last_log_id.map_err(|error| broken(&error))?,
            last_membership: last_membership.map_err(|error| broken(&error))?.unwrap_or_default(),
        };
        let snapshot = SnapshotHandle::Received(Box::new(received));
        let snapshot = SnapshotOf::<TypeConfig, _> { meta, snapshot };
        let installed = self.core.install_full_snapshot(vote, snapshot).await;
        Ok(installed.map_err(|error| broken(&error))?.vote)
    }
}

/// What one connection brings.
struct Incoming {
    pieces: Streaming<SnapshotPiece>,
    traffic: Traffic,
    /// Of how many it is the newest, and how many there are now.
    number: u64,
    begun: watch::Receiver<u64>,
}

impl Incoming {
    async fn next(&mut self) -> Result<snapshot_piece::Part, Status> {
        let piece = tokio::select! {
            piece = self.pieces.message() => piece?,
            _ = self.begun.wait_for(|begun| *begun != self.number) => {
                return Err(Status::aborted("a newer connection brings a state"));
            }
        };
        let piece = piece.inspect(|piece| self.traffic.received(piece.encoded_len()));
        let piece = piece.and_then(|piece| piece.part);
        piece.ok_or_else(|| Status::aborted("the state ended before it was complete"))
    }
}

async fn tell(answers: &Answers, answer: snapshot_answer::Answer) -> Result<(), Status> {
    let answer = Ok(SnapshotAnswer { answer: Some(answer) });
    answers.send(answer).await.map_err(|_| Status::cancelled("the connection is gone"))
}
