//! One call: its terms, its counters, and the ways it may run.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use http::{HeaderMap, Response};
use prost::Message;
use tokio::sync::watch as channel;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use super::Shared;
use super::audit::Audited;
use super::body::{Answer, Body, Encoded, refuse, respond};
use super::frame::Frames;
use super::identity::Asker;
use super::stream::{Messages, Room};
use super::weigh::weigh;
use crate::api::method::{Guard, Kind, Method};
use crate::api::status;
use crate::state::Demand;
use crate::transport::{Account, Charge};

/// What the metadata of a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// The client gives up after this time.
    pub(super) deadline: Option<Duration>,
    /// The call fails while no leader is known.
    pub(super) needs_leader: bool,
}

impl Terms {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let deadline =
            headers.get("grpc-timeout").and_then(|text| parse_timeout(text.to_str().ok()?));
        let needs_leader = headers.get("hasleader").is_some_and(|value| value == "true");
        Self { deadline, needs_leader }
    }
}

/// Reads `grpc-timeout`: up to eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Counts one call; a call that is dropped unfinished was cancelled by its client.
pub(super) struct Meter {
    shared: Arc<Shared>,
    method: Method,
    audited: Option<Audited>,
    began: Option<Instant>,
    finished: bool,
}

impl Meter {
    pub(super) fn start(shared: Arc<Shared>, method: Method, audited: Option<Audited>) -> Self {
        let counters = shared.metrics.of(method);
        if let Some(counters) = counters {
            counters.started.inc();
        }
        // A watch or a keep-alive stream is not slow because it lives long.
        let timed = method.kind() == Kind::Unary
            || counters.is_some_and(|counters| counters.seconds.is_some());
        let began = timed.then(|| shared.clock.now());
        Self { shared, method, audited, began, finished: false }
    }

    pub(super) fn received(&self, bytes: usize) {
        self.shared.metrics.received(self.method, bytes);
    }

    pub(super) fn sent(&self, bytes: usize) {
        if let Some(counters) = self.shared.metrics.of(self.method) {
            counters.sent.inc();
        }
        self.shared.metrics.sent_bytes.inc_by(bytes as u64);
    }

    pub(super) fn finish(&mut self, code: Code) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if let Some(audited) = &self.audited {
            audited.tell(code);
        }
        let Some(counters) = self.shared.metrics.of(self.method) else { return };
        counters.handled(code);
        let Some(took) = self.began.map(|began| self.shared.clock.now() - began) else { return };
        if let Some(seconds) = &counters.seconds {
            seconds.observe(took.as_secs_f64());
        }
        let expected = self.shared.backend.limits.slow_request;
        if self.method.kind() == Kind::Unary && took > expected {
            tracing::warn!(
                took = ?took,
                "expected-duration" = ?expected,
                request = self.method.name(),
                code = status::code_label(code),
                "apply request took too long"
            );
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.finish(Code::Cancelled);
    }
}

/// A call that was admitted: what the client sends, and what is needed to answer.
pub(super) struct Call<B> {
    pub(super) frames: Frames<B>,
    pub(super) ticket: Ticket,
}

/// What is needed to answer a call.
pub(super) struct Ticket {
    pub(super) shared: Arc<Shared>,
    pub(super) meter: Meter,
    pub(super) terms: Terms,
    pub(super) asker: Asker,
    pub(super) account: Account,
    /// What the call itself takes.
    pub(super) charge: Charge,
}

/// What a call becomes.
pub(super) type Reply = BoxFuture<'static, Response<Body>>;

