//! What the service manager is told of a member that follows, that has lost its quorum, and of one that
//! is stuck.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::cluster::requests::put as put_key;
use crate::support::cluster::{Cluster, Plan};
use crate::support::http;
use crate::support::manager::Manager;
use crate::support::server::{Kind, Server};
use crate::support::session::{Session, put};
use crate::support::wait::eventually;

const PULSE: &str = "WATCHDOG=1";

/// Members that serve, each with a service manager.
async fn managed(plan: Plan) -> (Cluster, Vec<Manager>) {
    let mut cluster = Cluster::found(plan.variable("NOTIFY_SOCKET", "{home}/notify"));
    let managers: Vec<Manager> =
        cluster.members.iter().map(|member| Manager::at(member.home().join("notify"))).collect();
    for member in 0..managers.len() {
        cluster.launch(member);
    }
    for member in 0..managers.len() {
        cluster.wait_ready(member).await;
    }
    (cluster, managers)
}

fn status(manager: &Manager, begins: &str) -> String {
    let lines = manager.hear(&format!("STATUS={begins}"));
    lines.iter().find_map(|line| line.strip_prefix("STATUS=")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_and_members_without_a_quorum_are_told_apart() {
    let (mut cluster, managers) = managed(Plan::of(3)).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let third = 3 - leader - follower;
    let said = status(&managers[leader], "serving as leader in term ");
    assert!(said.contains("; revision ") && said.ends_with("; 3 members"), "{said}");
    let id = cluster.id(leader).await;
    let led = format!("serving, led by m{leader} ({id:x}) in term ");
    let said = status(&managers[follower], &led);
    assert!(said.contains("; revision ") && said.ends_with("; 3 members"), "{said}");
    for other in [leader, third] {
        cluster.kill(other);
    }
    let lost = "waiting for quorum: 1 of 3 members reachable, 2 needed; reads that may be old are served; \
                revision ";
    status(&managers[follower], lost);
    cluster.restart(third).await;
    status(&managers[follower], "serving");
}

/// It was away for so long that it is sent the whole state, and the stalled thread keeps it at that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_sent_the_state_says_so_and_is_given_time() {
    let plan = Plan::of(3)
        .flags(&["--snapshot-count=50", "--experimental-snapshot-catchup-entries=10"])
        .variable("FAIL_STALL", "adopt-before:1");
    let (mut cluster, managers) = managed(plan).await;
    let away = cluster.follower().await;
    cluster.kill(away);
    let leader = cluster.leader().await;
    let client = cluster.client(leader);
    for number in 0..250 {
        put_key(&client, &format!("{number}"), "v").await;
    }
    managers[away].hear("READY=1");
    cluster.launch(away);
    let said = status(&managers[away], "starting: catching up with ");
    assert!(said.contains(&format!("with m{leader} (")) && said.contains("): "), "{said}");
    for _ in 0..2 {
        let (_, before) = managers[away].hear_after("EXTEND_TIMEOUT_USEC=60000000");
        assert!(!before.iter().any(|line| line.starts_with("READY=")), "{before:?}");
    }
    let told = "fail point adopt-before reached";
    let output = || cluster.members[away].output();
    eventually("the place", || output().iter().any(|line| line.starts_with(told)).then_some(()));
    cluster.kill(away);
}

/// Everything else goes on: it is that one loop which does not come round, or that one write which does not
/// come back from the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_is_stuck_keeps_the_pulse_back() {
    for place in ["log-asked", "wal-written", "apply-committed"] {
        let manager = Manager::new();
        let path = manager.path();
        let stall = format!("{place}:20");
        let environment = [
            ("NOTIFY_SOCKET", path.to_str().unwrap()),
            ("WATCHDOG_USEC", "1000000"),
            ("FAIL_STALL", &stall),
        ];
        let mut server = Server::start_in(&Kind::Ours, "http", &[], &environment);
        manager.hear(PULSE);
        let mut session = Session::connect(&server.url()).await;
        let mut writer = JoinSet::new();
        writer.spawn(async move { while session.kv.put(put("key", "v")).await.is_ok() {} });
        // The pulse is twice a second as long as all is well.
        let silent = || !manager.hears_within(Duration::from_secs(3), PULSE);
        assert!((0..100).any(|_| silent()), "the pulse goes on although {place} is stuck");
        let told = format!("fail point {place} reached");
        eventually("the place", || {
            server.process.output().iter().any(|line| line.starts_with(&told)).then_some(())
        });
        assert!(!server.process.has_ended());
        assert_eq!(http::request(server.address(), "GET", "/version").status, 200);
    }
}

/// One entry after the other, so that a worker of the runtime applies it, and is held up for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_applying_is_stuck_ends_all_the_same() {
    let environment = [("FAIL_STALL", "apply-committed:25")];
    let mut server = Server::start_in(&Kind::Ours, "http", &[], &environment);
    let mut session = Session::connect(&server.url()).await;
    let mut writer = JoinSet::new();
    writer.spawn(async move { while session.kv.put(put("key", "v")).await.is_ok() {} });
    eventually("the place", || {
        let output = server.process.output();
        output.iter().any(|line| line.starts_with("fail point apply-committed")).then_some(())
    });
    server.process.signal("TERM");
    assert_eq!(server.process.wait_end_for(Duration::from_secs(120)).signal(), Some(15));
}
