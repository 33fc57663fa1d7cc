//! Sending the state to a member that lacks more than the log still holds.
//!
//! The state goes as it is when the transfer begins, which is what the log promised or newer. The core
//! believes the promise afterwards; if the log was cut behind it before the receiver answered, nothing is
//! sent, and the core promises anew. A connection that breaks is made again and goes on with the piece the
//! receiver lacks.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use openraft::errors::{ReplicationClosed, StreamingError};
use openraft::raft::SnapshotResponse;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::link::PeerChannel;
use super::network::{Failed, ToPeer};
use super::wire;
use crate::consensus::aside::aside;
use crate::consensus::machine::Work;
use crate::consensus::retention::Hold;
use crate::consensus::types::{TypeConfig, Vote};
use crate::proto::peer::raft_client::RaftClient;
use crate::proto::peer::{
    SnapshotAnswer, SnapshotHead, SnapshotPiece, snapshot_answer, snapshot_piece,
};
use crate::state::Image;

/// Pieces read ahead of the network; each is about 1 MiB.
const AHEAD: usize = 2;
/// Connections tried for one image, and the pause between them.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(300);
/// Time a receiver gets to answer, for one piece, and for its verdict. An image that is kept costs
/// memory and disk, so nobody may keep it without taking from it. A receiver that does not answer pings
/// either has two election timeouts (`link.rs`), and in both cases as many attempts as there are.
const PIECE: Duration = Duration::from_secs(60);
const VERDICT: Duration = Duration::from_secs(600);

type Sent = Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>>;

