//! The gRPC face: from a path and its metadata to the handler of the method.

mod audit;
mod auth;
mod body;
mod call;
mod cluster;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod health;
mod hold;
mod identity;
mod kv;
mod large;
mod lease;
mod maintenance;
mod pace;
mod propose;
mod stream;
mod watch;
mod weigh;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use tokio::sync::watch as channel;
use tonic::{Code, Status};

use audit::Audited;
use body::refuse;
pub use body::{Body, Encoded};
use call::{Call, Meter, Reply, Terms, Ticket};
use frame::Frames;
use identity::Asker;
use pace::Pace;

use super::backend::Backend;
use super::budget::Budget;
use super::method::Method;
use super::metrics::Metrics;
use super::status;
use crate::tasks::{Stage, Stop, Supervisor};
use crate::transport::Memory;
use crate::types::clock::Clock;

/// Looks at the leader, one election timeout apart, without seeing any, before streams that need
/// one are ended.
const LEADERLESS_LOOKS: u32 = 3;

/// What a call is charged to its connection from its first byte to the last of its answer, in bytes:
/// its place in HTTP/2, its task, its counters, a small message each way.
pub(super) const CALL_BYTES: usize = 4 << 10;

/// The gRPC services; clones share everything.
#[derive(Clone)]
pub struct Grpc {
    shared: Arc<Shared>,
}

/// What all calls share.
struct Shared {
    backend: Arc<Backend>,
    metrics: Metrics,
    budget: Budget,
    pace: Pace,
    /// Whether there has been no leader for long.
    leaderless: channel::Receiver<bool>,
    /// Whether this member holds other data than the cluster.
    corrupt: channel::Receiver<bool>,
    serving: Stop,
    clock: Clock,
}

impl Grpc {
    /// The services of a member.
    pub fn start(backend: Arc<Backend>, supervisor: &Supervisor) -> Self {
        let (lost, leaderless) = channel::channel(false);
        let (wrong, corrupt) = channel::channel(false);
        supervisor.spawn("stream-watch", Stage::Serving, {
            let (backend, stop) = (Arc::clone(&backend), supervisor.stop_token(Stage::Serving));
            async move { look_after_streams(&backend, &lost, &wrong, &stop).await }
        });
        let limits = backend.limits;
        let metrics = Metrics::new(&backend.registry, limits.extensive_metrics);
        let budget = Budget::new(limits.range_bytes_in_flight, Clock);
        let serving = supervisor.stop_token(Stage::Serving);
        let clock = Clock;
        let pace = Pace::new(clock.now());
        let shared = Shared { backend, metrics, budget, pace, leaderless, corrupt, serving, clock };
        Self { shared: Arc::new(shared) }
    }

    /// Answers one request; whatever goes wrong is told in the response.
    pub fn call<B>(&self, request: Request<B>) -> Reply
    where
        B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let (mut head, body) = request.into_parts();
        let Some(method) = Method::find(head.uri.path()) else {
            return refused(&unknown(head.uri.path()));
        };
        let audited = Audited::of(method, head.extensions.get());
        let acted = audited.as_ref().map(Audited::user);
        let asker = Asker::of(&head.headers, head.extensions.get(), acted);
        let mut meter = Meter::start(Arc::clone(&self.shared), method, audited);
        let terms = Terms::of(&head.headers);
        if let Err(status) = self.admit(method, terms, &head.headers) {
            meter.finish(status.code());
            return refused(&status);
        }
        let account = head.extensions.remove().unwrap_or_else(|| Memory::default().account());
        let charge = match account.charge(CALL_BYTES) {
            Ok(charge) => charge,
            Err(full) => {
                meter.finish(Code::ResourceExhausted);
                return refused(&status::memory_full(full));
            }
        };
        let limit = self.shared.backend.limits.max_message_bytes();
        let frames = Frames::new(body, limit, account.clone());
        let ticket =
            Ticket { shared: Arc::clone(&self.shared), meter, terms, asker, account, charge };
        route(method, Call { frames, ticket })
    }

    /// What is refused before the message is read.
    fn admit(&self, method: Method, terms: Terms, headers: &HeaderMap) -> Result<(), Status> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        self.shared.metrics.request(method.kind(), text("client-api-version"));
        if let Some(encoding) = text("grpc-encoding").filter(|encoding| *encoding != "identity") {
            return Err(status::unknown_encoding(encoding));
        }
        let now = self.shared.backend.node.status();
        if now.is_learner && !method.is_for_learners() {
            return Err(status::not_for_learners());
        }
        if terms.needs_leader && now.leader.is_none() {
            return Err(status::no_leader());
        }
        if method.reads_data() && self.shared.backend.is_corrupt() {
            return Err(status::corrupt());
        }
        Ok(())
    }
}

