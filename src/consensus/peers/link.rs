//! The ways to the other members: one connection each, made when first needed, made anew when it
//! breaks, always to the addresses and with the certificates of that moment.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Uri};
use tonic::{Request, Status};
use tower::service_fn;

use super::counted::Counted;
use super::guard;
use super::metrics::{PeerMetrics, Presence, Traffic};
use crate::consensus::types::{Membership, Peer};
use crate::transport::{Connection, Credentials, dial_with};
use crate::types::ids::{ClusterId, MemberId};
use crate::types::url::Url;

/// Bytes a member may send ahead on one connection: enough for a fast network far away, little enough
/// that a heartbeat behind it is not late.
const CONNECTION_WINDOW: u32 = 4 << 20;
const STREAM_WINDOW: u32 = 1 << 20;

/// What calls to another member go through.
pub type PeerChannel = InterceptedService<Channel, Introduction>;

/// Who we are, and how we reach others.
#[derive(Clone)]
pub struct PeerIdentity {
    /// The cluster; every call says it, and members of another refuse it.
    pub cluster: ClusterId,
    /// This member.
    pub member: MemberId,
    /// Certificates for `https` addresses.
    pub credentials: Option<Credentials>,
    /// Longest time to make a connection, and to answer a ping on it.
    pub patience: Duration,
    /// The way to the others where there are no sockets.
    #[cfg(test)]
    pub(crate) road: Option<crate::consensus::simulation::Road>,
}

impl PeerIdentity {
    /// A member of a cluster, with certificates for `https` addresses if it has some. `patience` is the
    /// longest time to make a connection, and to answer a ping on it.
    pub fn new(
        cluster: ClusterId,
        member: MemberId,
        credentials: Option<Credentials>,
        patience: Duration,
    ) -> Self {
        Self {
            cluster,
            member,
            credentials,
            patience,
            #[cfg(test)]
            road: None,
        }
    }
}

/// The ways to all other members. Clones share them.
#[derive(Clone)]
pub(crate) struct Links {
    inner: Arc<Inner>,
}

struct Inner {
    identity: PeerIdentity,
    metrics: PeerMetrics,
    links: Mutex<HashMap<u64, Link>>,
}

/// The way to one member.
struct Link {
    urls: Vec<String>,
    presence: Presence,
    channel: PeerChannel,
    /// A connection of its own for what is large and in no hurry.
    bulk: PeerChannel,
}

impl Links {
    /// No ways yet.
    pub(crate) fn new(identity: PeerIdentity, metrics: PeerMetrics) -> Self {
        Self { inner: Arc::new(Inner { identity, metrics, links: Mutex::default() }) }
    }

    /// Who we are.
    pub(crate) fn identity(&self) -> &PeerIdentity {
        &self.inner.identity
    }

    /// Where what goes over them is counted.
    pub(super) fn metrics(&self) -> &PeerMetrics {
        &self.inner.metrics
    }

    /// Takes the addresses of a new membership; the ways to members that left are closed once nobody
    /// uses them any more.
    pub(crate) fn learn(&self, membership: &Membership) {
        let mut links = self.inner.links.lock();
        links.retain(|id, _| membership.get_node(id).is_some());
        for (id, peer) in membership.nodes() {
            self.set(&mut links, *id, peer);
        }
    }

    /// Takes the addresses of one member.
    pub(crate) fn add(&self, id: u64, peer: &Peer) {
        self.set(&mut self.inner.links.lock(), id, peer);
    }

    fn set(&self, links: &mut HashMap<u64, Link>, id: u64, peer: &Peer) {
        let known = links.get(&id).is_some_and(|link| link.urls == peer.peer_urls);
        if !known && id != self.inner.identity.member.0 {
            links.insert(id, self.link(id, peer));
        }
    }

    fn link(&self, id: u64, peer: &Peer) -> Link {
        let place = Arc::new(Place::new(&self.inner, id, peer));
        let introduction = Introduction::new(&self.inner.identity, id);
        let channel = || {
            let channel = place.channel(self.inner.identity.patience);
            InterceptedService::new(channel, introduction.clone())
        };
        let presence = place.presence.clone();
        Link { urls: peer.peer_urls.clone(), presence, channel: channel(), bulk: channel() }
    }

