//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them until told to stop.

use std::error::Error as StdError;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;
use tower::util::{Oneshot, ServiceExt};

use super::credentials::Credentials;
use super::ends::ClientEnd;
use super::error::BindError;
use super::gather::gather;
use super::handshake::{Protocol, Ready, Rejected, Terms, greet, silent};
use super::identity::Identity;
use super::limits::Limits;
use super::listener::Bound;
use super::memory::{Account, Memory};
use super::metrics::Metrics;
use super::pings::Policed;
use super::stream::{Beginning, Stream};
use super::together::{Arrivals, Together};
use crate::tasks::{Stage, Stop, Supervisor};
use crate::telemetry::quiet::Quiet;
use crate::types::clock::Clock;

/// Pause after the system refused a connection for want of files or memory.
const BREATHER: Duration = Duration::from_millis(100);
/// Requests under way on one connection whatever the configuration allows: etcd's default is no limit
/// at all, and its clients wait when there is one. Far above the thousand that busy ones have.
const MOST_STREAMS: u32 = 32_768;
/// Shortest time a handshake gets when many are under way.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);

type BoxError = Box<dyn StdError + Send + Sync>;

/// What serving a socket needs besides the socket and the service.
#[derive(Clone)]
pub struct Serving {
    /// Names the listener in logs and metrics: `client`, `peer`, `metrics`.
    pub name: &'static str,
    /// What the listener proves its identity with; needed if it is encrypted.
    pub credentials: Option<Credentials>,
    /// Bounds.
    pub limits: Limits,
    /// What the connections of all listeners may hold; every request carries the [`Account`] of its
    /// connection in its extensions.
    pub memory: Memory,
    /// Counters.
    pub metrics: Metrics,
    /// Owner of the tasks.
    pub supervisor: Supervisor,
    /// With which stage they stop.
    pub stage: Stage,
}

/// State shared by the connections of one socket.
struct Shared<S> {
    serving: Serving,
    terms: Terms,
    service: S,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    quiet: Quiet,
    stop: Stop,
}

/// Starts serving `service` on `bound`: gRPC and HTTP/1.1 on one port, told apart by ALPN or by
/// their first bytes. Every request carries the peer's [`Identity`] in its extensions.
///
/// # Errors
/// If the socket is for encrypted connections and there are no credentials.
pub fn serve<S, B>(bound: Bound, serving: Serving, service: S) -> Result<(), BindError>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let credentials = serving.credentials.clone().filter(|_| bound.is_tls());
    let shows_certificate = credentials.as_ref().is_some_and(|held| held.server().is_ok());
    if bound.is_tls() && !shows_certificate {
        return Err(BindError::NoCredentials { url: bound.url().to_string() });
    }
    let (supervisor, stage) = (serving.supervisor.clone(), serving.stage);
    let shared = Arc::new(Shared {
        terms: Terms { plain: bound.is_plain(), credentials },
        service,
        connections: Arc::new(Semaphore::new(serving.limits.max_connections)),
        handshakes: Arc::new(Semaphore::new(serving.limits.max_handshakes)),
        quiet: Quiet::default(),
        stop: supervisor.stop_token(stage),
        serving,
    });
    supervisor.spawn("listener", stage, accept_until_stopped(bound, shared));
    Ok(())
}

async fn accept_until_stopped<S, B>(bound: Bound, shared: Arc<Shared<S>>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let stop = shared.stop.clone();
    let mut stopped = pin!(stop.stopped());
    loop {
        // A place for the handshake first: without one the connection is better off in the kernel's
        // queue, where it costs us nothing.
        let accepted = async {
            let place = Arc::clone(&shared.handshakes).acquire_owned().await;
            (bound.accept().await, place.ok())
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = &mut stopped => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, remote)) => start(&shared, stream, remote, place),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(url = %bound.url(), %error, "cannot accept connections for now");
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected,
    };
    // The last two: the peer left between accept and the setting of socket options.
    [ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected]
        .contains(&error.kind())
}

