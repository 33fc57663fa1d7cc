//! Users and roles, and showing who one is.

use std::sync::Arc;

use tonic::Status;

use super::Shared;
use super::identity::Asker;
use super::kv::settle;
use super::propose::decide;
use crate::api::backend::Backend;
use crate::api::{header, status as wire};
use crate::proto::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse,
    AuthRoleAddRequest, AuthRoleAddResponse, AuthRoleDeleteRequest, AuthRoleDeleteResponse,
    AuthRoleGetRequest, AuthRoleGetResponse, AuthRoleGrantPermissionRequest,
    AuthRoleGrantPermissionResponse, AuthRoleListRequest, AuthRoleListResponse,
    AuthRoleRevokePermissionRequest, AuthRoleRevokePermissionResponse, AuthStatusRequest,
    AuthStatusResponse, AuthUserAddRequest, AuthUserAddResponse, AuthUserChangePasswordRequest,
    AuthUserChangePasswordResponse, AuthUserDeleteRequest, AuthUserDeleteResponse,
    AuthUserGetRequest, AuthUserGetResponse, AuthUserGrantRoleRequest, AuthUserGrantRoleResponse,
    AuthUserListRequest, AuthUserListResponse, AuthUserRevokeRoleRequest,
    AuthUserRevokeRoleResponse, AuthenticateRequest, AuthenticateResponse, ResponseHeader,
};
use crate::proto::internal::Authenticate;
use crate::proto::internal::request::Op;
use crate::state::auth::{Auth, Caller, has_no_password};
use crate::state::membership::LEVEL;
use crate::state::{Demand, Response};
use crate::tokens::{Provider, prefix};

/// Has a change made once every member understands it.
async fn change(
    shared: &Arc<Shared>,
    asker: &Asker,
    op: Op,
) -> Result<Option<ResponseHeader>, Status> {
    if !shared.backend.reader.members().all_understand(LEVEL) {
        return Err(wire::not_capable());
    }
    let (revision, _) = decide(shared, asker, op).await?;
    Ok(header::at(&shared.backend, revision))
}

/// Methods that do nothing but change something.
macro_rules! changes {
    ($($name:ident: $request:ident => $op:ident, $response:ident;)+) => {$(
        pub(super) async fn $name(
            shared: Arc<Shared>,
            asker: Asker,
            request: $request,
        ) -> Result<$response, Status> {
            let header = change(&shared, &asker, Op::$op(request)).await?;
            Ok($response { header })
        }
    )+};
}

changes! {
    enable: AuthEnableRequest => AuthEnable, AuthEnableResponse;
    disable: AuthDisableRequest => AuthDisable, AuthDisableResponse;
    user_delete: AuthUserDeleteRequest => UserDelete, AuthUserDeleteResponse;
    user_grant_role: AuthUserGrantRoleRequest => UserGrantRole, AuthUserGrantRoleResponse;
    user_revoke_role: AuthUserRevokeRoleRequest => UserRevokeRole, AuthUserRevokeRoleResponse;
    role_add: AuthRoleAddRequest => RoleAdd, AuthRoleAddResponse;
    role_delete: AuthRoleDeleteRequest => RoleDelete, AuthRoleDeleteResponse;
    role_grant_permission: AuthRoleGrantPermissionRequest => RoleGrantPermission,
        AuthRoleGrantPermissionResponse;
    role_revoke_permission: AuthRoleRevokePermissionRequest => RoleRevokePermission,
        AuthRoleRevokePermissionResponse;
}

/// The users and roles as they are now, for somebody who may do what it wants with them.
async fn look(
    shared: &Arc<Shared>,
    asker: &Asker,
    demand: Demand<'_>,
) -> Result<Arc<Auth>, Status> {
    settle(&shared.backend, false).await?;
    let auth = shared.backend.reader.auth();
    let admitted = asker.admit(shared, demand).await?;
    admitted.still(&shared.backend)?;
    Ok(auth)
}

/// Has the password of a request hashed for somebody who may set it: others are not worth the work.
async fn hash(
    shared: &Arc<Shared>,
    asker: &Asker,
    password: &mut String,
) -> Result<String, Status> {
    look(shared, asker, Demand::Administer).await?;
    let password = std::mem::take(password);
    shared.backend.passwords.hash(password).await.map_err(wire::of_password)
}

pub(super) async fn user_add(
    shared: Arc<Shared>,
    asker: Asker,
    mut request: AuthUserAddRequest,
) -> Result<AuthUserAddResponse, Status> {
    request.hashed_password = String::new();
    if !request.options.is_some_and(|options| options.no_password) {
        request.hashed_password = hash(&shared, &asker, &mut request.password).await?;
    }
    request.password = String::new();
    let header = change(&shared, &asker, Op::UserAdd(request)).await?;
    Ok(AuthUserAddResponse { header })
}

