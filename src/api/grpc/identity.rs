//! Who makes a call, and whether it may.
//!
//! A token counts first, then the certificate where the server demands one; as in etcd, which looks at
//! either only while auth is enabled.

use std::sync::{Arc, OnceLock};

use http::HeaderMap;
use http::header::HeaderValue;
use tokio::time::timeout;
use tonic::Status;

use super::Shared;
use crate::api::backend::Backend;
use crate::api::status;
use crate::state::Demand;
use crate::state::auth::Caller;
use crate::tokens::Whose;
use crate::transport::{Identity, PeerCertificate};

/// The name of the user that a call was made as, once that is known.
pub(super) type ActedAs = Arc<OnceLock<Arc<str>>>;

/// What a call shows of who makes it.
#[derive(Clone, Default)]
pub(super) struct Asker {
    token: Option<HeaderValue>,
    certificate: Option<Arc<PeerCertificate>>,
    /// Where to tell the name, if anybody wants to know.
    acted: Option<ActedAs>,
}

impl Asker {
    pub(super) fn of(
        headers: &HeaderMap,
        identity: Option<&Identity>,
        acted: Option<ActedAs>,
    ) -> Self {
        let token = headers.get("token").or_else(|| headers.get("authorization")).cloned();
        // What a gateway shows is its own certificate.
        let direct = !headers.contains_key("grpcgateway-accept");
        let certificate =
            identity.filter(|_| direct).and_then(|identity| identity.certificate.clone());
        Self { token, certificate, acted }
    }

    /// Who it is, as far as that can be told now; what it shows is a token of an entry that has not
    /// been applied here, if there is one.
    fn caller(&self, backend: &Backend) -> Result<Caller, Unknown> {
        if !backend.reader.is_auth_enabled() {
            return Ok(Caller::Nobody);
        }
        let caller = match (&self.token, &self.certificate) {
            (Some(token), _) => {
                let token = token.to_str().map_err(|_| Unknown::Invalid)?;
                match backend.provider.whose(token) {
                    Whose::User { name, revision } => {
                        let revision = revision.unwrap_or_else(|| backend.reader.auth().revision());
                        Caller::User { name, revision }
                    }
                    Whose::Issued(index) if index > backend.reader.applied_index() => {
                        return Err(Unknown::Until(index));
                    }
                    Whose::Issued(_) | Whose::Nobodys => return Err(Unknown::Invalid),
                }
            }
            (None, Some(certificate)) if backend.certificates_name_users => Caller::User {
                name: certificate.user().into(),
                revision: backend.reader.auth().revision(),
            },
            (None, _) => Caller::Nobody,
        };
        if let (Some(acted), Some(name)) = (&self.acted, caller.name()) {
            let _ = acted.set(Arc::clone(name));
        }
        Ok(caller)
    }

    /// Who it is, if that needs no waiting.
    pub(super) fn at_once(&self, backend: &Backend) -> Option<Result<Caller, Status>> {
        match self.caller(backend) {
            Ok(caller) => Some(Ok(caller)),
            Err(Unknown::Invalid) => Some(Err(invalid())),
            Err(Unknown::Until(_)) => None,
        }
    }

    /// Who it is. A token that another member has issued is waited for.
    ///
    /// # Errors
    /// The token is nobody's.
    pub(super) async fn resolve(&self, backend: &Backend) -> Result<Caller, Status> {
        match self.caller(backend) {
            Ok(caller) => Ok(caller),
            Err(Unknown::Invalid) => Err(invalid()),
            Err(Unknown::Until(index)) => {
                let patience = backend.limits.request_timeout();
                // Whatever came of it, the token is looked for once more.
                let _ = timeout(patience, backend.node.applied(index)).await;
                self.caller(backend).map_err(|_| invalid())
            }
        }
    }

    /// Lets the call read what it asks for.
    ///
    /// # Errors
    /// It may not.
    pub(super) async fn admit(
        &self,
        shared: &Shared,
        demand: Demand<'_>,
    ) -> Result<Admitted, Status> {
        let backend = &shared.backend;
        if !backend.reader.is_auth_enabled() {
            return Ok(Admitted(None));
        }
        let caller = self.resolve(backend).await?;
        backend.reader.authorize(&caller, demand).map_err(status::of_apply)?;
        Ok(Admitted(caller.revision()))
    }
}

/// Why it is not known who asks.
enum Unknown {
    /// What was shown is no token, or one that holds no more.
    Invalid,
    /// The token would have been issued by this entry, which has not been applied here.
    Until(u64),
}

fn invalid() -> Status {
    // Whoever likes can have this said as often as it likes.
    tracing::debug!("invalid auth token");
    status::invalid_auth_token()
}

/// Somebody who was allowed to read, by the users and roles of that moment.
#[must_use]
pub(super) struct Admitted(Option<u64>);

impl Admitted {
    /// Whether that still holds once it was read.
    ///
    /// # Errors
    /// Users or roles have changed meanwhile.
    pub(super) fn still(&self, backend: &Backend) -> Result<(), Status> {
        match self.0 {
            Some(revision) if backend.reader.auth().revision() != revision => {
                Err(status::auth_old_revision())
            }
            _ => Ok(()),
        }
    }
}
