//! The side of whoever asks an issuer.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Uri};
use tonic::{Code, Status};
use tower::service_fn;

use super::known::Known;
use super::records::Role;
use super::token::Token;
use super::{MOST_BYTES, renewal_text, report_text};
use crate::certs::{Facts, Key, Leaf, Purpose, Request};
use crate::proto::enrol::issuer_client::IssuerClient;
use crate::proto::enrol::{
    Credential, EnrolRequest, FollowRequest, RegisterRequest, RenewRequest, Trust as Told,
};
use crate::transport::{TlsError, dial, pinned, sha256};
use crate::types::url::Url;

/// How long a connection and a call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an issuer did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is reached, or it is not the one that is known.
    #[error("no issuer is reached: {0}")]
    Unreachable(String),
    /// It refuses.
    #[error("the issuer refuses: {0}")]
    Refused(String),
    /// It has to be asked again later.
    #[error("not yet: {0}")]
    Later(String),
    /// What it answered is not what was asked for.
    #[error("the issuer's answer cannot be used: {0}")]
    Answer(String),
    /// Here, before anything was asked.
    #[error(transparent)]
    Certs(#[from] crate::certs::CertError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A key and what its certificate is to say.
pub struct Wanted {
    /// The key; it stays here.
    pub key: Key,
    /// Names and purpose; the rest is the issuer's to say.
    pub leaf: Leaf,
}

/// What a machine has to know of the authorities, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The root.
    pub root: String,
    /// Signs servers and clients; empty for a client.
    pub client_authority: String,
    /// Signs members; empty for a client.
    pub peer_authority: String,
    /// What the first took back; empty for a client.
    pub client_revocations: String,
    /// What the second took back; empty for a client.
    pub peer_revocations: String,
    /// Counts the changes of all this.
    pub generation: u64,
}

/// What a token brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// One certificate with that of its issuer for each key, in their order, PEM.
    pub certificates: Vec<String>,
    /// Whom to trust.
    pub trust: Trust,
}

/// Asks an issuer; nobody but the one its pin describes is told anything.
pub struct Asker {
    root: Vec<u8>,
    issuer: IssuerClient<Channel>,
}

impl Asker {
    /// One that dials with its first call; the addresses are tried in their order. Must be called
    /// inside the runtime.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn of(known: &Known) -> Result<Self, AskError> {
        let (tls, issuers) = (pinned(&known.pin())?, Arc::new(known.issuers.clone()));
        let connector = service_fn(move |_: Uri| {
            let (tls, issuers) = (Arc::clone(&tls), Arc::clone(&issuers));
            async move {
                let mut faults = Vec::new();
                for url in issuers.iter() {
                    match tokio::time::timeout(PATIENCE, dial(url, Some(&tls))).await {
                        Ok(Ok(connection)) => return Ok(TokioIo::new(connection)),
                        Ok(Err(error)) => faults.push(explain(url, &error.to_string())),
                        Err(_) => faults.push(format!("{url} does not answer")),
                    }
                }
                Err(std::io::Error::other(faults.join("; ")))
            }
        });
        let channel = Channel::builder(Uri::from_static("http://issuer"))
            .timeout(PATIENCE)
            .connect_with_connector_lazy(connector);
        let issuer = IssuerClient::new(channel).max_decoding_message_size(MOST_BYTES);
        Ok(Self { root: known.root.clone(), issuer })
    }

    /// Has keys certified by a token: a server's and a member's for a member, one for a client.
    ///
    /// # Errors
    /// If the issuer is not reached or refuses, or its answer does not fit the keys or the pin.
    pub async fn enrol(&mut self, token: &Token, wanted: &[Wanted]) -> Result<Enrolled, AskError> {
        let mut request =
            EnrolRequest { credential: Some(credential(token)), ..EnrolRequest::default() };
        for Wanted { key, leaf } in wanted {
            *match leaf.purpose {
                Purpose::Server => &mut request.server,
                Purpose::Peer => &mut request.peer,
                Purpose::Client => &mut request.client,
            } = Request::make(leaf, key)?;
        }
        let answer = self.issuer.enrol(request).await.map_err(|status| judge(&status))?;
        let answer = answer.into_inner();
        let trust = self.trust(answer.trust.clone(), token.role)?;
        let mut certificates = Vec::new();
        for Wanted { key, leaf } in wanted {
            let certificate = match leaf.purpose {
                Purpose::Server => &answer.server,
                Purpose::Peer => &answer.peer,
                Purpose::Client => &answer.client,
            };
            check_key(certificate, key)?;
            certificates.push(certificate.clone());
        }
        Ok(Enrolled { certificates, trust })
    }

    fn trust(&self, told: Option<Told>, role: Role) -> Result<Trust, AskError> {
        let fault = |text: &str| AskError::Answer(text.to_owned());
        let told = told.ok_or_else(|| fault("it names no authority"))?;
        let roots = Facts::from_pem("the root", &told.root)?;
        // While authorities are replaced there are two, and the one that is known may be either.
        if !roots.iter().any(|facts| sha256(&facts.spki) == self.root) {
            return Err(fault("its root is another than is known here"));
        }
        read_trust(told, role == Role::Member)
    }

    /// Reports that a member goes by a generation of trust, and tells whom to trust if there is
    /// another. `shown` are its certificates in DER, the first with the key that signs the report;
    /// without any, nothing is reported.
    ///
    /// # Errors
    /// As [`Self::enrol`].
    pub async fn follow(
        &mut self,
        (member, generation): (u64, u64),
        shown: &[Vec<u8>],
        key: Option<&Key>,
    ) -> Result<Option<Trust>, AskError> {
        let parts: Vec<&[u8]> = shown.iter().map(Vec::as_slice).collect();
        let text = report_text(member, generation, &parts);
        let signature = key.map(|key| key.sign(&text)).transpose()?.unwrap_or_default();
        let request = FollowRequest {
            generation,
            member_id: member,
            certificates: shown.iter().cloned().map(Into::into).collect(),
            signature: signature.into(),
        };
        let answer = self.issuer.follow(request).await.map_err(|status| judge(&status))?;
        // Who answers has shown the root that is known; from the next one on that may be another.
        answer.into_inner().trust.map(|told| read_trust(told, true)).transpose()
    }

    /// Becomes a learner at these peer URLs; tells the cluster as `--initial-cluster` names it.
    ///
    /// # Errors
    /// [`AskError::Later`] while somebody else is joining; else as [`Self::enrol`].
    pub async fn register(&mut self, token: &Token, peers: &[Url]) -> Result<String, AskError> {
        let peer_urls = peers.iter().map(ToString::to_string).collect();
        let request = RegisterRequest { credential: Some(credential(token)), peer_urls };
        let answer = self.issuer.register(request).await.map_err(|status| judge(&status))?;
        Ok(answer.into_inner().initial_cluster)
    }

    /// Has a new key certified as the certificate in PEM that there is, whose key is `old`.
    ///
    /// # Errors
    /// As [`Self::enrol`].
    pub async fn renew(&mut self, pem: &str, old: &Key, new: &Key) -> Result<String, AskError> {
        let facts = Facts::from_pem("the certificate", pem)?;
        let fault = |text: &str| AskError::Answer(text.to_owned());
        let facts = facts.first().ok_or_else(|| fault("there is no certificate to renew"))?;
        let purpose = match (facts.serves, facts.connects) {
            (true, true) => Purpose::Peer,
            (true, false) => Purpose::Server,
            _ => Purpose::Client,
        };
        let (common_name, hosts) = (facts.common_name.clone(), facts.hosts.clone());
        // Its dates are the issuer's to say, and so is everything else: only the key counts.
        let validity =
            crate::certs::Validity { from: Duration::ZERO, until: Duration::from_secs(1) };
        let request = Request::make(&Leaf { common_name, hosts, purpose, validity }, new)?;
        let signature = old.sign(&renewal_text(&facts.der, &request))?;
        let (certificate, signature) = (facts.der.clone().into(), signature.into());
        let request = RenewRequest { certificate, request, signature };
        let answer = self.issuer.renew(request).await.map_err(|status| judge(&status))?;
        let certificate = answer.into_inner().certificate;
        check_key(&certificate, new)?;
        Ok(certificate)
    }
}