impl<B> Call<B>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// One message in, one out.
    pub(super) fn unary<Q, A, F, H>(mut self, handler: H) -> Reply
    where
        Q: Message + Default,
        A: Answer,
        F: Future<Output = Result<A, Status>> + Send + 'static,
        H: FnOnce(Arc<Shared>, Asker, Q) -> F + Send + 'static,
    {
        Box::pin(async move {
            let deadline = self.ticket.terms.deadline;
            let work = async {
                let request = self.only().await?;
                self.ticket.guard().await?;
                let asker = std::mem::take(&mut self.ticket.asker);
                handler(Arc::clone(&self.ticket.shared), asker, request).await?.encode()
            };
            let result = match deadline {
                None => work.await,
                Some(limit) => {
                    timeout(limit, work).await.unwrap_or_else(|_| Err(status::deadline_exceeded()))
                }
            };
            // The request makes room for the answer.
            drop(self.frames);
            self.ticket.answer(result)
        })
    }

    /// One message in, many out.
    pub(super) fn server_stream<Q, M, S, F, H>(mut self, handler: H) -> Reply
    where
        Q: Message + Default,
        M: Message + Unpin + 'static,
        S: Stream<Item = Result<M, Status>> + Send + Unpin + 'static,
        F: Future<Output = Result<S, Status>> + Send + 'static,
        H: FnOnce(Arc<Shared>, Asker, Q) -> F + Send + 'static,
    {
        Box::pin(async move {
            let started = async {
                let request = self.only().await?;
                self.ticket.guard().await?;
                let asker = std::mem::take(&mut self.ticket.asker);
                handler(Arc::clone(&self.ticket.shared), asker, request).await
            };
            match started.await {
                Ok(source) => self.ticket.stream(source),
                Err(status) => self.ticket.answer(Err(status)),
            }
        })
    }

    async fn only<Q: Message + Default>(&mut self) -> Result<Q, Status> {
        let message = self.frames.only().await?;
        self.ticket.meter.received(message.len());
        let most = self.ticket.shared.backend.limits.max_txn_ops;
        let weight = weigh(self.ticket.meter.method, &message, most)?;
        if weight > 0 {
            self.frames.charge(message.len() + weight)?;
        }
        Q::decode(message).map_err(|error| status::undecodable(&error))
    }
}

impl Ticket {
    /// Refuses who is not root where only root may.
    async fn guard(&self) -> Result<(), Status> {
        let method = self.meter.method;
        if method.guard() != Guard::Root || !self.shared.backend.reader.is_auth_enabled() {
            return Ok(());
        }
        // One service has words of its own.
        let apart = !matches!(method.service(), "etcdserverpb.Maintenance");
        let invalid = |own| if apart { own } else { status::invalid_maintenance_token() };
        let refused = if apart { status::of_apply } else { status::of_maintenance };
        let backend = &self.shared.backend;
        let caller = self.asker.resolve(backend).await.map_err(invalid)?;
        backend.reader.authorize(&caller, Demand::Administer).map_err(refused)
    }

    fn answer(mut self, result: Result<Encoded, Status>) -> Response<Body> {
        let charge = self.charge;
        let body = result.and_then(|encoded| {
            let length = encoded.len();
            encoded.into_body(charge).map(|body| (body, length))
        });
        match body {
            Ok((body, length)) => {
                self.meter.sent(length);
                self.meter.finish(Code::Ok);
                respond(body)
            }
            Err(status) => {
                self.meter.finish(status.code());
                refuse(&status)
            }
        }
    }

    /// Answers with a stream that also ends by its terms or when the server stops.
    pub(super) fn stream<M, S>(self, source: S) -> Response<Body>
    where
        M: Message + Unpin + 'static,
        S: Stream<Item = Result<M, Status>> + Send + Unpin + 'static,
    {
        let ending = ending(Arc::clone(&self.shared), self.meter.method, self.terms);
        let room = Room::new(self.account, self.charge, self.shared.budget.clone());
        respond(Body::Stream(Box::pin(Messages::new(source, self.meter, room, ending))))
    }
}

/// Resolves when a stream must end for a reason of its own: its time is up, its leader is lost, what it
/// tells is wrong, the server stops.
fn ending(shared: Arc<Shared>, method: Method, terms: Terms) -> BoxFuture<'static, Status> {
    Box::pin(async move {
        let deadline = async {
            match terms.deadline {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let leader_lost = comes_true(terms.needs_leader, shared.leaderless.clone());
        let corrupt = comes_true(method.reads_data(), shared.corrupt.clone());
        tokio::select! {
            () = deadline => status::deadline_exceeded(),
            () = leader_lost => status::no_leader(),
            () = corrupt => status::corrupt(),
            () = shared.serving.stopped() => status::stopped(),
        }
    })
}

/// Resolves once a fact is there; never if it does not matter, or if nobody looks any more.
async fn comes_true(matters: bool, mut fact: channel::Receiver<bool>) {
    if !matters || fact.wait_for(|there| *there).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_has_them() {
        assert_eq!(parse_timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse_timeout("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(parse_timeout("1H"), Some(Duration::from_secs(3600)));
        for wrong in ["", "S", "5", "5s", "-5S", "123456789S", "5é"] {
            assert_eq!(parse_timeout(wrong), None, "{wrong}");
        }
    }
}
