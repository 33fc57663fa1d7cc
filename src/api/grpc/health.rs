//! The standard health service.

use std::sync::Arc;

use futures::{Stream, stream};
use tokio::sync::watch as channel;
use tonic::Status;

use super::Shared;
use super::identity::Asker;
use crate::api::backend::Health;
use crate::api::status;
use crate::proto::health::health_check_response::ServingStatus;
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

fn of(health: Health) -> HealthCheckResponse {
    response(match health {
        Health::Serving => ServingStatus::Serving,
        Health::NotServing => ServingStatus::NotServing,
    })
}

pub(super) async fn check(
    shared: Arc<Shared>,
    _: Asker,
    request: HealthCheckRequest,
) -> Result<HealthCheckResponse, Status> {
    if !request.service.is_empty() {
        return Err(status::unknown_health_service());
    }
    Ok(of(*shared.backend.health.borrow()))
}

/// The status now and after each change; a service nobody knows may become known, so its stream
/// stays open.
pub(super) async fn watch(
    shared: Arc<Shared>,
    _: Asker,
    request: HealthCheckRequest,
) -> Result<impl Stream<Item = Result<HealthCheckResponse, Status>> + Send + Unpin, Status> {
    let state = Watching {
        health: shared.backend.health.clone(),
        known: request.service.is_empty(),
        told: None,
    };
    Ok(Box::pin(stream::unfold(
        state,
        |mut state| async move { Some((Ok(state.next().await), state)) },
    )))
}

struct Watching {
    health: channel::Receiver<Health>,
    known: bool,
    told: Option<HealthCheckResponse>,
}

impl Watching {
    async fn next(&mut self) -> HealthCheckResponse {
        loop {
            let current = *self.health.borrow_and_update();
            let now =
                if self.known { of(current) } else { response(ServingStatus::ServiceUnknown) };
            if self.told.as_ref() != Some(&now) {
                self.told = Some(now);
                return now;
            }
            if self.health.changed().await.is_err() {
                // Nobody will tell again.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_are_told_once() {
        let (tell, health) = channel::channel(Health::Serving);
        let mut watching = Watching { health, known: true, told: None };
        assert_eq!(watching.next().await.status, 1);
        tell.send_replace(Health::Serving);
        tell.send_replace(Health::NotServing);
        assert_eq!(watching.next().await.status, 2);
    }
}
