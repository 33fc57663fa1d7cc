//! A lease kept alive.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::watch::{is_passing, resume_elsewhere};
use crate::client::Client;
use crate::proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse};

/// Longest time of a lease, as etcd has it; what a server says beyond it is not believed.
const LONGEST: Duration = Duration::from_secs(9_000_000_000);

/// Renews a lease each third of its time.
pub(super) struct Keeper {
    client: Client,
    id: i64,
    stream: Option<Renewals>,
    /// When to renew next.
    due: Instant,
    /// When the lease must be taken for expired.
    deadline: Instant,
    renewed: bool,
}

/// A stream of renewals.
struct Renewals {
    requests: mpsc::Sender<LeaseKeepAliveRequest>,
    answers: Streaming<LeaseKeepAliveResponse>,
}

impl Keeper {
    /// A keeper that begins at once and gives up if no server has answered within `patience`.
    pub(super) fn new(client: Client, id: i64, patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            client,
            id,
            stream: None,
            due: now,
            deadline: now + patience.min(LONGEST),
            renewed: false,
        }
    }

    /// Renews the lease when it is time; `None` when it has expired or was revoked.
    ///
    /// # Errors
    /// If the server refuses, or none has ever answered.
    pub(super) async fn next(&mut self) -> Result<Option<LeaseKeepAliveResponse>, Status> {
        sleep_until(self.due).await;
        loop {
            match timeout_at(self.deadline, self.renew()).await {
                Ok(Ok(answer)) if answer.ttl <= 0 => return Ok(None),
                Ok(Ok(answer)) => {
                    let now = Instant::now();
                    let ttl = Duration::from_secs(answer.ttl.unsigned_abs()).min(LONGEST);
                    (self.due, self.deadline) = (now + ttl / 3, now + ttl);
                    self.renewed = true;
                    return Ok(Some(answer));
                }
                Ok(Err(status)) if is_passing(&status) && Instant::now() < self.deadline => {
                    self.client = resume_elsewhere(&self.client, &status).await;
                }
                Ok(Err(status)) if !is_passing(&status) => return Err(status),
                _ if self.renewed => return Ok(None),
                _ => return Err(Status::deadline_exceeded("context deadline exceeded")),
            }
        }
    }

    /// One renewal. A stream on which it fails is not used again.
    async fn renew(&mut self) -> Result<LeaseKeepAliveResponse, Status> {
        let request = LeaseKeepAliveRequest { id: self.id };
        let over = || Status::unavailable("the stream ended");
        let mut stream = match self.stream.take() {
            Some(stream) => {
                stream.requests.send(request).await.map_err(|_| over())?;
                stream
            }
            None => {
                let (requests, outgoing) = mpsc::channel(1);
                // The channel is new and has room.
                let _ = requests.try_send(request);
                let outgoing = ReceiverStream::new(outgoing);
                let answers = self.client.lease().lease_keep_alive(outgoing).await?.into_inner();
                Renewals { requests, answers }
            }
        };
        let answer = stream.answers.message().await?.ok_or_else(over)?;
        self.stream = Some(stream);
        Ok(answer)
    }
}
