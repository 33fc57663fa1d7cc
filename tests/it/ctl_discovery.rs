//! `--discovery-srv` of the original and of ours, with a DNS server of the test's own.

use std::net::UdpSocket;

use crate::support::own_network;
use crate::support::reference;
use crate::support::server::Kind;

/// Names that have a record, and the port in it; the host is this one.
const RECORDS: [(&str, u16); 3] = [
    ("_etcd-client._tcp.example.org", 2379),
    ("_etcd-client-other._tcp.example.org", 2379),
    ("_etcd-client-ssl._tcp.dead.example.org", 1),
];

/// Types of records.
const ADDRESS: u16 = 1;
const SERVICE: u16 = 33;

/// The name a question is about.
fn asked(question: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = &question[12..];
    while rest[0] != 0 {
        let (label, after) = rest[1..].split_at(rest[0].into());
        labels.push(String::from_utf8_lossy(label).into_owned());
        rest = after;
    }
    labels.join(".")
}

/// What a record of this name and type says. The original asks for the address of the host as well,
/// because it keeps the dot behind it.
fn record(name: &str, kind: u16) -> Option<Vec<u8>> {
    if (name, kind) == ("localhost", ADDRESS) {
        return Some(vec![127, 0, 0, 1]);
    }
    let (_, port) = RECORDS.iter().find(|(known, _)| *known == name && kind == SERVICE)?;
    Some([&[0, 1, 0, 1][..], &port.to_be_bytes(), b"\x09localhost\x00"].concat())
}

/// Started by the other test, in whose network port 53 is free.
#[test]
#[ignore = "answers questions until it is killed"]
fn serves_records() {
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    println!("serving records");
    loop {
        let mut question = [0; 512];
        let (length, from) = socket.recv_from(&mut question).unwrap();
        let name = asked(&question[..length]);
        let end = 12 + name.len() + 2 + 4;
        let kind = u16::from_be_bytes([question[end - 4], question[end - 3]]);
        let data = record(&name, kind);
        let code = if data.is_some() || name == "localhost" { 0x80 } else { 0x83 };
        let mut answer = question[..2].to_vec();
        answer.extend([0x81, code, 0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0]);
        answer.extend(&question[12..end]);
        if let Some(data) = data {
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()]);
            answer.extend(data);
        }
        socket.send_to(&answer, from).unwrap();
    }
}

const SCRIPT: &str = r#"
mkdir copy; cp /etc/hosts /etc/passwd /etc/nsswitch.conf copy/ 2>/dev/null || true
mount -t tmpfs none /etc; cp copy/* /etc/; echo 'nameserver 127.0.0.1' > /etc/resolv.conf
TESTS --exact ctl_discovery::serves_records --ignored --nocapture > dns.log 2>&1 &
until grep -q 'serving records' dns.log 2>/dev/null; do kill -0 $! || { cat dns.log >&2; exit 1; }; done
./etcd > etcd.log 2>&1 &
until grep -q 'ready to serve client requests' etcd.log 2>/dev/null; do kill -0 $! || exit 1; done
say() {
  echo "$ $*"
  code=0; "$@" > out 2>&1 || code=$?
  grep -v '^{.*"logger"' out | grep -v '^hint: ' || true
  echo "=> $code"
}
say ./etcdctl --discovery-srv example.org put foo bar
say ./etcdctl -d example.org --endpoints=127.0.0.1:1 get foo
say ./etcdctl --discovery-srv example.org --discovery-srv-name other get foo
say ./etcdctl --discovery-srv example.org --discovery-srv-name none get foo
say ./etcdctl --discovery-srv nowhere.example.org get foo
say ./etcdctl --discovery-srv dead.example.org --command-timeout=300ms --insecure-skip-tls-verify get foo
"#;

/// What is meant to differ: the original goes on with `--endpoints` when it must leave out all it has
/// found, and `endpoint` without `--cluster` asks those in any case.
const OURS: &str = r"
say ./etcdctl --discovery-srv example.org --insecure-discovery=false get foo
say ./etcdctl --discovery-srv example.org --endpoints=127.0.0.1:1 endpoint health -w json | sed 's/took.*/took/'
";

fn play(program: &Kind, script: &str) -> Option<String> {
    let tests = std::env::current_exe().unwrap().display().to_string();
    let programs = [("etcd", Kind::Ours.program("etcd")), ("etcdctl", program.program("etcdctl"))];
    own_network::run(&script.replace("TESTS", &tests), &programs)
}

#[test]
fn servers_are_found_by_their_records() {
    let Some(ours) = play(&Kind::Ours, &format!("{SCRIPT}{OURS}")) else { return };
    let (ours, more) =
        ours.split_once("$ ./etcdctl --discovery-srv example.org --insecure").unwrap();
    assert!(ours.contains("put foo bar\nOK\n=> 0\n"), "{ours}");
    let absent = "Error: dns lookup errors: lookup _etcd-client-ssl._tcp.nowhere.example.org on \
                  127.0.0.1:53: no such host and lookup _etcd-client._tcp.nowhere.example.org on ";
    assert!(ours.contains(absent), "{ours}");
    let expected = "-discovery=false get foo
ignoring discovered insecure endpoint \"http://localhost:2379\"
Error: example.org has no SRV records of endpoints with TLS
=> 1
$ ./etcdctl --discovery-srv example.org --endpoints=127.0.0.1:1 endpoint health -w json
[{\"endpoint\":\"http://localhost:2379\",\"health\":true,\"took
=> 0
";
    assert_eq!(more, expected);
    let Some(folder) = reference::folder() else { return };
    assert_eq!(play(&Kind::Reference(folder), SCRIPT).unwrap(), ours);
}
