//! A certificate's common name is a user's name, where certificates are demanded.

use etcd::certs::Purpose;
use etcd::client::{Client, Options};
use etcd::proto::etcdserverpb::{AuthUserListRequest, MemberRemoveRequest};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use super::lasting::{add_user, begin, grant_role};
use crate::support::cluster::requests::{answer, get, put, refusal, try_get};
use crate::support::pki::{Pki, valid};
use crate::support::server::{Kind, Server};
use crate::support::wait::within;

fn client(server: &Server, pki: &Pki, name: &str) -> Client {
    let tls = Some(pki.client("ca.crt", Some(name)));
    let endpoints = vec![server.url()];
    Client::lazy(&Options { endpoints, tls, ..Options::default() }).unwrap()
}

async fn login(server: &Server, pki: &Pki, shows: &str, user: &str, password: &str) -> Client {
    let options = Options {
        endpoints: vec![server.url()],
        tls: Some(pki.client("ca.crt", Some(shows))),
        user: Some((user.to_owned(), password.to_owned())),
        ..Options::default()
    };
    within("a login", Client::connect(&options)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_stands_for_its_user_and_a_token_goes_before_it() {
    let pki = Pki::new();
    for name in ["alice", "root", "stranger-name"] {
        pki.issue(name, Purpose::Client, &[], valid());
    }
    let mut flags = pki.server_flags();
    flags.push("--bcrypt-cost=4".to_owned());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut server = Server::start_with(&Kind::Ours, "https", &flags);
    begin(&client(&server, &pki, "client")).await;
    let (alice, root) = (client(&server, &pki, "alice"), client(&server, &pki, "root"));
    put(&alice, "a", "1").await;
    assert_eq!(refusal(try_get(&alice, "b").await).0, Code::PermissionDenied);
    assert_eq!(get(&alice, "a").await.as_deref(), Some("1"));
    put(&root, "b", "2").await;
    // A name without a user may nothing.
    let unknown = client(&server, &pki, "stranger-name");
    assert_eq!(refusal(try_get(&unknown, "a").await).1, "etcdserver: permission denied");
    let list = answer(unknown.auth().user_list(AuthUserListRequest {})).await;
    assert_eq!(refusal(list).1, "etcdserver: permission denied");
    // The certificate is alice's, the token root's.
    let both = login(&server, &pki, "alice", "root", "rootpw").await;
    assert_eq!(get(&both, "b").await.as_deref(), Some("2"));
    // And a token that is nobody's is not made good by a certificate.
    let mut request = Request::new(crate::support::cluster::requests::one("a"));
    request.metadata_mut().insert("token", MetadataValue::from_static("no.1"));
    let refused = refusal(answer(root.kv().range(request)).await);
    assert_eq!(refused.1, "etcdserver: invalid auth token");
    // What a gateway shows is not the caller's.
    let mut request = Request::new(crate::support::cluster::requests::one("a"));
    request.metadata_mut().insert("grpcgateway-accept", MetadataValue::from_static("x"));
    assert_eq!(refusal(answer(root.kv().range(request)).await).1, "etcdserver: user name is empty");
    // A certificate needs no password to be set.
    add_user(&root, "client", "").await.unwrap();
    grant_role(&root, "client", "a").await.unwrap();
    assert_eq!(get(&client(&server, &pki, "client"), "a").await.as_deref(), Some("1"));
    // The log tells as whom it was done, and with which certificate.
    let removed = both.cluster().member_remove(MemberRemoveRequest { id: 7 }).await;
    assert_eq!(removed.unwrap_err().message(), "etcdserver: member not found");
    let (user, name) = server.process.wait_line("the line of the trail", |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let told = line["msg"] == "administrative call" && line["method"] == "MemberRemove";
        let text = |field: &str| line[field].as_str().map(str::to_owned);
        told.then(|| Some((text("user")?, text("common-name")?)))?
    });
    assert_eq!((user.as_str(), name.as_str()), ("root", "alice"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_demanded_names_nobody() {
    let pki = Pki::new();
    pki.issue("alice", Purpose::Client, &[], valid());
    let flags: Vec<String> =
        pki.server_flags().into_iter().filter(|flag| flag != "--client-cert-auth").collect();
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.push("--bcrypt-cost=4");
    let server = Server::start_with(&Kind::Ours, "https", &flags);
    begin(&client(&server, &pki, "client")).await;
    let refused = refusal(try_get(&client(&server, &pki, "alice"), "a").await);
    assert_eq!(refused.1, "etcdserver: user name is empty");
}