fn refused(status: &Status) -> Reply {
    Box::pin(std::future::ready(refuse(status)))
}

fn unknown(path: &str) -> Status {
    match path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) {
        Some((service, method)) if Method::has_service(service) => {
            status::unknown_method(service, method)
        }
        Some((service, _)) => status::unknown_service(service),
        None => status::malformed_method(path),
    }
}

fn route<B>(method: Method, call: Call<B>) -> Reply
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
{
    match method {
        Method::Range => call.unary(kv::range),
        Method::RangeStream => call.server_stream(kv::range_stream),
        Method::Put => call.unary(kv::put),
        Method::DeleteRange => call.unary(kv::delete_range),
        Method::Txn => call.unary(kv::txn),
        Method::Compact => call.unary(kv::compact),
        Method::Watch => watch::watch(call),
        Method::LeaseGrant => call.unary(lease::grant),
        Method::LeaseRevoke => call.unary(lease::revoke),
        Method::LeaseKeepAlive => lease::keep_alive(call),
        Method::LeaseTimeToLive => call.unary(lease::time_to_live),
        Method::LeaseLeases => call.unary(lease::leases),
        Method::MemberAdd => call.unary(cluster::add),
        Method::MemberRemove => call.unary(cluster::remove),
        Method::MemberUpdate => call.unary(cluster::update),
        Method::MemberList => call.unary(cluster::list),
        Method::MemberPromote => call.unary(cluster::promote),
        Method::MemberReplace => call.unary(cluster::replace),
        Method::Alarm => call.unary(maintenance::alarm),
        Method::Status => call.unary(maintenance::status),
        Method::Defragment => call.unary(maintenance::defragment),
        Method::Hash => call.unary(maintenance::hash),
        Method::HashKv => call.unary(maintenance::hash_kv),
        Method::Snapshot => call.server_stream(maintenance::snapshot),
        Method::MoveLeader => call.unary(maintenance::move_leader),
        Method::Downgrade => call.unary(maintenance::downgrade),
        Method::AuthStatus => call.unary(auth::status),
        Method::AuthDisable => call.unary(auth::disable),
        Method::Authenticate => call.unary(auth::authenticate),
        Method::AuthEnable => call.unary(auth::enable),
        Method::UserAdd => call.unary(auth::user_add),
        Method::UserGet => call.unary(auth::user_get),
        Method::UserList => call.unary(auth::user_list),
        Method::UserDelete => call.unary(auth::user_delete),
        Method::UserChangePassword => call.unary(auth::user_change_password),
        Method::UserGrantRole => call.unary(auth::user_grant_role),
        Method::UserRevokeRole => call.unary(auth::user_revoke_role),
        Method::RoleAdd => call.unary(auth::role_add),
        Method::RoleGet => call.unary(auth::role_get),
        Method::RoleList => call.unary(auth::role_list),
        Method::RoleDelete => call.unary(auth::role_delete),
        Method::RoleGrantPermission => call.unary(auth::role_grant_permission),
        Method::RoleRevokePermission => call.unary(auth::role_revoke_permission),
        Method::HealthCheck => call.unary(health::check),
        Method::HealthWatch => call.server_stream(health::watch),
    }
}

/// Tells streams when there has been no leader for some looks in a row, and when what they would tell
/// is not what the cluster holds.
async fn look_after_streams(
    backend: &Backend,
    lost: &channel::Sender<bool>,
    wrong: &channel::Sender<bool>,
    stop: &Stop,
) {
    let pause = backend.limits.election_timeout.max(Duration::from_millis(10));
    let mut misses = 0;
    loop {
        tokio::select! {
            () = stop.stopped() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let leaderless = backend.node.status().leader.is_none();
        misses = if leaderless { misses + 1 } else { 0 };
        let long = misses >= LEADERLESS_LOOKS;
        lost.send_if_modified(|lost| std::mem::replace(lost, long) != long);
        let corrupt = backend.is_corrupt();
        wrong.send_if_modified(|wrong| std::mem::replace(wrong, corrupt) != corrupt);
    }
}
