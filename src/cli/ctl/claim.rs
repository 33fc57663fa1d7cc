//! Something held under a lease until a signal comes: a lock or a leadership.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::failure::{Exit, Failure};
use super::flags::Parsed;
use super::keeper::Keeper;
use super::print::{Answer, Look, render};
use super::queue::{Place, line_up};
use super::session::{Environment, Session};
use super::show;
use crate::proto::etcdserverpb::{LeaseGrantRequest, LeaseRevokeRequest, RangeRequest};
use crate::tasks::{Signal, Signals};

/// A lease that is kept alive meanwhile, and the signals that end it.
pub(super) struct Claim {
    session: Session,
    lease: i64,
    /// Its one task ends when the lease is gone.
    keeping: JoinSet<()>,
    lost: bool,
    signals: Signals,
    /// What is said when the lease is gone.
    expired: &'static str,
    /// Time to give it back.
    limit: Duration,
}

impl Claim {
    /// Opens a session and grants a lease of so many seconds.
    pub(super) async fn begin(
        parsed: &mut Parsed,
        environment: &Environment,
        ttl: i64,
        expired: &'static str,
    ) -> Result<Self, Failure> {
        let session = Session::open(&mut parsed.values, environment).await?;
        let session = session.unhurried(&parsed.values);
        let limit = parsed.values.span("command-timeout");
        let mut signals = Signals::listen()
            .map_err(|error| failed(format!("cannot listen to signals: {error}")))?;
        let request = LeaseGrantRequest { ttl, id: 0 };
        let mut leases = session.client.lease();
        let granted = tokio::select! {
            granted = session.ask(leases.lease_grant(request)) => granted?,
            _ = signals.next() => return Err(interrupted()),
        };
        let time = Duration::from_secs(granted.ttl.unsigned_abs());
        let mut keeper = Keeper::new(session.client.clone(), granted.id, time);
        let mut keeping = JoinSet::new();
        keeping.spawn(async move { while let Ok(Some(_)) = keeper.next().await {} });
        Ok(Self { session, lease: granted.id, keeping, lost: false, signals, expired, limit })
    }

    /// Lines up for a name and waits until its turn has come.
    pub(super) async fn wait_for(&mut self, name: &[u8], value: Bytes) -> Result<Place, Failure> {
        tokio::select! {
            place = line_up(&self.session, name, value, self.lease) => {
                place?.ok_or_else(|| failed(self.expired))
            }
            _ = self.keeping.join_next() => {
                self.lost = true;
                Err(failed(self.expired))
            }
            _ = self.signals.next() => Err(interrupted()),
        }
    }

    /// Prints the key of a place; `gone` is said if there is none.
    pub(super) async fn print(&self, place: &Place, gone: &str) -> Result<(), Failure> {
        let session = &self.session;
        let request = RangeRequest { key: place.key.clone(), ..RangeRequest::default() };
        let answer = session.ask(session.client.kv().range(request)).await?;
        if answer.kvs.is_empty() {
            return Err(failed(gone));
        }
        let look = Look { hex: session.hex, value_only: false };
        show(&render(session.format, look, &Answer::Get(&answer))?)
    }

    /// Waits for a signal.
    pub(super) async fn hold(&mut self) -> Result<(), Failure> {
        match self.next().await {
            Some(_) => Ok(()),
            None => Err(failed(self.expired)),
        }
    }

    /// The next signal, or once `None` when the lease is gone.
    pub(super) async fn next(&mut self) -> Option<Signal> {
        if self.lost {
            return Some(self.signals.next().await);
        }
        tokio::select! {
            signal = self.signals.next() => Some(signal),
            _ = self.keeping.join_next() => {
                self.lost = true;
                None
            }
        }
    }

    /// Gives back what was held, however it went: with the lease its key goes.
    pub(super) async fn end(mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        self.keeping.abort_all();
        if self.lost {
            return outcome;
        }
        let client = &self.session.client;
        let request = LeaseRevokeRequest { id: self.lease };
        let revoked = async { client.lease().lease_revoke(request).await };
        let ended = match tokio::time::timeout(self.limit, revoked).await {
            Ok(Ok(_)) => Ok(()),
            // It expired a moment ago, which comes to the same.
            Ok(Err(status)) if status.code() == tonic::Code::NotFound => Ok(()),
            Ok(Err(status)) => Err(failed(super::failure::describe(&status))),
            Err(_) => Err(failed("context deadline exceeded")),
        };
        outcome.and(ended)
    }
}

pub(super) fn failed(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Error, message)
}

/// Stopped before its turn came.
fn interrupted() -> Failure {
    failed("context canceled")
}
