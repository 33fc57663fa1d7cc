//! What a member that does not lead asks of the one that does.

use std::time::Duration;

use tonic::Code;

use super::peers::PeerChannel;
use super::types::Proposal;
use crate::proto::peer::raft_client::RaftClient;
use crate::proto::peer::{ProposeRequest, ReadIndexRequest};

/// What became of a batch that was sent to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// It is in the log, or may be.
    MayBe,
    /// It certainly is not.
    NotTaken,
}

/// Sends a batch to the leader and waits until it is committed, or until it is known that it was not
/// taken. A batch that may have been appended is never sent twice.
pub(crate) async fn propose(channel: Option<PeerChannel>, proposal: &Proposal) -> Forwarded {
    let Some(channel) = channel else { return Forwarded::NotTaken };
    let request = ProposeRequest { record: proposal.record().clone() };
    match RaftClient::new(channel).propose(request).await {
        Ok(answer) if answer.get_ref().not_leader => Forwarded::NotTaken,
        Ok(_) => Forwarded::MayBe,
        Err(status) if never_sent(&status) => Forwarded::NotTaken,
        Err(status) => {
            tracing::warn!(
                code = ?status.code(),
                error = status.message(),
                %proposal,
                "whether the leader has taken a batch is not known"
            );
            Forwarded::MayBe
        }
    }
}

/// Whether a call failed before the other end could hear of it: there was no connection, or the other
/// end refused to listen.
fn never_sent(status: &tonic::Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.downcast_ref::<tonic::ConnectError>().is_some() {
            return true;
        }
        cause = error.source();
    }
    [Code::PermissionDenied, Code::FailedPrecondition, Code::InvalidArgument]
        .contains(&status.code())
}

/// How far a quorum had committed when the leader was asked, counted from one; `None` if it did not
/// answer in time or does not lead.
pub(crate) async fn read_index(channel: Option<PeerChannel>, limit: Duration) -> Option<u64> {
    let mut client = RaftClient::new(channel?);
    let asked = client.read_index(ReadIndexRequest {});
    let answer = tokio::time::timeout(limit, asked).await.ok()?.ok()?.into_inner();
    (!answer.not_leader).then_some(answer.index)
}