fn start<S, B>(
    shared: &Arc<Shared<S>>,
    stream: Stream,
    remote: Arc<str>,
    place: Option<OwnedSemaphorePermit>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Ok(seat) = Arc::clone(&shared.connections).try_acquire_owned() else {
        let most = shared.serving.limits.max_connections;
        shared.quiet.say(|hidden| {
            tracing::warn!(
                "remote-addr" = &*remote,
                most,
                hidden,
                "connection closed: too many are open"
            );
        });
        return;
    };
    let shared = Arc::clone(shared);
    let supervisor = shared.serving.supervisor.clone();
    supervisor.spawn("connection", shared.serving.stage, async move {
        let _seat = seat;
        let patience = shared.patience();
        let begun = Clock.now();
        let greeted = tokio::select! {
            () = shared.stop.stopped() => return,
            greeted = greet(stream, Arc::clone(&remote), &shared.terms, patience) => greeted,
        };
        drop(place);
        match greeted {
            Ok(ready) => {
                if ready.encrypted {
                    let seconds = Clock.now().duration_since(begun).as_secs_f64();
                    let name = &[shared.serving.name];
                    shared
                        .serving
                        .metrics
                        .handshake_seconds
                        .with_label_values(name)
                        .observe(seconds);
                }
                converse(&shared, ready).await;
            }
            Err(rejected) => shared.reject(&remote, &rejected),
        }
    });
}

impl<S> Shared<S> {
    /// Time for a handshake: less when half the places are taken, so that a flood of half-open
    /// connections passes through quickly and honest clients still get in.
    fn patience(&self) -> Duration {
        let limits = &self.serving.limits;
        if self.handshakes.available_permits() < limits.max_handshakes / 2 {
            limits.handshake_deadline.min(SHORT_PATIENCE)
        } else {
            limits.handshake_deadline
        }
    }

    /// Counts a connection until the answer is dropped.
    fn count(&self, ready: &Ready) -> (Closed, Option<ClientEnd>) {
        let (listener, metrics) = (self.serving.name, &self.serving.metrics);
        let open = metrics.connections.with_label_values(&[listener]);
        open.inc();
        let certificate = ready.identity.certificate.as_ref();
        let end = certificate.map(|shown| {
            let end = (shown.not_after, &*shown.serial);
            metrics.clients.enter(listener, end, Clock.now())
        });
        (Closed(open), end)
    }

    /// Waits until a certificate of this connection is revoked.
    async fn revoked(&self, serials: &[Vec<u8>]) -> String {
        match &self.terms.credentials {
            Some(credentials) if !serials.is_empty() => credentials.until_revoked(serials).await,
            _ => pending().await,
        }
    }

    /// Says why a connection ends in the middle of what it was doing: whoever lost a key may have had
    /// it stolen, so nothing more is answered, and streams end with the connection.
    fn cut(&self, remote: &str, serial: &str) {
        let listener = self.serving.name;
        self.serving.metrics.revoked.with_label_values(&[listener]).inc();
        tracing::warn!(
            "remote-addr" = remote,
            listener,
            serial,
            "closed a connection: its certificate was revoked"
        );
    }

    fn reject(&self, remote: &str, rejected: &Rejected) {
        let listener = self.serving.name;
        if rejected.reason == "closed" && rejected.error == "EOF" {
            // Load balancers and port probes connect and leave: no fault.
            tracing::debug!("remote-addr" = remote, listener, "connection closed without a word");
            return;
        }
        let labels = &[listener, rejected.reason];
        self.serving.metrics.handshake_failures.with_label_values(labels).inc();
        self.quiet.say(|hidden| {
            let shown = rejected.certificate.as_deref();
            let dns = shown.map(|shown| shown.dns_names.join(",")).unwrap_or_default();
            let addresses = shown.map(|shown| {
                shown.ip_addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            });
            tracing::warn!(
                "remote-addr" = remote,
                "server-name" = %rejected.server_name,
                "ip-addresses" = addresses.unwrap_or_default(),
                "dns-names" = dns,
                reason = rejected.reason,
                error = %rejected.error,
                hidden,
                "rejected connection on {listener} endpoint"
            );
        });
    }
}

