//! The three-member part of the deployment tutorial, line by line, on its own ports.

use std::path::PathBuf;

use crate::support::own_network;
use crate::support::reference;
use crate::support::server::Kind;

/// The tutorial's file, with the token left open.
const PROCFILE: &str = r#"etcd1: etcd --name infra1 --listen-client-urls http://127.0.0.1:12379 --advertise-client-urls http://127.0.0.1:12379 --listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380 --initial-cluster-token TOKEN --initial-cluster "infra1=http://127.0.0.1:12380,infra2=http://127.0.0.1:22380,infra3=http://127.0.0.1:32380" --initial-cluster-state new --enable-pprof --logger=zap --log-outputs=stderr
etcd2: etcd --name infra2 --listen-client-urls http://127.0.0.1:22379 --advertise-client-urls http://127.0.0.1:22379 --listen-peer-urls http://127.0.0.1:22380 --initial-advertise-peer-urls http://127.0.0.1:22380 --initial-cluster-token TOKEN --initial-cluster "infra1=http://127.0.0.1:12380,infra2=http://127.0.0.1:22380,infra3=http://127.0.0.1:32380" --initial-cluster-state new --enable-pprof --logger=zap --log-outputs=stderr
etcd3: etcd --name infra3 --listen-client-urls http://127.0.0.1:32379 --advertise-client-urls http://127.0.0.1:32379 --listen-peer-urls http://127.0.0.1:32380 --initial-advertise-peer-urls http://127.0.0.1:32380 --initial-cluster-token TOKEN --initial-cluster "infra1=http://127.0.0.1:12380,infra2=http://127.0.0.1:22380,infra3=http://127.0.0.1:32380" --initial-cluster-state new --enable-pprof --logger=zap --log-outputs=stderr
"#;
const TOKEN: &str = "etcd-cluster-1";
const OTHER_TOKEN: &str = "etcd-cluster-2";

const MEMBERS: &str = "\
8211f1d0f64f3269, started, infra1, http://127.0.0.1:12380, http://127.0.0.1:12379, false
91bc3c398fb3c146, started, infra2, http://127.0.0.1:22380, http://127.0.0.1:22379, false
fd422379fda50e48, started, infra3, http://127.0.0.1:32380, http://127.0.0.1:32379, false
";
/// `ef37ad9dc622a7c4`, as this form of output has it.
const CLUSTER: &str = "\"ClusterID\" : 17237436991929493444\n";
/// The same for the other token.
const OTHER_IDS: [&str; 3] = ["5ec8cb0a9ed15bf1", "89ed0fe07b5b0b2d", "d8cd29a233343924"];
const OTHER_CLUSTER: &str = "\"ClusterID\" : 10354991878028702157\n";

/// What the scripts have in common. `by_shell` runs a Procfile's lines as goreman would.
const SETTING: &str = r#"
PATH=$PWD:$PATH
by_shell() { sed 's/^[^:]*: //' "$1" | while read -r line; do sh -c "exec $line" & done; }
ready() {
  for _ in $(seq 600); do
    [ "$(grep -c 'ready to serve client requests' "$1")" != "$2" ] || return 0
    sleep 0.1
  done
  cat "$1"
  exit 1
}
"#;

/// `$RUN FILE` starts what the Procfile says.
const THREE_MEMBERS: &str = "
$RUN etcd_cluster_procfile > cluster.log 2>&1 &
ready cluster.log 3
etcdctl --endpoints=http://localhost:22379 member list
etcdctl --endpoints=http://localhost:22379 member list -w fields | grep ClusterID
etcdctl --endpoints=http://localhost:12379 put foo bar
etcdctl --endpoints=http://localhost:32379 get foo
";

/// Two members start with one token and the third with another.
const MIXED: &str = "
head -n 2 etcd_cluster_procfile > two
tail -n 1 other_procfile > one
by_shell one > stranger.log 2>&1 &
by_shell two > cluster.log 2>&1 &
ready cluster.log 2
etcdctl --endpoints=http://localhost:22379 member list
etcdctl --endpoints=http://localhost:12379 put foo bar
told() { grep -qi 'cluster ID mismatch' stranger.log cluster.log; }
for _ in $(seq 600); do told && break || sleep 0.1; done
told
! grep -q 'ready to serve client requests' stranger.log
! etcdctl --endpoints=http://localhost:32379 --command-timeout=1s get foo 2>/dev/null
etcdctl --endpoints=http://localhost:22379 get foo
";

fn script(run: &str, lines: &str) -> String {
    let file = |name: &str, token: &str| {
        format!("cat > {name} <<'END'\n{}END\n", PROCFILE.replace("TOKEN", token))
    };
    let files = file("etcd_cluster_procfile", TOKEN) + &file("other_procfile", OTHER_TOKEN);
    format!("{SETTING}{files}{}", lines.replace("$RUN", run))
}

fn programs(etcdctl: &Kind) -> Vec<(&'static str, PathBuf)> {
    vec![("etcd", Kind::Ours.program("etcd")), ("etcdctl", etcdctl.program("etcdctl"))]
}

fn real_etcdctl() -> Option<Vec<(&'static str, PathBuf)>> {
    Some(programs(&Kind::Reference(reference::folder()?)))
}

fn expected() -> String {
    format!("{MEMBERS}{CLUSTER}OK\nfoo\nbar\n")
}

#[test]
fn goreman_starts_three_members() {
    let Some(mut programs) = real_etcdctl() else { return };
    let Some(goreman) = reference::goreman() else { return };
    programs.push(("goreman", goreman));
    // The tutorial's word order: `goreman -f FILE start`.
    let lines =
        THREE_MEMBERS.replace("$RUN etcd_cluster_procfile", "$RUN etcd_cluster_procfile start");
    let Some(printed) = own_network::run(&script("goreman -f", &lines), &programs) else { return };
    assert_eq!(printed, expected());
}

#[test]
fn the_procfile_makes_three_members() {
    let Some(programs) = real_etcdctl() else { return };
    let script = script("by_shell", THREE_MEMBERS);
    let Some(printed) = own_network::run(&script, &programs) else { return };
    assert_eq!(printed, expected());
}

#[test]
fn another_token_makes_another_cluster() {
    let Some(programs) = real_etcdctl() else { return };
    let lines = THREE_MEMBERS.replace("etcd_cluster_procfile", "other_procfile");
    let Some(printed) = own_network::run(&script("by_shell", &lines), &programs) else { return };
    let ids: Vec<&str> = printed.lines().take(3).map(|line| &line[..16]).collect();
    assert_eq!(ids, OTHER_IDS, "{printed}");
    assert!(printed.contains(OTHER_CLUSTER), "{printed}");
    assert!(printed.ends_with("OK\nfoo\nbar\n"), "{printed}");
}

#[test]
fn a_member_with_another_token_stays_outside() {
    let Some(programs) = real_etcdctl() else { return };
    let Some(printed) = own_network::run(&script("by_shell", MIXED), &programs) else { return };
    // Its place in the first cluster stays empty: there it has a name from the list, but never told
    // where clients find it.
    let members = MEMBERS.replace("http://127.0.0.1:32379, false", ", false");
    assert_eq!(printed, format!("{members}OK\nfoo\nbar\n"));
}
