//! What outlives what: users a restart and a crash, tokens neither.

use std::time::Duration;

use etcd::client::{Client, Options};
use etcd::proto::authpb::Permission;
use etcd::proto::authpb::permission::Type;
use etcd::proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest,
    AuthStatusRequest, AuthUserAddRequest, AuthUserGrantRoleRequest, AuthUserListRequest,
};
use etcd::types::clock::Clock;
use tonic::{Code, Status};

use crate::support::cluster::requests::{answer, put, refusal, try_get, try_put};
use crate::support::http;
use crate::support::server::{Kind, Server};
use crate::support::session;
use crate::support::wait::{comes_true, within};

/// A client without a name.
pub(super) fn stranger(url: &str) -> Client {
    Client::lazy(&Options { endpoints: vec![url.to_owned()], ..Options::default() }).unwrap()
}

/// A client that has logged in.
pub(super) async fn login(url: &str, name: &str, password: &str) -> Client {
    try_login(url, name, password).await.unwrap()
}

pub(super) async fn try_login(url: &str, name: &str, password: &str) -> Result<Client, String> {
    let user = Some((name.to_owned(), password.to_owned()));
    let options = Options { endpoints: vec![url.to_owned()], user, ..Options::default() };
    within("a login", Client::connect(&options)).await.map_err(|error| error.to_string())
}

pub(super) async fn add_user(client: &Client, name: &str, password: &str) -> Result<(), Status> {
    let request = AuthUserAddRequest {
        name: name.into(),
        password: password.into(),
        ..AuthUserAddRequest::default()
    };
    answer(client.auth().user_add(request)).await.map(drop)
}

pub(super) async fn grant_role(client: &Client, user: &str, role: &str) -> Result<(), Status> {
    let request = AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
    answer(client.auth().user_grant_role(request)).await.map(drop)
}

/// A role that may read and write what begins with its name.
pub(super) async fn add_role(client: &Client, role: &str) {
    let mut auth = client.auth();
    answer(auth.role_add(AuthRoleAddRequest { name: role.into() })).await.unwrap();
    let perm = Permission {
        perm_type: Type::Readwrite as i32,
        key: role.to_owned().into(),
        range_end: etcd::types::range::prefix_end(role.as_bytes()).unwrap(),
    };
    let request = AuthRoleGrantPermissionRequest { name: role.into(), perm: Some(perm) };
    answer(auth.role_grant_permission(request)).await.unwrap();
}

