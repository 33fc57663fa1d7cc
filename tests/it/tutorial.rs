//! The one-node part of the deployment tutorial, line by line, on its own ports in a network of its
//! own, so that it meets nobody else's etcd.

use std::process::{Command, Stdio};

use crate::support::reference;
use crate::support::server::Kind;

/// Runs a shell script in a fresh network namespace and returns what it printed. `None` where the
/// system does not let us make one.
fn in_own_network(script: &str, programs: &[(&str, Kind)]) -> Option<String> {
    let isolated = |script: &str| {
        let mut command = Command::new("unshare");
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path);
        // The shell is the first process of its own tree, so that whatever it started ends with it.
        command.args(["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]);
        command.args(["sh", "-euc", script]);
        command.stdin(Stdio::null());
        command
    };
    let possible = isolated("ip link set lo up").output().is_ok_and(|out| out.status.success());
    if !possible {
        eprintln!("SKIPPED: network namespaces are not available here");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, kind) in programs {
        std::fs::copy(kind.program(name), folder.path().join(name)).unwrap();
    }
    let setting = "ip link set lo up\n\
        ready() { until grep -q 'ready to serve client requests' \"$1\"; do \
        kill -0 $! || { cat \"$1\"; exit 1; }; done; }\n";
    let output =
        isolated(&format!("{setting}{script}")).current_dir(folder.path()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{printed}\n{errors}", output.status);
    Some(printed)
}

const ONE_NODE: &str = "
nohup ./etcd > etcd.log 2>&1 &
ready etcd.log
./etcdctl --endpoints=localhost:2379 put foo bar
./etcdctl --endpoints=localhost:2379 get foo
mkdir bin && cp etcdctl bin/ && PATH=$PWD/bin:$PATH
etcdctl get foo
ls -d default.etcd
kill $!
wait $! || true
./etcd > again.log 2>&1 &
ready again.log
etcdctl get foo --print-value-only
";
const ONE_NODE_PRINTS: &str = "OK\nfoo\nbar\nfoo\nbar\ndefault.etcd\nbar\n";

#[test]
fn one_node_without_arguments() {
    let programs = [("etcd", Kind::Ours), ("etcdctl", Kind::Ours)];
    let Some(printed) = in_own_network(ONE_NODE, &programs) else { return };
    assert_eq!(printed, ONE_NODE_PRINTS);
}

#[test]
fn one_node_driven_by_the_real_etcdctl() {
    let Some(folder) = reference::folder() else { return };
    let programs = [("etcd", Kind::Ours), ("etcdctl", Kind::Reference(folder))];
    let Some(printed) = in_own_network(ONE_NODE, &programs) else { return };
    assert_eq!(printed, ONE_NODE_PRINTS);
}

#[test]
fn the_unit_is_the_tutorials() {
    let unit = include_str!("../../systemd/etcd.service");
    for line in [
        "After=network.target network-online.target",
        "Wants=network-online.target",
        "Type=notify",
        "ExecStart=/usr/bin/etcd",
        "Restart=on-failure",
        "RestartSec=5",
        "LimitNOFILE=65536",
        "WantedBy=multi-user.target",
    ] {
        assert!(unit.lines().any(|have| have == line), "{line} is not in systemd/etcd.service");
    }
}
