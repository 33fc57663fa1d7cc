//! Sending the state to a member that lacks more than the log still holds.
//!
//! The state goes as it is when the transfer begins, which is what the log promised or newer. A
//! connection that breaks is made again and goes on with the piece the receiver lacks.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use openraft::errors::{ReplicationClosed, StreamingError};
use openraft::raft::SnapshotResponse;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::link::PeerChannel;
use super::network::ToPeer;
use super::wire;
use crate::consensus::machine::Work;
use crate::consensus::types::{TypeConfig, Vote, decode_log_id};
use crate::proto::peer::raft_client::RaftClient;
use crate::proto::peer::{SnapshotHead, SnapshotPiece, snapshot_answer, snapshot_piece};
use crate::state::Image;

/// Pieces read ahead of the network; each is about 1 MiB.
const AHEAD: usize = 2;
/// Connections tried for one image, and the pause between them.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(300);

type Sent = Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>>;

impl ToPeer {
    /// Sends the whole state, until it is installed, refused or no longer wanted.
    pub(super) async fn send_state(
        &self,
        vote: Vote,
        cancel: impl Future<Output = ReplicationClosed>,
    ) -> Sent {
        let mut cancel = pin!(cancel);
        tokio::select! {
            sent = self.insist(vote) => sent,
            closed = &mut cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn insist(&self, vote: Vote) -> Sent {
        let image = self.image().await?;
        let transfer = self.network.next_transfer();
        let (to, began) = (self.target(), self.network.clock.now());
        tracing::info!(%to, "sending database snapshot");
        for attempt in 1.. {
            let sent = async {
                let channel = self.network.links.bulk(to.0).ok_or_else(|| self.unknown())?;
                self.attempt(channel, &image, transfer, vote).await
            };
            match sent.await {
                Ok(vote) => {
                    let took = self.network.clock.now() - began;
                    tracing::info!(%to, took = ?took, "sent database snapshot");
                    return Ok(SnapshotResponse::new(vote));
                }
                Err(error) if attempt >= ATTEMPTS => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%to, %error, attempt, "sending database snapshot broke off");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Err(self.unreachable("no attempt was made").into())
    }

    /// The state of this moment.
    async fn image(&self) -> Result<Image, StreamingError<TypeConfig>> {
        let (reply, taken) = oneshot::channel();
        let gone = || self.unreachable("the apply thread has ended");
        self.network.work.send(Work::Image(reply)).await.map_err(|_| gone())?;
        Ok(taken.await.map_err(|_| gone())?)
    }

    /// One connection: tells what comes, sends from the piece that is wanted, waits for the verdict.
    async fn attempt(
        &self,
        channel: PeerChannel,
        image: &Image,
        transfer: u64,
        vote: Vote,
    ) -> Result<Vote, super::network::Failed> {
        let (pieces, requests) = mpsc::channel(AHEAD);
        let head = self.head(image, transfer, vote)?;
        let gone = || self.unreachable("the connection was closed");
        pieces.send(message(snapshot_piece::Part::Head(head))).await.map_err(|_| gone())?;
        let call = RaftClient::new(channel).snapshot(ReceiverStream::new(requests)).await;
        let mut answers = call.map_err(|status| self.failed(&status))?.into_inner();
        let mut pieces = Some(pieces);
        loop {
            let answer = answers.message().await.map_err(|status| self.failed(&status))?;
            match answer.and_then(|answer| answer.answer) {
                Some(snapshot_answer::Answer::Wanted(from)) => {
                    // A second question would be a fault of the other end, and find no pieces left.
                    let Some(pieces) = pieces.take() else { return Err(gone()) };
                    let image = image.clone();
                    tokio::task::spawn_blocking(move || feed(&image, from, &pieces));
                }
                Some(snapshot_answer::Answer::Vote(vote)) => {
                    return wire::to_vote(Some(vote)).map_err(|error| self.malformed(&error));
                }
                None => return Err(gone()),
            }
        }
    }

    fn head(
        &self,
        image: &Image,
        transfer: u64,
        vote: Vote,
    ) -> Result<SnapshotHead, super::network::Failed> {
        let last = image.applied().as_deref().map(decode_log_id).transpose();
        let last = last.map_err(|error| self.unreachable(error))?;
        Ok(SnapshotHead {
            vote: Some(wire::from_vote(&vote)),
            last: last.map(wire::from_log_id),
            transfer,
        })
    }
}

/// Reads pieces as fast as they leave; ends when the connection does.
fn feed(image: &Image, from: u64, pieces: &mpsc::Sender<SnapshotPiece>) {
    for piece in image.pieces(from) {
        match piece {
            Ok(piece) => {
                let piece = message(snapshot_piece::Part::Piece(piece));
                if pieces.blocking_send(piece).is_err() {
                    return;
                }
            }
            Err(error) => {
                // The receiver sees the stream end too early and asks again.
                tracing::error!(%error, "cannot read the state that is to be sent");
                return;
            }
        }
    }
}

fn message(part: snapshot_piece::Part) -> SnapshotPiece {
    SnapshotPiece { part: Some(part) }
}

/// What the receiver of a piece that did not fit tells.
pub(super) fn broken(error: &impl std::fmt::Display) -> Status {
    Status::aborted(error.to_string())
}
