//! Questions with and without tokens, short to say and asked of any server.

use std::collections::HashMap;

use etcd::proto::authpb::permission::Type;
use etcd::proto::authpb::{Permission, UserAddOptions};
use etcd::proto::etcdserverpb::auth_client::AuthClient;
use etcd::proto::etcdserverpb::cluster_client::ClusterClient;
use etcd::proto::etcdserverpb::kv_client::KvClient;
use etcd::proto::etcdserverpb::lease_client::LeaseClient;
use etcd::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use etcd::proto::etcdserverpb::watch_request::RequestUnion;
use etcd::proto::etcdserverpb::{
    AlarmRequest, AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest,
    AuthRoleGetRequest, AuthRoleGrantPermissionRequest, AuthRoleListRequest,
    AuthRoleRevokePermissionRequest, AuthStatusRequest, AuthUserAddRequest,
    AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest, AuthenticateRequest,
    CompactionRequest, DefragmentRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest,
    LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, MemberAddRequest,
    MemberListRequest, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest, PutRequest,
    RangeRequest, StatusRequest, TxnRequest, WatchCreateRequest, WatchRequest,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::support::session::{Session, WatchSession};

/// A question.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Enable,
    Disable,
    AuthStatus,
    /// Name and password; the token is kept under the name.
    Login(&'static str, &'static str),
    UserAdd(&'static str, &'static str),
    UserAddWithout(&'static str),
    UserDelete(&'static str),
    Password(&'static str, &'static str),
    Grant(&'static str, &'static str),
    Revoke(&'static str, &'static str),
    UserGet(&'static str),
    UserList,
    RoleAdd(&'static str),
    RoleDelete(&'static str),
    RoleGet(&'static str),
    RoleList,
    Allow(&'static str, Type, &'static str, &'static str),
    AllowNothing(&'static str),
    Forbid(&'static str, &'static str, &'static str),
    Get(&'static str, &'static str),
    GetLocal(&'static str, &'static str),
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(i64),
    LeaseGrant(i64),
    LeaseRevoke(i64),
    TimeToLive(i64, bool),
    Leases,
    MemberList,
    MemberAdd(&'static str),
    MemberRemove,
    MemberUpdate(&'static str),
    MemberPromote,
    Alarms,
    Status,
    Defragment,
    HashKv,
    Watch(&'static str, &'static str),
}

/// Sends a token with each call.
#[derive(Clone)]
pub(super) struct Shows(Option<MetadataValue<Ascii>>);

impl Shows {
    pub(super) fn token(token: &str) -> Self {
        Self(Some(token.parse().unwrap()))
    }
}

impl Interceptor for Shows {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("token", token.clone());
        }
        Ok(request)
    }
}

/// The tokens of a conversation, by user; `nobody` has none, and one that has never logged in shows its
/// name.
#[derive(Default)]
pub(super) struct Tokens(HashMap<String, String>);

impl Tokens {
    pub(super) fn of(&self, who: &str) -> Shows {
        match self.0.get(who) {
            Some(token) => Shows::token(token),
            None if who == "nobody" => Shows(None),
            None => Shows::token(who),
        }
    }
}

type Shown = InterceptedService<Channel, Shows>;

/// Asks in turn and writes down what was answered.
pub(super) async fn play(session: &mut Session, tokens: &mut Tokens, steps: &[(&str, Ask)]) {
    for (who, ask) in steps {
        session.note(format!("-- {who}"));
        one(session, tokens, who, ask.clone()).await;
    }
}

async fn one(session: &mut Session, tokens: &mut Tokens, who: &str, ask: Ask) {
    let (channel, shows) = (session.channel(), tokens.of(who));
    let shown: Shown = InterceptedService::new(channel.clone(), shows);
    match &ask {
        Ask::Login(name, password) => {
            let request =
                AuthenticateRequest { name: (*name).into(), password: (*password).into() };
            // No token is shown: it would be one of before.
            let answer = AuthClient::new(channel).authenticate(request).await;
            if let Some(answer) = session.keep(&ask, answer) {
                tokens.0.insert((*name).into(), answer.token);
            }
        }
        Ask::Watch(key, end) => {
            let create = WatchCreateRequest {
                key: (*key).into(),
                range_end: (*end).into(),
                ..WatchCreateRequest::default()
            };
            let mut client = etcd::proto::etcdserverpb::watch_client::WatchClient::new(shown);
            let mut watch = WatchSession::begin(|requests| {
                Box::pin(async move { client.watch(requests).await })
            });
            let union = Some(RequestUnion::CreateRequest(create));
            watch.send(WatchRequest { request_union: union }).await;
            let answer = watch.next().await;
            session.note(format!(
                "{ask:?}\n      => {:?} {:?} {:?}",
                answer.watch_id, answer.canceled, answer.cancel_reason
            ));
        }
        _ if is_about_users(&ask) => about_users(session, AuthClient::new(shown), ask).await,
        _ if is_about_keys(&ask) => about_keys(session, KvClient::new(shown), ask).await,
        _ => about_the_rest(session, shown, ask).await,
    }
}

fn is_about_users(ask: &Ask) -> bool {
    use Ask as A;
    matches!(
        ask,
        A::Enable
            | A::Disable
            | A::AuthStatus
            | A::UserAdd(..)
            | A::UserAddWithout(_)
            | A::UserDelete(_)
            | A::Password(..)
            | A::Grant(..)
            | A::Revoke(..)
            | A::UserGet(_)
            | A::UserList
            | A::RoleAdd(_)
            | A::RoleDelete(_)
            | A::RoleGet(_)
            | A::RoleList
            | A::Allow(..)
            | A::AllowNothing(_)
            | A::Forbid(..)
    )
}

fn is_about_keys(ask: &Ask) -> bool {
    use Ask as A;
    matches!(
        ask,
        A::Get(..) | A::GetLocal(..) | A::Put(_) | A::Delete(_) | A::Txn(_) | A::Compact(_)
    )
}

/// Asks and keeps the answer.
macro_rules! keep {
    ($session:ident, $client:ident.$method:ident, $ask:ident, $request:expr) => {{
        let answer = $client.$method($request).await;
        $session.keep(&$ask, answer);
    }};
}

async fn about_users(session: &mut Session, mut auth: AuthClient<Shown>, ask: Ask) {
    match &ask {
        Ask::Enable => keep!(session, auth.auth_enable, ask, AuthEnableRequest {}),
        Ask::Disable => keep!(session, auth.auth_disable, ask, AuthDisableRequest {}),
        Ask::AuthStatus => keep!(session, auth.auth_status, ask, AuthStatusRequest {}),
        Ask::UserAdd(name, password) => {
            let request = AuthUserAddRequest {
                name: (*name).into(),
                password: (*password).into(),
                ..AuthUserAddRequest::default()
            };
            keep!(session, auth.user_add, ask, request);
        }
        Ask::UserAddWithout(name) => {
            let options = Some(UserAddOptions { no_password: true });
            let request = AuthUserAddRequest {
                name: (*name).into(),
                options,
                ..AuthUserAddRequest::default()
            };
            keep!(session, auth.user_add, ask, request);
        }
        Ask::UserDelete(name) => {
            keep!(session, auth.user_delete, ask, AuthUserDeleteRequest { name: (*name).into() });
        }
        Ask::Password(name, password) => {
            let request = AuthUserChangePasswordRequest {
                name: (*name).into(),
                password: (*password).into(),
                ..AuthUserChangePasswordRequest::default()
            };
            keep!(session, auth.user_change_password, ask, request);
        }
        Ask::Grant(user, role) => {
            let request = AuthUserGrantRoleRequest { user: (*user).into(), role: (*role).into() };
            keep!(session, auth.user_grant_role, ask, request);
        }
        Ask::Revoke(user, role) => {
            let request = AuthUserRevokeRoleRequest { name: (*user).into(), role: (*role).into() };
            keep!(session, auth.user_revoke_role, ask, request);
        }
        Ask::UserGet(name) => {
            keep!(session, auth.user_get, ask, AuthUserGetRequest { name: (*name).into() });
        }
        Ask::UserList => keep!(session, auth.user_list, ask, AuthUserListRequest {}),
        _ => about_roles(session, auth, ask).await,
    }
}

async fn about_roles(session: &mut Session, mut auth: AuthClient<Shown>, ask: Ask) {
    match &ask {
        Ask::RoleAdd(name) => {
            keep!(session, auth.role_add, ask, AuthRoleAddRequest { name: (*name).into() });
        }
        Ask::RoleDelete(role) => {
            keep!(session, auth.role_delete, ask, AuthRoleDeleteRequest { role: (*role).into() });
        }
        Ask::RoleGet(role) => {
            keep!(session, auth.role_get, ask, AuthRoleGetRequest { role: (*role).into() });
        }
        Ask::RoleList => keep!(session, auth.role_list, ask, AuthRoleListRequest {}),
        Ask::Allow(role, kind, key, end) => {
            let perm = Permission {
                perm_type: *kind as i32,
                key: (*key).into(),
                range_end: (*end).into(),
            };
            let request = AuthRoleGrantPermissionRequest { name: (*role).into(), perm: Some(perm) };
            keep!(session, auth.role_grant_permission, ask, request);
        }
        Ask::AllowNothing(role) => {
            let request = AuthRoleGrantPermissionRequest { name: (*role).into(), perm: None };
            keep!(session, auth.role_grant_permission, ask, request);
        }
        Ask::Forbid(role, key, end) => {
            let request = AuthRoleRevokePermissionRequest {
                role: (*role).into(),
                key: (*key).into(),
                range_end: (*end).into(),
            };
            keep!(session, auth.role_revoke_permission, ask, request);
        }
        other => panic!("{other:?} is not about users or roles"),
    }
}

async fn about_keys(session: &mut Session, mut kv: KvClient<Shown>, ask: Ask) {
    let range = |key: &'static str, end: &'static str, serializable| RangeRequest {
        key: key.into(),
        range_end: end.into(),
        serializable,
        ..RangeRequest::default()
    };
    match &ask {
        Ask::Get(key, end) => keep!(session, kv.range, ask, range(key, end, false)),
        Ask::GetLocal(key, end) => keep!(session, kv.range, ask, range(key, end, true)),
        Ask::Put(put) => keep!(session, kv.put, ask, put.clone()),
        Ask::Delete(delete) => keep!(session, kv.delete_range, ask, delete.clone()),
        Ask::Txn(txn) => keep!(session, kv.txn, ask, txn.clone()),
        Ask::Compact(revision) => {
            let request = CompactionRequest { revision: *revision, physical: false };
            keep!(session, kv.compact, ask, request);
        }
        other => panic!("{other:?} is not about keys"),
    }
}

async fn about_the_rest(session: &mut Session, shown: Shown, ask: Ask) {
    let mut lease = LeaseClient::new(shown.clone());
    let mut cluster = ClusterClient::new(shown.clone());
    let mut maintenance = MaintenanceClient::new(shown);
    match &ask {
        Ask::LeaseGrant(id) => {
            keep!(session, lease.lease_grant, ask, LeaseGrantRequest { id: *id, ttl: 500 });
        }
        Ask::LeaseRevoke(id) => {
            keep!(session, lease.lease_revoke, ask, LeaseRevokeRequest { id: *id });
        }
        Ask::TimeToLive(id, keys) => {
            let request = LeaseTimeToLiveRequest { id: *id, keys: *keys };
            let mut answer = lease.lease_time_to_live(request).await;
            if let Ok(answer) = &mut answer {
                answer.get_mut().ttl = answer.get_ref().ttl.min(1);
                answer.get_mut().keys.sort();
            }
            session.keep(&ask, answer);
        }
        Ask::Leases => keep!(session, lease.lease_leases, ask, LeaseLeasesRequest {}),
        Ask::MemberList => {
            let answer = cluster.member_list(MemberListRequest { linearizable: false }).await;
            session.note(format!("{ask:?}\n      => {:?}", answer.err()));
        }
        Ask::MemberAdd(url) => {
            let request = MemberAddRequest { peer_ur_ls: vec![(*url).into()], is_learner: true };
            keep!(session, cluster.member_add, ask, request);
        }
        Ask::MemberRemove => {
            keep!(session, cluster.member_remove, ask, MemberRemoveRequest { id: 7 });
        }
        Ask::MemberUpdate(url) => {
            let request = MemberUpdateRequest { id: 7, peer_ur_ls: vec![(*url).into()] };
            keep!(session, cluster.member_update, ask, request);
        }
        Ask::MemberPromote => {
            keep!(session, cluster.member_promote, ask, MemberPromoteRequest { id: 7 });
        }
        Ask::Alarms => keep!(session, maintenance.alarm, ask, AlarmRequest::default()),
        Ask::Status => {
            let answer = maintenance.status(StatusRequest {}).await;
            session.note(format!("{ask:?}\n      => {:?}", answer.err()));
        }
        Ask::Defragment => keep!(session, maintenance.defragment, ask, DefragmentRequest {}),
        Ask::HashKv => {
            let answer = maintenance.hash_kv(HashKvRequest { revision: 0 }).await;
            session.keep(&ask, answer);
        }
        other => panic!("{other:?} is asked elsewhere"),
    }
}