pub(super) async fn user_change_password(
    shared: Arc<Shared>,
    asker: Asker,
    mut request: AuthUserChangePasswordRequest,
) -> Result<AuthUserChangePasswordResponse, Status> {
    request.hashed_password = String::new();
    // As in etcd, nobody can come with an empty password any more.
    if !request.password.is_empty() {
        request.hashed_password = hash(&shared, &asker, &mut request.password).await?;
    }
    let header = change(&shared, &asker, Op::UserChangePassword(request)).await?;
    Ok(AuthUserChangePasswordResponse { header })
}

pub(super) async fn status(
    shared: Arc<Shared>,
    asker: Asker,
    _: AuthStatusRequest,
) -> Result<AuthStatusResponse, Status> {
    let auth = look(&shared, &asker, Demand::Administer).await?;
    Ok(AuthStatusResponse {
        header: header::now(&shared.backend),
        enabled: auth.is_enabled(),
        auth_revision: auth.revision(),
    })
}

pub(super) async fn user_get(
    shared: Arc<Shared>,
    asker: Asker,
    request: AuthUserGetRequest,
) -> Result<AuthUserGetResponse, Status> {
    let auth = look(&shared, &asker, Demand::SeeUser(&request.name)).await?;
    let user = auth.user(&request.name).ok_or_else(wire::user_not_found)?;
    Ok(AuthUserGetResponse { header: header::now(&shared.backend), roles: user.roles.clone() })
}

pub(super) async fn user_list(
    shared: Arc<Shared>,
    asker: Asker,
    _: AuthUserListRequest,
) -> Result<AuthUserListResponse, Status> {
    let auth = look(&shared, &asker, Demand::Administer).await?;
    let users = auth.users().map(str::to_owned).collect();
    Ok(AuthUserListResponse { header: header::now(&shared.backend), users })
}

pub(super) async fn role_get(
    shared: Arc<Shared>,
    asker: Asker,
    request: AuthRoleGetRequest,
) -> Result<AuthRoleGetResponse, Status> {
    let auth = look(&shared, &asker, Demand::SeeRole(&request.role)).await?;
    let role = auth.role(&request.role).ok_or_else(wire::role_not_found)?;
    let perm = role.key_permission.clone();
    Ok(AuthRoleGetResponse { header: header::now(&shared.backend), perm })
}

pub(super) async fn role_list(
    shared: Arc<Shared>,
    asker: Asker,
    _: AuthRoleListRequest,
) -> Result<AuthRoleListResponse, Status> {
    let auth = look(&shared, &asker, Demand::Administer).await?;
    let roles = auth.roles().map(str::to_owned).collect();
    Ok(AuthRoleListResponse { header: header::now(&shared.backend), roles })
}

/// Gives a token to whoever shows a user's password. If users change while it is looked at, it is
/// looked at again.
pub(super) async fn authenticate(
    shared: Arc<Shared>,
    _: Asker,
    request: AuthenticateRequest,
) -> Result<AuthenticateResponse, Status> {
    let backend = &shared.backend;
    settle(backend, false).await?;
    loop {
        let auth = backend.reader.auth();
        check_password(backend, &auth, &request).await?;
        let (revision, token) = match &backend.provider {
            Provider::Nothing => return Err(wire::auth_failed()),
            Provider::Jwt(keys) => {
                let token = keys.sign(&request.name, auth.revision());
                (backend.reader.revision(), token.map_err(|error| wire::of_signing(&error))?)
            }
            Provider::Simple(_) => issue(&shared, &request.name).await?,
        };
        if backend.reader.auth().revision() == auth.revision() {
            return Ok(AuthenticateResponse { header: header::at(backend, revision), token });
        }
        tracing::info!("revision when password checked became stale; retrying");
    }
}

/// Lets pass who knows the password.
async fn check_password(
    backend: &Backend,
    auth: &Auth,
    request: &AuthenticateRequest,
) -> Result<(), Status> {
    if !auth.is_enabled() {
        return Err(wire::auth_not_enabled());
    }
    let user = auth.user(&request.name);
    if user.is_some_and(has_no_password) {
        return Err(wire::no_password_user());
    }
    let hashed = user.map(|user| user.password.clone());
    let right = backend.passwords.is(request.password.clone(), hashed).await;
    if right.map_err(wire::of_password)? {
        return Ok(());
    }
    tracing::warn!(user = request.name, "invalid authentication was requested");
    Err(wire::auth_failed())
}

/// Has a token issued that every member knows.
async fn issue(shared: &Arc<Shared>, name: &str) -> Result<(i64, String), Status> {
    let token = prefix().ok_or_else(|| wire::internal(&"there is no randomness"))?;
    let op = Op::Authenticate(Authenticate { name: name.to_owned(), token });
    let proposed = shared.backend.proposer.propose_for(&Caller::Nobody, op).await;
    let outcome = proposed.map_err(wire::of_propose)?;
    match outcome.result.map_err(wire::of_apply)? {
        Response::Authenticate(issued) => Ok((outcome.revision, issued.0)),
        _ => Err(super::propose::mismatch()),
    }
}
