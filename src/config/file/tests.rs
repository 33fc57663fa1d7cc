use super::*;
use crate::config::value;

fn values(text: &str) -> Vec<(&'static str, String)> {
    let contents = parse("f", text);
    assert!(contents.faults.is_empty(), "{:?}", contents.faults);
    contents
        .given
        .iter()
        .map(|one| (one.setting.name, value::show(one.setting, &one.value)))
        .collect()
}

fn faults(text: &str) -> Vec<String> {
    parse("f", text).faults
}

#[test]
fn keys_are_those_of_every_etcd_whatever_their_case() {
    for (text, name, shown) in [
        ("name: x", "name", "x"),
        ("Name: 123", "name", "123"),
        ("client-transport-security:\n  cert-file: /c", "cert-file", "/c"),
        ("client-transport-security: {client-cert-auth: yes}", "client-cert-auth", "true"),
        ("peer-transport-security:\n  allowed-cn: [a, b]", "peer-cert-allowed-cn", "a,b"),
        ("ClientTLSInfo: {CRLFile: /r}", "client-crl-file", "/r"),
        ("SocketOpts: {ReusePort: true}", "socket-reuse-port", "true"),
        ("socket-options: {reuse-port: true}", "socket-reuse-port", "true"),
        ("experimental-snapshot-catch-up-entries: 7", "snapshot-catchup-entries", "7"),
        ("experimental-watch-progress-notify-interval: 5s", "watch-progress-notify-interval", "5s"),
        ("experimental-enable-lease-checkpoint: true", "LeaseCheckpoint", "true"),
        ("discovery-config: {client: {secure: {cert: /c}}}", "discovery-cert", "/c"),
    ] {
        assert_eq!(values(text), [(name, shown.to_owned())], "{text}");
    }
}

#[test]
fn values_are_read_as_etcd_reads_them_and_a_little_more() {
    for (text, shown) in [
        ("grpc-keepalive-min-time: 5000000000", "5s"),
        ("grpc-keepalive-min-time: 5s", "5s"),
        ("grpc-keepalive-min-time: 0", "0s"),
        ("listen-client-urls: http://b:1,http://a:1", "http://a:1,http://b:1"),
        ("listen-client-urls: [http://b:1]", "http://b:1"),
        ("log-outputs: [stderr]", "stderr"),
        ("log-outputs: stderr,/f", "stderr,/f"),
        ("auto-compaction-retention: 1", "1"),
        ("election-timeout: \"5000\"", "5000"),
        ("pre-vote: off", "false"),
        ("listen-metrics-urls: \"\"", ""),
    ] {
        let values = values(text);
        assert_eq!(
            values.iter().map(|(_, shown)| shown.as_str()).collect::<Vec<_>>(),
            [shown],
            "{text}"
        );
    }
    assert_eq!(values("name:\nwal-dir: ~\nclient-transport-security:\n"), []);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_its_neighbour() {
    for (text, fault) in [
        (
            "name: x\nclient-transport-security:\n  client-cert-auht: true",
            "f:3: unknown key client-transport-security.client-cert-auht; did you mean \
             client-transport-security.client-cert-auth?",
        ),
        (
            "lisen-client-urls: x",
            "f:1: unknown key lisen-client-urls; did you mean listen-client-urls?",
        ),
        (
            "cert-file: x",
            "f:1: unknown key cert-file; did you mean client-transport-security.cert-file?",
        ),
        (
            "client-transport-securty: {}",
            "f:1: unknown key client-transport-securty; did you mean client-transport-security?",
        ),
        ("zzzzzzzzzzzzzzzzzz: 1", "f:1: unknown key zzzzzzzzzzzzzzzzzz"),
        (
            "raft-read-timeout: 5s",
            "f:1: raft-read-timeout cannot be set in the file; use --raft-read-timeout",
        ),
        ("LeaseCheckpoint: true", "f:1: unknown key LeaseCheckpoint"),
    ] {
        assert_eq!(faults(text), [fault], "{text}");
    }
}

#[test]
fn every_fault_of_a_file_is_told_at_once() {
    let text = "name: x\nname: y\nelection-timeout: abc\npeer-transport-security: 1\n\
                log-outputs: {a: b}\nname2:\n  - [\n";
    assert_eq!(faults(text).len(), 1, "syntax comes first");
    let text = text.trim_end_matches("name2:\n  - [\n");
    assert_eq!(
        faults(text),
        [
            "f:2: name is given twice, first in line 1",
            "f:3: election-timeout: invalid value \"abc\": parse error",
            "f:4: peer-transport-security must be a section of keys and values",
            "f:5: log-outputs: expected a value, found a section",
        ]
    );
}

#[test]
fn a_missing_file_is_told_in_the_words_of_etcd() {
    assert_eq!(read("/nope.yml").faults, ["open /nope.yml: no such file or directory"]);
    assert_eq!(read("/").faults, ["read /: is a directory"]);
    assert_eq!(faults("- a\n- b"), ["f:1: the file must consist of keys and values"]);
}
