//! Who had the cluster changed, or took all of it away: a line for every such call, whatever came of it.

use tonic::Code;

use super::identity::ActedAs;
use crate::api::method::Method;
use crate::api::status;
use crate::transport::Identity;

/// A call that is told of when it ends.
pub(super) struct Audited {
    method: Method,
    caller: Option<Identity>,
    user: ActedAs,
}

impl Audited {
    /// This call by that caller, if calls of its kind are told of.
    pub(super) fn of(method: Method, caller: Option<&Identity>) -> Option<Self> {
        method.is_administrative().then(|| Self {
            method,
            caller: caller.cloned(),
            user: ActedAs::default(),
        })
    }

    /// Where to tell the name of the user it was made as.
    pub(super) fn user(&self) -> ActedAs {
        ActedAs::clone(&self.user)
    }

    /// Tells how it ended.
    pub(super) fn tell(&self, code: Code) {
        let certificate = self.caller.as_ref().and_then(|caller| caller.certificate.as_deref());
        tracing::info!(
            logger = "audit",
            method = self.method.name(),
            code = status::code_label(code),
            user = self.user.get().map_or("", |name| name),
            "common-name" = certificate.map_or("", |shown| &shown.common_name),
            uris = certificate.map(|shown| shown.uris.join(",")).unwrap_or_default(),
            serial = certificate.map_or("", |shown| &shown.serial),
            "remote-addr" = self.caller.as_ref().map_or("", |caller| &caller.remote),
            "administrative call"
        );
    }
}
