//! The issuer as its callers see it: who asks, how often, and what it is told.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status};

use super::attempts::Attempts;
use super::members::{Cluster, NotYet};
use super::records::Membership;
use super::sign::{Desk, Refusal};
use crate::proto::enrol::issuer_server::Issuer;
use crate::proto::enrol::{
    EnrolAnswer, EnrolRequest, FollowAnswer, FollowRequest, RegisterAnswer, RegisterRequest,
    RenewAnswer, RenewRequest,
};
use crate::telemetry::quiet::Quiet;
use crate::transport::{Credentials, Identity};
use crate::types::clock::Clock;
use crate::types::url::{Scheme, Url};

/// Calls under way at once; each takes the lock of the directory, so more would only queue.
const MOST_CALLS: usize = 32;
/// URLs a member may be reached at.
const MOST_URLS: usize = 16;

/// Answers calls.
pub(super) struct Service {
    desk: Desk,
    cluster: Cluster,
    /// What the issuer shows.
    credentials: Credentials,
    attempts: Attempts,
    quiet: Quiet,
    calls: Semaphore,
    /// One member at a time: the next has to know of it.
    registering: Mutex<()>,
}

impl Service {
    pub(super) fn new(desk: Desk, cluster: Cluster, credentials: Credentials) -> Self {
        Self {
            desk,
            cluster,
            credentials,
            attempts: Attempts::default(),
            quiet: Quiet::default(),
            calls: Semaphore::new(MOST_CALLS),
            registering: Mutex::new(()),
        }
    }

    /// A place for a call from this address, if it may have one.
    fn admit(&self, from: &Caller) -> Result<SemaphorePermit<'_>, Status> {
        if !self.attempts.may_try(from.ip, Clock.now()) {
            return Err(Status::resource_exhausted("too many failed attempts; wait a minute"));
        }
        self.calls.try_acquire().map_err(|_| Status::resource_exhausted("the issuer is busy"))
    }

    /// Does what has to wait for the disk.
    async fn at_the_desk<T: Send + 'static>(
        &self,
        from: &Caller,
        job: impl FnOnce(&Desk, &str) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Status> {
        let (desk, remote) = (self.desk.clone(), Arc::clone(&from.remote));
        let done = spawn_blocking(move || job(&desk, &remote)).await;
        let done = done.map_err(|_| Status::internal("the issuer failed"))?;
        done.map_err(|refusal| self.refuse(from, refusal))
    }

    fn refuse(&self, from: &Caller, refusal: Refusal) -> Status {
        let status = match refusal {
            Refusal::Denied(text) => {
                self.attempts.failed(from.ip, Clock.now());
                Status::permission_denied(text)
            }
            Refusal::Request(text) => Status::invalid_argument(text),
            Refusal::Broken(error) => {
                tracing::error!(%error, "the issuer cannot work with its directory");
                // Paths of this machine are nobody else's business.
                return Status::unavailable("the issuer cannot sign now; its log says why");
            }
        };
        self.quiet.say(|hidden| {
            let (remote, error) = (&*from.remote, status.message());
            tracing::warn!(logger = "audit", "remote-addr" = remote, error, hidden, "refused");
        });
        status
    }
}

/// Where a call comes from.
struct Caller {
    remote: Arc<str>,
    ip: Option<IpAddr>,
}

impl Caller {
    fn of<T>(request: &Request<T>) -> Self {
        let identity = request.extensions().get::<Identity>();
        let remote = identity.map_or_else(|| Arc::from("?"), |found| Arc::clone(&found.remote));
        let ip = remote.parse::<SocketAddr>().ok().map(|address| address.ip().to_canonical());
        Self { remote, ip }
    }
}

#[tonic::async_trait]
impl Issuer for Service {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolAnswer>, Status> {
        let from = Caller::of(&request);
        let _place = self.admit(&from)?;
        let request = request.into_inner();
        let signed = self.at_the_desk(&from, move |desk, remote| desk.enrol(&request, remote));
        signed.await.map(Response::new)
    }

    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterAnswer>, Status> {
        let from = Caller::of(&request);
        let _place = self.admit(&from)?;
        let RegisterRequest { credential, peer_urls } = request.into_inner();
        check_urls(&peer_urls)?;
        let record =
            self.at_the_desk(&from, move |desk, _| desk.may_register(credential.as_ref())).await?;
        let _one_at_a_time = self.registering.lock().await;
        let registered = self.cluster.register(&record.name, &peer_urls).await;
        let (member, initial_cluster) = registered.map_err(|not_yet| match not_yet {
            NotYet::Wait(text) => Status::aborted(text),
            NotYet::Never(text) => Status::failed_precondition(text),
        })?;
        // A voter that asks again stays one; the promoter notes that with its next look.
        let id = record.id.clone();
        let note = move |desk: &Desk, _: &str| {
            desk.note(&id, member, Membership::Learner).map_err(Refusal::Broken)
        };
        self.at_the_desk(&from, note).await?;
        tracing::info!(
            logger = "audit",
            name = record.name,
            "member-id" = format!("{member:x}"),
            "peer-urls" = peer_urls.join(","),
            "remote-addr" = &*from.remote,
            "registered a member; it votes once it has caught up"
        );
        Ok(Response::new(RegisterAnswer { initial_cluster, member_id: member }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewAnswer>, Status> {
        let from = Caller::of(&request);
        let _place = self.admit(&from)?;
        let request = request.into_inner();
        let signed = self.at_the_desk(&from, move |desk, remote| desk.renew(&request, remote));
        signed.await.map(Response::new)
    }

    async fn follow(
        &self,
        request: Request<FollowRequest>,
    ) -> Result<Response<FollowAnswer>, Status> {
        let from = Caller::of(&request);
        let _place = self.admit(&from)?;
        let request = request.into_inner();
        let answer = self.at_the_desk(&from, move |desk, _| desk.follow(&request)).await?;
        if answer.trust.is_some() {
            // Whoever is told of another root comes back for it. What is wrong is said there.
            let _ = self.credentials.reload();
        }
        Ok(Response::new(answer))
    }
}

/// Members of a cluster that the issuer serves are reached by TLS only.
pub(super) fn check_urls(urls: &[String]) -> Result<(), Status> {
    let good = |url: &String| Url::parse(url).is_ok_and(|url| url.scheme == Scheme::Https);
    if urls.is_empty() || urls.len() > MOST_URLS || !urls.iter().all(good) {
        let text = format!("1 to {MOST_URLS} peer URLs by https are expected, not {urls:?}");
        return Err(Status::invalid_argument(text));
    }
    Ok(())
}