/// What an issuer told, if it can be used.
pub(super) fn read_trust(told: Told, of_member: bool) -> Result<Trust, AskError> {
    Facts::from_pem("the root", &told.root)?;
    if of_member {
        Facts::from_pem("the authority of clients", &told.client_authority)?;
        Facts::from_pem("the authority of members", &told.peer_authority)?;
    }
    let Told { root, client_authority, peer_authority, .. } = told;
    let Told { client_revocations, peer_revocations, generation, .. } = told;
    Ok(Trust {
        root,
        client_authority,
        peer_authority,
        client_revocations,
        peer_revocations,
        generation,
    })
}

fn credential(token: &Token) -> Credential {
    Credential { id: token.id.clone(), secret: token.secret.to_vec().into() }
}

fn check_key(certificate: &str, key: &Key) -> Result<(), AskError> {
    let facts = Facts::from_pem("the new certificate", certificate)?;
    match facts.first() {
        Some(facts) if facts.public_key == key.public() => Ok(()),
        _ => Err(AskError::Answer("the certificate is for another key".to_owned())),
    }
}

fn explain(url: &Url, fault: &str) -> String {
    if fault.contains("UnknownIssuer") || fault.contains("NotValidForName") {
        return format!(
            "{url} is not the issuer that is known here: what it shows does not lead to the pinned \
             root ({fault}); nothing was told to it"
        );
    }
    format!("{url}: {fault}")
}

fn judge(status: &Status) -> AskError {
    let said = status.message().to_owned();
    match status.code() {
        Code::Aborted => AskError::Later(said),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            // What the connection says is one or two causes deeper.
            let mut causes = vec![said];
            let mut cause = std::error::Error::source(status);
            while let Some(found) = cause {
                causes.push(found.to_string());
                cause = found.source();
            }
            causes.dedup();
            AskError::Unreachable(causes.last().cloned().unwrap_or_default())
        }
        _ => AskError::Refused(said),
    }
}

impl Known {
    /// What a token says of the issuer.
    pub fn of(token: &Token) -> Self {
        Self { issuers: token.issuers.clone(), root: token.root.clone(), generation: 0 }
    }

    /// The address this machine has towards the issuer, which is how others reach it in the same
    /// network. Nothing is sent.
    pub fn own_address(&self) -> Option<IpAddr> {
        self.issuers.iter().find_map(|url| {
            let any: SocketAddr = if url.host().contains(':') {
                (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
            } else {
                (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
            };
            let socket = UdpSocket::bind(any).ok()?;
            socket.connect(&url.authority).ok()?;
            Some(socket.local_addr().ok()?.ip())
        })
    }
}
