//! Questions about leases from members that do not lead to the one that does.

use tonic::{Request, Response, Status};

use super::{Lessor, LessorError, TimeLeft};
use crate::consensus::{PeerChannel, PeerService, ReadError};
use crate::proto::peer::lessor_client::LessorClient;
use crate::proto::peer::lessor_server;
use crate::proto::peer::{LeaseAnswer, LeaseQuestion};
use crate::types::ids::LeaseId;

/// Asks the leader for [`Lessor::renew`].
pub(super) async fn renew(leader: PeerChannel, id: LeaseId) -> Result<i64, LessorError> {
    let question = LeaseQuestion { id: id.0 };
    let answer = LessorClient::new(leader).renew(question).await.map_err(|status| lost(&status))?;
    Ok(read(answer.into_inner())?.map_or(0, |left| left.seconds))
}

/// Asks the leader for [`Lessor::remaining`].
pub(super) async fn remaining(
    leader: PeerChannel,
    id: LeaseId,
) -> Result<Option<TimeLeft>, LessorError> {
    let question = LeaseQuestion { id: id.0 };
    let asked = LessorClient::new(leader).time_left(question).await;
    read(asked.map_err(|status| lost(&status))?.into_inner())
}

/// A leader that does not answer is none; whoever asks looks for the next.
fn lost(status: &Status) -> LessorError {
    tracing::debug!(code = ?status.code(), error = status.message(), "the leader did not answer");
    LessorError::NotLeader
}

fn read(answer: LeaseAnswer) -> Result<Option<TimeLeft>, LessorError> {
    if answer.not_leader {
        return Err(LessorError::NotLeader);
    }
    if answer.unconfirmed {
        return Err(LessorError::Unconfirmed(ReadError::Timeout));
    }
    let left = TimeLeft { seconds: answer.seconds, granted: answer.granted };
    Ok((!answer.unknown).then_some(left))
}

fn write(result: Result<Option<TimeLeft>, LessorError>) -> LeaseAnswer {
    let none = LeaseAnswer::default();
    match result {
        Ok(Some(TimeLeft { seconds, granted })) => LeaseAnswer { seconds, granted, ..none },
        Ok(None) => LeaseAnswer { unknown: true, ..none },
        Err(LessorError::NotLeader) => LeaseAnswer { not_leader: true, ..none },
        Err(LessorError::Unconfirmed(_)) => LeaseAnswer { unconfirmed: true, ..none },
    }
}

/// Answers the other members.
pub struct LeaseService {
    pub(super) lessor: Lessor,
    pub(super) peers: PeerService,
}

#[tonic::async_trait]
impl lessor_server::Lessor for LeaseService {
    async fn renew(
        &self,
        request: Request<LeaseQuestion>,
    ) -> Result<Response<LeaseAnswer>, Status> {
        self.peers.admit(&request)?;
        let renewed = self.lessor.renew_here(LeaseId(request.get_ref().id)).await;
        let left = |seconds| (seconds > 0).then_some(TimeLeft { seconds, granted: seconds });
        Ok(Response::new(write(renewed.map(left))))
    }

    async fn time_left(
        &self,
        request: Request<LeaseQuestion>,
    ) -> Result<Response<LeaseAnswer>, Status> {
        self.peers.admit(&request)?;
        let left = self.lessor.remaining_here(LeaseId(request.get_ref().id)).await;
        Ok(Response::new(write(left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_travel_whole() {
        let left = TimeLeft { seconds: 0, granted: 9 };
        for answer in [
            Ok(Some(left)),
            Ok(None),
            Err(LessorError::NotLeader),
            Err(LessorError::Unconfirmed(ReadError::Timeout)),
        ] {
            assert_eq!(read(write(answer)), answer);
        }
    }
}
