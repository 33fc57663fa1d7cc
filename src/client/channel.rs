//! The connection behind all stubs.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::codegen::InterceptedService;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Uri};
use tonic::{Request, Status};
use tower::service_fn;

use super::dialer::{Dialer, Failed};
use super::{ClientError, Endpoint};
use crate::config::Tls;
use crate::proto::etcdserverpb::AuthenticateRequest;
use crate::proto::etcdserverpb::auth_client::AuthClient;
use crate::proto::etcdserverpb::cluster_client::ClusterClient;
use crate::proto::etcdserverpb::kv_client::KvClient;
use crate::proto::etcdserverpb::lease_client::LeaseClient;
use crate::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use crate::proto::etcdserverpb::watch_client::WatchClient;
use crate::proto::health::health_client::HealthClient;
use crate::proto::members::members_client::MembersClient;
use crate::transport::{Connection, TlsError};

/// Bytes a server may send ahead, per stream and per connection: ranges and watches come in bulk.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;
/// How often, and after which pause, a key is looked at again that does not belong to its certificate.
const MORE_LOOKS: usize = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// How to reach a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses as users write them: `host:port` or a URL.
    pub endpoints: Vec<String>,
    /// Files for TLS: own certificate (`cert_file`, `key_file`) and whom to trust
    /// (`trusted_ca_file`). Giving it makes addresses without a scheme encrypted.
    pub tls: Option<Tls>,
    /// Encrypt without verifying the server.
    pub insecure_skip_verify: bool,
    /// The name servers must have a certificate for, if it is not the one in their address.
    pub server_name: Option<String>,
    /// Time to connect to one endpoint; zero is no limit.
    pub dial_timeout: Duration,
    /// Ping a silent connection after this time; zero is never.
    pub keepalive_time: Duration,
    /// Time to answer the ping.
    pub keepalive_timeout: Duration,
    /// Name and password that [`Client::connect`] authenticates with.
    pub user: Option<(String, String)>,
    /// A token to send with every call, of whoever has one already.
    pub token: Option<MetadataValue<Ascii>>,
    /// Largest answer taken. A range is as large as the caller asked for, so there is hardly a limit
    /// unless one is wanted.
    pub max_answer_bytes: usize,
    /// Ask for answers only from members that know a leader.
    pub require_leader: bool,
    /// Let calls wait until an endpoint answers instead of failing at once.
    pub wait_for_ready: bool,
}

impl Options {
    /// The limit of etcd's client.
    pub const MAX_ANSWER_BYTES: usize = i32::MAX as usize;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            endpoints: vec!["127.0.0.1:2379".to_owned()],
            tls: None,
            insecure_skip_verify: false,
            server_name: None,
            dial_timeout: Duration::from_secs(2),
            keepalive_time: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(6),
            user: None,
            token: None,
            max_answer_bytes: Self::MAX_ANSWER_BYTES,
            require_leader: false,
            wait_for_ready: false,
        }
    }
}

/// What the stubs send through.
pub type Transport = InterceptedService<Channel, Metadata>;

/// Adds the metadata of every call.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    token: Option<MetadataValue<Ascii>>,
    require_leader: bool,
}

impl Interceptor for Metadata {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        if self.require_leader {
            metadata.insert("hasleader", MetadataValue::from_static("true"));
        }
        if let Some(token) = &self.token {
            metadata.insert("token", token.clone());
        }
        Ok(request)
    }
}

/// A client of one cluster; clones share the connection.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    metadata: Metadata,
    dialer: Arc<Dialer>,
    /// When a silent connection is pinged, and how long it may take to answer.
    keepalive: (Duration, Duration),
    max_answer_bytes: usize,
}

/// A connection that is made at its first use, and made anew when it breaks.
fn channel(dialer: &Arc<Dialer>, (silence, answer): (Duration, Duration)) -> Channel {
    let mut builder = Channel::builder(Uri::from_static("http://etcd"))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    if !silence.is_zero() {
        builder = builder.http2_keep_alive_interval(silence).keep_alive_timeout(answer);
    }
    let dialer = Arc::clone(dialer);
    builder.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let dialer = Arc::clone(&dialer);
        async move { dialer.connect().await.map(TokioIo::new) }
    }))
}

