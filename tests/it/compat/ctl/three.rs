//! Commands that want several members: the original and ours, on three of etcd's and three of ours, each
//! cluster on the tutorial's ports in a network of its own.

use crate::support::own_network;
use crate::support::reference;
use crate::support::server::Kind;

/// Starts the members; `say` runs a command and shows what a script sees of it, with the numbers
/// covered that are never the same.
const SETTING: &str = r#"
PATH=$PWD:$PATH
members=infra1=http://127.0.0.1:12380,infra2=http://127.0.0.1:22380,infra3=http://127.0.0.1:32380
for n in 1 2 3; do
  etcd --name infra$n --initial-cluster-token three --initial-cluster $members --initial-cluster-state new \
    --listen-client-urls http://127.0.0.1:${n}2379 --advertise-client-urls http://127.0.0.1:${n}2379 \
    --listen-peer-urls http://127.0.0.1:${n}2380 --initial-advertise-peer-urls http://127.0.0.1:${n}2380 \
    --logger=zap > $n.log 2>&1 &
done
for n in 1 2 3; do until grep -q 'ready to serve client requests' $n.log; do
  sleep 0.1
  if grep -q '"level":"fatal"' $n.log; then cat $n.log >&2; exit 1; fi
done; done
all=--endpoints=127.0.0.1:12379,127.0.0.1:22379,127.0.0.1:32379
ids() { etcdctl $all endpoint status --cluster | grep "$1" | cut -d, -f2 | tr -d ' '; }
say() {
  echo "$ $*" | sed "s/$leader/LEADER/g; s/$follower/FOLLOWER/g"
  code=0; "$@" > out 2> err || code=$?
  cat out err | grep -v '^{.*"logger"' | grep -v '^hint: ' | sort > both || true
  sed "s/took = .*/took = _/; s/$leader/LEADER/g; s/$follower/FOLLOWER/g" both
  echo "=> $code"
}
"#;

const COMMANDS: &str = r#"
leader=none follower=none
say etcdctl $all member list
say etcdctl $all member list -w table
say etcdctl $all put foo bar
say etcdctl $all get foo
say etcdctl $all endpoint health
say etcdctl $all endpoint health --cluster
say etcdctl --endpoints=127.0.0.1:12379 endpoint health --cluster
say etcdctl $all endpoint hashkv --cluster
say etcdctl --endpoints=127.0.0.1:22379 endpoint hashkv --cluster
say etcdctl $all endpoint hashkv --cluster -w table
say etcdctl $all defrag --cluster
etcdctl $all endpoint status --cluster | cut -d, -f1,2,6
say etcdctl $all alarm list
leader=$(ids ', true, false')
follower=$(ids ', false, false' | head -n 1)
at=$(etcdctl $all endpoint status --cluster | grep $follower | cut -d, -f1)
say etcdctl --endpoints=$at move-leader $follower | sed 's/:[123]2379/:PORT/'
say etcdctl $all move-leader $leader
say etcdctl $all move-leader $follower
until leader=$(ids ', true, false'); [ -n "$leader" ]; do sleep 0.1; done
test "$leader" = $follower; echo moved
say etcdctl --endpoints=127.0.0.1:1,127.0.0.1:22379 put foo baz
say etcdctl --endpoints=127.0.0.1:1,127.0.0.1:32379 get foo
"#;

fn play(program: &Kind, server: &Kind) -> Option<String> {
    let programs = [("etcd", server.program("etcd")), ("etcdctl", program.program("etcdctl"))];
    own_network::run(&format!("{SETTING}{COMMANDS}"), &programs)
}

#[test]
fn three_members_are_asked_alike() {
    let Some(folder) = reference::folder() else { return };
    let (real, ours) = (Kind::Reference(folder), Kind::Ours);
    let Some(expected) = play(&real, &real) else { return };
    assert!(expected.contains("Leadership transferred from LEADER to FOLLOWER\n"), "{expected}");
    assert!(expected.contains("\nmoved\n"), "{expected}");
    for (program, server) in [(&ours, &real), (&real, &ours), (&ours, &ours)] {
        let got = play(program, server).unwrap();
        let parted = expected.lines().zip(got.lines()).find(|(one, other)| one != other);
        assert_eq!(expected, got, "{program:?} on {server:?}: {parted:?}");
    }
}