    /// The way to a member, if its addresses are known.
    pub(crate) fn to(&self, id: u64) -> Option<PeerChannel> {
        self.inner.links.lock().get(&id).map(|link| link.channel.clone())
    }

    /// The ways to all of them.
    pub(super) fn all(&self) -> Vec<(MemberId, PeerChannel)> {
        let links = self.inner.links.lock();
        links.iter().map(|(id, link)| (MemberId(*id), link.channel.clone())).collect()
    }

    /// The members there is a connection to.
    pub(crate) fn connected(&self) -> Vec<MemberId> {
        let links = self.inner.links.lock();
        let connected = links.iter().filter(|(_, link)| link.presence.is_connected());
        connected.map(|(id, _)| MemberId(*id)).collect()
    }

    /// As [`Self::to`], for what is large.
    pub(crate) fn bulk(&self, id: u64) -> Option<PeerChannel> {
        self.inner.links.lock().get(&id).map(|link| link.bulk.clone())
    }
}

/// Where a member is reached.
struct Place {
    urls: Vec<Url>,
    /// The address that answered last.
    current: AtomicUsize,
    credentials: Option<Credentials>,
    patience: Duration,
    presence: Presence,
    traffic: Traffic,
    #[cfg(test)]
    road: Option<crate::consensus::simulation::Road>,
}

impl Place {
    fn new(inner: &Inner, id: u64, peer: &Peer) -> Self {
        let (identity, id) = (&inner.identity, MemberId(id));
        // Addresses are checked before they become part of a membership.
        let urls = peer.peer_urls.iter().filter_map(|url| Url::parse(url).ok()).collect();
        Self {
            urls,
            current: AtomicUsize::new(0),
            credentials: identity.credentials.clone(),
            patience: identity.patience,
            presence: inner.metrics.presence(identity.member, id),
            traffic: inner.metrics.traffic(id),
            #[cfg(test)]
            road: identity.road.clone(),
        }
    }

    /// A channel that connects at its first call and again after every loss.
    fn channel(self: &Arc<Self>, patience: Duration) -> Channel {
        let place = Arc::clone(self);
        let connector = service_fn(move |_: Uri| {
            let place = Arc::clone(&place);
            async move { place.connect().await.map(TokioIo::new) }
        });
        // A peer that vanished without a word is noticed by its silence.
        Channel::builder(Uri::from_static("http://peer"))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(patience)
            .keep_alive_timeout(patience)
            .keep_alive_while_idle(true)
            .connect_with_connector_lazy(connector)
    }

    async fn connect(&self) -> io::Result<Counted> {
        let first = self.current.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for offset in 0..self.urls.len() {
            let at = (first + offset) % self.urls.len();
            let Some(url) = self.urls.get(at) else { continue };
            match self.dial(url).await {
                Ok(connection) => {
                    self.current.store(at, Ordering::Relaxed);
                    let connected = self.presence.connected();
                    return Ok(Counted::new(connection, self.traffic.clone(), connected));
                }
                Err(failure) => failures.push(failure),
            }
        }
        Err(io::Error::other(failures.join("; ")))
    }

    async fn dial(&self, url: &Url) -> Result<Connection, String> {
        #[cfg(test)]
        if let Some(road) = &self.road {
            return road.dial(url, self.patience).await;
        }
        let dialled = dial_with(url, self.credentials.as_ref());
        match tokio::time::timeout(self.patience, dialled).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(format!("dial {}: no connection within {:?}", url, self.patience)),
        }
    }
}

/// Says in every call who asks whom.
#[derive(Clone)]
pub struct Introduction {
    cluster: MetadataValue<Ascii>,
    from: MetadataValue<Ascii>,
    to: MetadataValue<Ascii>,
}

impl Introduction {
    fn new(identity: &PeerIdentity, to: u64) -> Self {
        // Hexadecimal digits are always valid there.
        let hex =
            |id: u64| format!("{id:x}").parse().unwrap_or_else(|_| MetadataValue::from_static("0"));
        Self { cluster: hex(identity.cluster.0), from: hex(identity.member.0), to: hex(to) }
    }
}

impl Interceptor for Introduction {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert(guard::CLUSTER, self.cluster.clone());
        metadata.insert(guard::FROM, self.from.clone());
        metadata.insert(guard::TO, self.to.clone());
        metadata.insert(guard::PROTOCOL, MetadataValue::from_static(guard::VERSION));
        Ok(request)
    }
}