fn tell(failed: &[Failed]) -> String {
    failed.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Client {
    /// Connects to the first endpoint that answers.
    ///
    /// # Errors
    /// If the options cannot be used, or no endpoint answers within the dial timeout.
    pub async fn connect(options: &Options) -> Result<Self, ClientError> {
        let user = options.user.clone();
        let mut client = Self::settled(options).await?;
        // Proves that somebody is there; the channel itself dials at the first call.
        client.dialer.one_round().await.map_err(|failed| ClientError::Dial(tell(&failed)))?;
        if let Some((name, password)) = user {
            client.authenticate(&name, &password).await?;
        }
        Ok(client)
    }

    /// As [`Self::lazy`]. A key and its certificate are two files, which nobody replaces in one step:
    /// when they do not belong together, they may do so in a moment.
    async fn settled(options: &Options) -> Result<Self, ClientError> {
        for _ in 0..MORE_LOOKS {
            match Self::lazy(options) {
                Err(ClientError::Tls(TlsError::KeyMismatch { .. })) => {
                    tokio::time::sleep(PAUSE).await;
                }
                made => return made,
            }
        }
        Self::lazy(options)
    }

    /// A client that dials at its first call. Must be called inside the runtime.
    ///
    /// # Errors
    /// If the options cannot be used: no endpoints, unreadable TLS files.
    pub fn lazy(options: &Options) -> Result<Self, ClientError> {
        let dialer = Arc::new(Dialer::new(options)?);
        let token = options.token.clone();
        let metadata = Metadata { token, require_leader: options.require_leader };
        let keepalive = (options.keepalive_time, options.keepalive_timeout);
        let max_answer_bytes = options.max_answer_bytes;
        let channel = channel(&dialer, keepalive);
        Ok(Self { channel, metadata, dialer, keepalive, max_answer_bytes })
    }

    /// Fetches a token for this user and sends it with every later call.
    ///
    /// # Errors
    /// If the server refuses or cannot be reached.
    pub async fn authenticate(&mut self, name: &str, password: &str) -> Result<(), ClientError> {
        let request = AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
        let answer = AuthClient::new(self.transport()).authenticate(request).await;
        let answer = answer.map_err(|status| ClientError::Authenticate(Box::new(status)))?;
        let token = answer.into_inner().token.parse().map_err(|_| {
            let status = Status::internal("the server sent a token that is not ASCII");
            ClientError::Authenticate(Box::new(status))
        })?;
        self.metadata.token = Some(token);
        Ok(())
    }

    /// The same connection for calls that only a member with a leader may answer.
    #[must_use]
    pub fn requiring_leader(mut self) -> Self {
        self.metadata.require_leader = true;
        self
    }

    /// This client with the token another one fetched.
    #[must_use]
    pub fn with_token_of(mut self, other: &Self) -> Self {
        self.metadata.token.clone_from(&other.metadata.token);
        self
    }

    fn transport(&self) -> Transport {
        InterceptedService::new(self.channel.clone(), self.metadata.clone())
    }

    /// The endpoints, in the order they were given.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.dialer.endpoints
    }

    /// The same on a connection of its own that begins with another endpoint, for whoever is not
    /// served where this one leads.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        self.dialer.move_on();
        Self { channel: channel(&self.dialer, self.keepalive), ..self.clone() }
    }

    /// Whether servers are shown a certificate.
    pub fn shows_certificate(&self) -> bool {
        self.dialer.shows_certificate
    }

    /// A connection of its own, for what is no gRPC.
    ///
    /// # Errors
    /// Why no endpoint answers.
    pub async fn connection(&self) -> Result<Connection, String> {
        self.dialer.one_round().await.map_err(|failed| tell(&failed))
    }

    /// Why the last attempt to connect failed; none if none did.
    pub fn last_dial_error(&self) -> Option<String> {
        let failed = self.dialer.failed();
        (!failed.is_empty()).then(|| tell(&failed))
    }

    /// The endpoints that could not be connected to when none could, with the reasons.
    pub fn unreached(&self) -> Vec<Failed> {
        self.dialer.failed()
    }

    /// Keys.
    pub fn kv(&self) -> KvClient<Transport> {
        KvClient::new(self.transport()).max_decoding_message_size(self.max_answer_bytes)
    }

    /// Watches.
    pub fn watch(&self) -> WatchClient<Transport> {
        WatchClient::new(self.transport()).max_decoding_message_size(self.max_answer_bytes)
    }

    /// Leases.
    pub fn lease(&self) -> LeaseClient<Transport> {
        LeaseClient::new(self.transport()).max_decoding_message_size(self.max_answer_bytes)
    }

    /// Members.
    pub fn cluster(&self) -> ClusterClient<Transport> {
        ClusterClient::new(self.transport()).max_decoding_message_size(self.max_answer_bytes)
    }

    /// Members, beside etcd's API.
    pub fn members(&self) -> MembersClient<Transport> {
        MembersClient::new(self.transport()).max_decoding_message_size(self.max_answer_bytes)
    }

    /// Status, alarms and upkeep.
    pub fn maintenance(&self) -> MaintenanceClient<Transport> {
        MaintenanceClient::new(self.transport()).max_decoding_message_size(self.max_answer_bytes)
    }

    /// Users and roles.
    pub fn auth(&self) -> AuthClient<Transport> {
        AuthClient::new(self.transport()).max_decoding_message_size(self.max_answer_bytes)
    }

    /// The standard health service.
    pub fn health(&self) -> HealthClient<Transport> {
        HealthClient::new(self.transport())
    }
}
