//! The one-node part of the deployment tutorial, line by line, on its own ports in a network of its
//! own, so that it meets nobody else's etcd.

use std::path::PathBuf;

use crate::support::own_network;
use crate::support::reference;
use crate::support::server::Kind;

fn in_own_network(script: &str, programs: &[(&str, Kind)]) -> Option<String> {
    let ready = "ready() { until grep -q 'ready to serve client requests' \"$1\"; do \
        kill -0 $! || { cat \"$1\"; exit 1; }; done; }\n";
    let programs: Vec<(&str, PathBuf)> =
        programs.iter().map(|(name, kind)| (*name, kind.program(name))).collect();
    own_network::run(&format!("{ready}{script}"), &programs)
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
