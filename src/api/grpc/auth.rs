//! Users and roles: switched off, and not to be switched on yet.

use std::sync::Arc;

use tonic::Status;

use super::Shared;
use crate::api::{header, status as wire};
use crate::proto::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse,
    AuthStatusRequest, AuthStatusResponse, AuthenticateRequest, AuthenticateResponse,
};

/// The revision of the users and roles of a store that never had any.
const FIRST_REVISION: u64 = 1;

pub(super) async fn status(
    shared: Arc<Shared>,
    _: AuthStatusRequest,
) -> Result<AuthStatusResponse, Status> {
    let header = header::now(&shared.backend);
    Ok(AuthStatusResponse { header, enabled: false, auth_revision: FIRST_REVISION })
}

/// Disabling what is disabled succeeds, as in etcd.
pub(super) async fn disable(
    shared: Arc<Shared>,
    _: AuthDisableRequest,
) -> Result<AuthDisableResponse, Status> {
    Ok(AuthDisableResponse { header: header::now(&shared.backend) })
}

/// Clients with a password take this answer for leave to go on without.
pub(super) async fn authenticate(
    _: Arc<Shared>,
    _: AuthenticateRequest,
) -> Result<AuthenticateResponse, Status> {
    Err(wire::auth_not_enabled())
}

/// Every other method of the service. The messages do not matter: none is looked at.
pub(super) async fn not_offered(
    _: Arc<Shared>,
    _: AuthEnableRequest,
) -> Result<AuthEnableResponse, Status> {
    Err(wire::not_offered("managing users and roles", "clients are told apart by certificates"))
}