/// Users `root` and `alice`, who has the keys that begin with `a`; then everybody is asked.
pub(super) async fn begin(client: &Client) {
    add_user(client, "root", "rootpw").await.unwrap();
    grant_role(client, "root", "root").await.unwrap();
    add_role(client, "a").await;
    add_user(client, "alice", "pw").await.unwrap();
    grant_role(client, "alice", "a").await.unwrap();
    answer(client.auth().auth_enable(AuthEnableRequest {})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_outlive_a_crash_and_a_restart_and_tokens_do_not() {
    let mut server = Server::start_with(&Kind::Ours, "http", &["--bcrypt-cost=4"]);
    begin(&stranger(&server.url())).await;
    let root = login(&server.url(), "root", "rootpw").await;
    // The last thing that is acknowledged before the crash.
    add_user(&root, "late", "pw").await.unwrap();
    server.restart();
    let url = server.url();
    let refused = refusal(try_get(&stranger(&url), "a").await);
    assert_eq!(refused.1, "etcdserver: user name is empty");
    let old = Client::lazy(&Options { endpoints: vec![url.clone()], ..Options::default() });
    let old = old.unwrap().with_token_of(&root);
    assert_eq!(refusal(try_get(&old, "a").await).1, "etcdserver: invalid auth token");
    let alice = login(&url, "alice", "pw").await;
    assert!(put(&alice, "a", "1").await > 1);
    assert_eq!(refusal(try_get(&alice, "b").await).0, Code::PermissionDenied);
    let late = login(&url, "late", "pw").await;
    assert_eq!(refusal(try_get(&late, "a").await).0, Code::PermissionDenied);
    // In order, and once more.
    server.process.signal("TERM");
    server.process.wait_end();
    server.restart();
    let root = login(&server.url(), "root", "rootpw").await;
    let status = answer(root.auth().auth_status(AuthStatusRequest {})).await.unwrap();
    assert_eq!((status.enabled, status.auth_revision), (true, 8));
    let users = answer(root.auth().user_list(AuthUserListRequest {})).await.unwrap().users;
    assert_eq!(users, ["alice", "late", "root"]);
    answer(root.auth().auth_disable(AuthDisableRequest {})).await.unwrap();
    assert_eq!(try_get(&stranger(&server.url()), "a").await.unwrap().as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_nobody_shows_ends_and_one_that_is_shown_does_not() {
    let flags = ["--bcrypt-cost=4", "--auth-token-ttl=2"];
    let server = Server::start_with(&Kind::Ours, "http", &flags);
    begin(&stranger(&server.url())).await;
    let shown = login(&server.url(), "alice", "pw").await;
    let kept = login(&server.url(), "alice", "pw").await;
    put(&kept, "a", "1").await;
    let begun = Clock.now();
    while Clock.now() - begun < Duration::from_secs(4) {
        assert!(try_get(&shown, "a").await.is_ok(), "it is shown all the time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(refusal(try_get(&kept, "a").await).1, "etcdserver: invalid auth token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_run_out_and_probes_answer_while_everybody_is_asked() {
    use etcd::proto::etcdserverpb::{LeaseGrantRequest, PutRequest};
    use etcd::proto::health::HealthCheckRequest;

    let server = Server::start_with(&Kind::Ours, "http", &["--bcrypt-cost=4"]);
    let nobody = stranger(&server.url());
    begin(&nobody).await;
    let alice = login(&server.url(), "alice", "pw").await;
    let granted = LeaseGrantRequest { id: 0, ttl: 1 };
    let lease = answer(alice.lease().lease_grant(granted)).await.unwrap().id;
    try_put(&alice, PutRequest { lease, ..session::put("a", "1") }).await.unwrap();
    // The server ends it on its own account.
    comes_true("the lease to run out", async || {
        try_get(&alice, "a").await.unwrap().is_none().then_some(())
    })
    .await;
    for path in ["/health", "/livez", "/readyz", "/health?serializable=true"] {
        assert_eq!(http::request(server.address(), "GET", path).status, 200, "{path}");
    }
    let mut health = nobody.health();
    let check = health.check(HealthCheckRequest::default());
    assert_eq!(answer(check).await.unwrap().status, 1);
    let metrics = http::request(server.address(), "GET", "/metrics").body;
    assert!(metrics.lines().any(|line| line == "etcd_debugging_auth_revision 7"), "{metrics}");
}

/// One connection that guesses passwords all the time does not keep the others from being served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_passwords_is_refused_before_it_fills_the_machine() {
    use etcd::proto::etcdserverpb::AuthenticateRequest;
    use tokio::task::JoinSet;

    let server = Server::start_with(&Kind::Ours, "http", &["--bcrypt-cost=12"]);
    begin(&stranger(&server.url())).await;
    let alice = login(&server.url(), "alice", "pw").await;
    let mut guesses = JoinSet::new();
    for _ in 0..400 {
        let mut auth = stranger(&server.url()).auth();
        guesses.spawn(async move {
            let request = AuthenticateRequest { name: "root".into(), password: "x".into() };
            auth.authenticate(request).await.unwrap_err()
        });
    }
    let mut refused = within("some to be refused", async {
        loop {
            let status = guesses.join_next().await.unwrap().unwrap();
            if status.code() == Code::ResourceExhausted {
                break status.message().to_owned();
            }
        }
    })
    .await;
    assert!(put(&alice, "a", "1").await > 1, "who has a token is served meanwhile");
    assert_eq!(
        std::mem::take(&mut refused),
        "etcdserver: too many passwords are being checked; try again"
    );
    guesses.abort_all();
}
