//! Users and tokens where there are several members.

use etcd::client::Client;
use etcd::proto::etcdserverpb::{AuthUserDeleteRequest, AuthUserListRequest, AuthenticateRequest};

use super::lasting::{add_user, begin, grant_role, login, stranger};
use crate::support::cluster::requests::{answer, get, put, refusal, try_get, try_put};
use crate::support::cluster::{Cluster, Plan};
use crate::support::session;
use crate::support::wait::comes_true;

async fn users(client: &Client) -> Vec<String> {
    answer(client.auth().user_list(AuthUserListRequest {})).await.unwrap().users
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_one_member_holds_on_all_and_a_change_through_one_counts_on_all() {
    let cluster = Cluster::start(Plan::of(3).flags(&["--bcrypt-cost=4"])).await;
    let urls: Vec<String> = cluster.members.iter().map(|member| member.client_url()).collect();
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    // Everything through a member that does not lead.
    begin(&stranger(&urls[follower])).await;
    let root = login(&urls[follower], "root", "rootpw").await;
    for url in &urls {
        // At once, also where the entry that issued it has not been applied yet.
        let there = stranger(url).with_token_of(&root);
        assert!(try_put(&there, session::put("b", url)).await.is_ok());
        assert_eq!(get(&there, "b").await.as_ref(), Some(url));
    }
    for round in 0..20 {
        let name = format!("user{round}");
        add_user(&root, &name, "pw").await.unwrap();
        let through = &urls[round % urls.len()];
        let user = login(through, &name, "pw").await;
        let elsewhere = stranger(&urls[(round + 1) % urls.len()]).with_token_of(&user);
        let words = refusal(try_get(&elsewhere, "a").await).1;
        assert_eq!(words, "etcdserver: permission denied", "round {round}");
        grant_role(&root, &name, "a").await.unwrap();
        assert_eq!(try_get(&elsewhere, "a").await.unwrap(), None);
        let gone = AuthUserDeleteRequest { name };
        answer(root.auth().user_delete(gone)).await.unwrap();
        let words = refusal(try_put(&elsewhere, session::put("a", "1")).await).1;
        let known = ["etcdserver: invalid auth token", "etcdserver: permission denied"];
        // The other member may be a moment behind; what it proposes is refused all the same.
        let known =
            known.contains(&words.as_str()) || words == "etcdserver: revision of auth store is old";
        assert!(known, "{words}");
    }
    let at_leader = stranger(&urls[leader]).with_token_of(&root);
    assert_eq!(users(&at_leader).await, ["alice", "root"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_sent_the_whole_state_knows_the_users() {
    let flags =
        ["--bcrypt-cost=4", "--snapshot-count=50", "--experimental-snapshot-catchup-entries=10"];
    let mut cluster = Cluster::start(Plan::of(3).flags(&flags)).await;
    let follower = cluster.follower().await;
    let others: Vec<usize> = (0..3).filter(|member| *member != follower).collect();
    let urls: Vec<String> = cluster.members.iter().map(|member| member.client_url()).collect();
    begin(&stranger(&urls[others[0]])).await;
    cluster.kill(follower);
    let root = login(&urls[others[0]], "root", "rootpw").await;
    add_user(&root, "late", "pw").await.unwrap();
    for number in 0..400 {
        put(&root, "b", &number.to_string()).await;
    }
    cluster.launch(follower);
    let there = &urls[follower];
    comes_true("the member to be back", async || {
        let request = AuthenticateRequest { name: "late".into(), password: "pw".into() };
        stranger(there).auth().authenticate(request).await.ok().map(drop)
    })
    .await;
    let root = login(there, "root", "rootpw").await;
    assert_eq!(users(&root).await, ["alice", "late", "root"]);
    assert_eq!(get(&root, "b").await.as_deref(), Some("399"));
    assert_eq!(refusal(try_get(&stranger(there), "b").await).1, "etcdserver: user name is empty");
    let output = cluster.members[follower].output();
    let sent = output.iter().any(|line| line.contains("took over the state of another member"));
    assert!(sent, "the test is about a state that was sent\n{}", output.join("\n"));
}