async fn converse<S, B>(shared: &Shared<S>, ready: Ready)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let _open = shared.count(&ready);
    let limits = &shared.serving.limits;
    let remote = Arc::clone(&ready.identity.remote);
    let account = shared.serving.memory.account();
    let service = Identified { service: shared.service.clone(), identity: ready.identity, account };
    let window = shared.serving.memory.window(limits.connection_window);
    let mut revoked = pin!(shared.revoked(&ready.serials));
    // The two branches differ only in types: hyper has no common one for its connections.
    let result = match ready.protocol {
        Protocol::Http2 => {
            let exempt = ready.encrypted && limits.encrypted_ping_freely;
            let interval = limits.ping_interval.filter(|_| !exempt);
            let (stream, begun) = Beginning::of(ready.stream);
            let (stream, outbox) = gather(stream);
            let stream = TokioIo::new(Policed::new(stream, interval));
            let mut silent = pin!(silent(limits.handshake_deadline, begun));
            let arrivals = Arrivals::default();
            let connection =
                http2(limits, window.bytes(), arrivals.clone()).serve_connection(stream, service);
            let mut together = Together::new(connection, arrivals, outbox);
            tokio::select! {
                biased;
                result = &mut together => result,
                serial = &mut revoked => return shared.cut(&remote, &serial),
                rejected = &mut silent => return shared.reject(&remote, &rejected),
                () = shared.stop.stopped() => {
                    together.connection.as_mut().graceful_shutdown();
                    within(limits.drain, together).await
                }
            }
        }
        Protocol::Http1 => {
            let stream = TokioIo::new(ready.stream);
            let mut connection = pin!(http1(limits).serve_connection(stream, service));
            tokio::select! {
                biased;
                result = connection.as_mut() => result,
                serial = &mut revoked => return shared.cut(&remote, &serial),
                () = shared.stop.stopped() => {
                    connection.as_mut().graceful_shutdown();
                    within(limits.drain, connection).await
                }
            }
        }
    };
    if let Err(error) = result {
        // Clients vanish all the time; what matters to them is told in answers.
        tracing::debug!("remote-addr" = &*remote, %error, "connection ended");
    }
}

async fn within(
    drain: Duration,
    connection: impl Future<Output = hyper::Result<()>>,
) -> hyper::Result<()> {
    // After the deadline the connection is dropped, and with it what is still under way.
    tokio::time::timeout(drain, connection).await.unwrap_or(Ok(()))
}

/// How many frames may come for streams that are gone already. A client whose large requests are refused
/// has its whole window under way for them, again and again until it has read of every refusal; what
/// answering them takes, half a KiB each, stays below what the windows may take.
fn late(window: u32) -> usize {
    const FRAME: u32 = 1 << 10;
    usize::try_from(window / FRAME).unwrap_or(usize::MAX)
}

fn http2(limits: &Limits, window: u32, arrivals: Arrivals) -> http2::Builder<Arrivals> {
    let mut builder = http2::Builder::new(arrivals);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams.min(MOST_STREAMS))
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(window)
        .max_frame_size(limits.max_frame)
        .max_send_buf_size(limits.send_buffer)
        .max_header_list_size(limits.max_headers)
        .max_pending_accept_reset_streams(limits.max_pending_resets)
        .max_local_error_reset_streams(limits.max_pending_resets.max(late(window)))
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    builder
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        // A client may close its sending half and still want the answer.
        .half_close(true)
        .max_buf_size(usize::try_from(limits.max_headers).unwrap_or(usize::MAX));
    builder
}

struct Closed(prometheus::IntGauge);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Puts the identity and the account of the connection into each of its requests.
struct Identified<S> {
    service: S,
    identity: Identity,
    account: Account,
}

impl<S> hyper::service::Service<Request<Incoming>> for Identified<S>
where
    S: Service<Request<Incoming>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Oneshot<S, Request<Incoming>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.identity.clone());
        request.extensions_mut().insert(self.account.clone());
        self.service.clone().oneshot(request)
    }
}