impl ToPeer {
    /// Sends the whole state, which has at least what the log held up to `promised`, until it is installed,
    /// refused or no longer wanted.
    pub(super) async fn send_state(
        &self,
        vote: Vote,
        promised: Option<u64>,
        cancel: impl Future<Output = ReplicationClosed>,
    ) -> Sent {
        let mut cancel = pin!(cancel);
        tokio::select! {
            sent = self.insist(vote, promised) => sent,
            closed = &mut cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn insist(&self, vote: Vote, promised: Option<u64>) -> Sent {
        let (to, began) = (self.target(), self.network.shared.clock.now());
        let sending = self.network.links.metrics().sending.begin(to);
        let number = self.network.next_transfer();
        let mut transfer = Transfer { number, promised, image: None, held: None };
        for attempt in 1.. {
            match self.attempt(&mut transfer, vote).await {
                Ok(vote) => {
                    let took = self.network.shared.clock.now() - began;
                    tracing::info!(%to, took = ?took, "sent database snapshot");
                    sending.succeeded(took);
                    return Ok(SnapshotResponse::new(vote));
                }
                // As long as nothing was sent, nothing is lost by beginning anew.
                Err(error) if transfer.image.is_none() || attempt >= ATTEMPTS => {
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::warn!(%to, %error, attempt, "sending database snapshot broke off");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Err(self.unreachable("no attempt was made").into())
    }

    /// One connection: tells what comes, sends from the piece that is wanted, waits for the verdict.
    async fn attempt<'a>(
        &'a self,
        transfer: &mut Transfer<'a>,
        vote: Vote,
    ) -> Result<Vote, Failed> {
        let channel = self.network.links.bulk(self.target().0).ok_or_else(|| self.unknown())?;
        let (pieces, requests) = mpsc::channel(AHEAD);
        let gone = || self.unreachable("the connection was closed");
        let head = SnapshotHead { vote: Some(wire::from_vote(&vote)), transfer: transfer.number };
        pieces.send(message(snapshot_piece::Part::Head(head))).await.map_err(|_| gone())?;
        let opened = timeout(PIECE, self.open(channel, requests)).await;
        let silent = |_| Err(self.unreachable("it does not say which piece it wants"));
        let (mut answers, from) = opened.unwrap_or_else(silent)?;
        let image = self.image(transfer).await?;
        let fed = feed(&image, from, pieces);
        tokio::select! {
            told = answers.message() => {
                match told.map_err(|status| self.failed(&status))?.and_then(|told| told.answer) {
                    Some(snapshot_answer::Answer::Vote(vote)) => {
                        wire::to_vote(Some(vote)).map_err(|error| self.malformed(&error))
                    }
                    _ => Err(gone()),
                }
            }
            () = stalled(fed) => Err(self.unreachable("it takes nothing of the state any more")),
        }
    }

    /// A stream of pieces, and the piece the receiver wants first.
    async fn open(
        &self,
        channel: PeerChannel,
        requests: mpsc::Receiver<SnapshotPiece>,
    ) -> Result<(Streaming<SnapshotAnswer>, u64), Failed> {
        let call = RaftClient::new(channel).snapshot(ReceiverStream::new(requests)).await;
        let mut answers = call.map_err(|status| self.failed(&status))?.into_inner();
        let told = answers.message().await.map_err(|status| self.failed(&status))?;
        match told.and_then(|told| told.answer) {
            Some(snapshot_answer::Answer::Wanted(from)) => Ok((answers, from)),
            _ => Err(self.unreachable("the connection was closed")),
        }
    }

    /// The state that is sent: of the moment when it is first asked for, so that a member that cannot
    /// be reached costs nothing.
    async fn image<'a>(&'a self, transfer: &mut Transfer<'a>) -> Result<Image, Failed> {
        if let Some(image) = &transfer.image {
            return Ok(image.clone());
        }
        let Some(held) = self.network.shared.retention.hold(transfer.promised) else {
            return Err(self.unreachable("the log was cut behind the state that was to be sent"));
        };
        transfer.held = Some(held);
        let (reply, taken) = oneshot::channel();
        let gone = || self.unreachable("the apply thread has ended");
        self.network.work.send(Work::Image(reply)).await.map_err(|_| gone())?;
        let image = taken.await.map_err(|_| gone())?;
        tracing::info!(to = %self.target(), "sending database snapshot");
        transfer.image = Some(image.clone());
        Ok(image)
    }
}

/// One state on its way to one member.
struct Transfer<'a> {
    number: u64,
    promised: Option<u64>,
    image: Option<Image>,
    /// What has happened since is in the log, and stays there.
    held: Option<Hold<'a>>,
}

/// How sending pieces ended.
enum Fed {
    /// All of them are on their way.
    Whole,
    /// The connection is gone or the state cannot be read; the other end says so.
    Broken,
    /// The receiver takes nothing.
    Stalled,
}

/// Waits until the receiver has had its time.
async fn stalled(fed: impl Future<Output = Fed>) {
    match fed.await {
        Fed::Stalled => {}
        Fed::Whole => tokio::time::sleep(VERDICT).await,
        Fed::Broken => std::future::pending().await,
    }
}

/// Reads pieces as fast as they leave.
async fn feed(image: &Image, from: u64, out: mpsc::Sender<SnapshotPiece>) -> Fed {
    let mut pieces = image.pieces(from);
    loop {
        let read = aside(move || (pieces.next(), pieces)).await;
        let piece = match read {
            Ok((None, _)) => return Fed::Whole,
            Ok((Some(Ok(piece)), rest)) => {
                pieces = rest;
                piece
            }
            // The receiver sees the stream end too early and asks again.
            Ok((Some(Err(error)), _)) => return unread(&error),
            Err(error) => return unread(&error),
        };
        match timeout(PIECE, out.send(message(snapshot_piece::Part::Piece(piece)))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Fed::Broken,
            Err(_) => return Fed::Stalled,
        }
    }
}

fn unread(error: &impl std::fmt::Display) -> Fed {
    tracing::error!(%error, "cannot read the state that is to be sent");
    Fed::Broken
}

fn message(part: snapshot_piece::Part) -> SnapshotPiece {
    SnapshotPiece { part: Some(part) }
}

/// What the receiver of a piece that did not fit tells.
pub(super) fn broken(error: &impl std::fmt::Display) -> Status {
    Status::aborted(error.to_string())
}
