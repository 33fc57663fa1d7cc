//! Several members from one directory, and what is not good for their ports.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use etcd::certs::{Authority, Key, Leaf, Purpose, Validity, write_certificate, write_key};
use etcd::types::clock::Clock;

use crate::cert::Desk;
use crate::support::cluster::address;
use crate::support::process::Process;
use crate::support::server::Kind;
use crate::support::wait::eventually;

/// Starts a member with the files that were prepared for its machine, in this directory.
pub(super) fn member(
    dir: &Path,
    name: &str,
    at: (SocketAddr, SocketAddr),
    cluster: &str,
) -> Process {
    member_with(dir, name, at, cluster, &[])
}

/// The same with more flags.
fn member_with(
    dir: &Path,
    name: &str,
    at: (SocketAddr, SocketAddr),
    cluster: &str,
    more: &[String],
) -> Process {
    let file = |name: &str| dir.join(name).display().to_string();
    let (client, peer) = (format!("https://{}", at.0), format!("https://{}", at.1));
    let mut command = Command::new(Kind::Ours.program("etcd"));
    command.env_clear().current_dir(dir).args([
        format!("--name={name}"),
        "--data-dir=data".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={cluster}"),
        format!("--cert-file={}", file("server.crt")),
        format!("--key-file={}", file("server.key")),
        "--client-cert-auth".to_owned(),
        format!("--trusted-ca-file={}", file("client-ca.crt")),
        format!("--client-crl-file={}", file("client.crl")),
        format!("--peer-cert-file={}", file("peer.crt")),
        format!("--peer-key-file={}", file("peer.key")),
        "--peer-client-cert-auth".to_owned(),
        format!("--peer-trusted-ca-file={}", file("peer-ca.crt")),
        format!("--peer-crl-file={}", file("peer.crl")),
    ]);
    Process::start(command.args(more))
}

/// A put by the client `admin`, if it works.
fn put(desk: &Desk, at: SocketAddr) -> Option<()> {
    let admin = desk.path("clients/admin");
    let output = Command::new(Kind::Ours.program("etcdctl"))
        .env_clear()
        .arg(format!("--endpoints=https://{at}"))
        .arg("--cacert")
        .arg(desk.path("ca.crt"))
        .arg("--cert")
        .arg(admin.with_extension("crt"))
        .arg("--key")
        .arg(admin.with_extension("key"))
        .args(["put", "k", "v"])
        .output()
        .unwrap();
    output.status.success().then_some(())
}

/// What a member shows whom it calls may be another certificate than the one it serves with, and each
/// is good for its own end only.
#[test]
fn members_call_each_other_with_the_certificate_that_is_named_for_it() {
    let desk = Desk::ready();
    let names = ["m1", "m2"];
    let places = names.map(|_| (address::reserve(), address::reserve()));
    let cluster: Vec<String> =
        names.iter().zip(places).map(|(name, at)| format!("{name}=https://{}", at.1)).collect();
    let cluster = cluster.join(",");
    let host = address::host().to_string();
    let key = Key::from_pem("key", &desk.read("ca/peer-ca.key")).unwrap();
    let authority = Authority::load("authority", &desk.read("peer-ca.crt"), key).unwrap();
    let mut members = Vec::new();
    for (name, at) in names.into_iter().zip(places) {
        desk.run(&["issue", "server", name, "--san", &host]).good();
        let dir = desk.path(&format!("nodes/{name}"));
        for (stem, purpose) in [("peer", Purpose::Server), ("calls", Purpose::Client)] {
            // The kernel chooses where a call comes from.
            let hosts = vec![host.clone(), "127.0.0.1".to_owned()];
            let validity = Validity::starting(Clock.unix(), Duration::from_secs(86_400));
            let leaf = Leaf { common_name: name.to_owned(), hosts, purpose, validity };
            let issued = authority.issue(&leaf).unwrap();
            write_certificate(&dir.join(format!("{stem}.crt")), &issued.certificate).unwrap();
            write_key(&dir.join(format!("{stem}.key")), &issued.key).unwrap();
        }
        let flag = |what: &str, end: &str| {
            format!("--peer-client-{what}-file={}", dir.join(format!("calls.{end}")).display())
        };
        let flags = [flag("cert", "crt"), flag("key", "key")];
        members.push(member_with(&dir, name, at, &cluster, &flags));
    }
    eventually("a write through the cluster", || put(&desk, places[0].0));
}

#[test]
fn three_members_from_one_directory_and_a_client_is_none_of_them() {
    let desk = Desk::ready();
    let names = ["m1", "m2", "m3"];
    let places: Vec<_> = names.map(|_| (address::reserve(), address::reserve())).to_vec();
    let cluster: Vec<String> =
        names.iter().zip(&places).map(|(name, at)| format!("{name}=https://{}", at.1)).collect();
    let cluster = cluster.join(",");
    let host = address::host().to_string();
    let mut members = Vec::new();
    for (name, at) in names.iter().zip(&places) {
        desk.run(&["issue", "server", name, "--san", &host]).good();
        desk.run(&["issue", "peer", name, "--san", &host]).good();
        assert!(!desk.path(&format!("nodes/{name}/ca")).exists(), "keys of authorities went along");
        members.push(member(&desk.path(&format!("nodes/{name}")), name, *at, &cluster));
    }
    eventually("a write through the cluster", || put(&desk, places[0].0));
    // A client's certificate is refused on the port of members.
    let url = format!("https://{}", places[0].1);
    let said = desk.run(&["verify", &url, "--cacert", "pki/peer-ca.crt"]);
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    assert!(said.stdout.contains("refuses the client certificate"), "{}", said.stdout);
    members[0].wait_line("the reason", |line| {
        let reason = "certificate signed by an unknown authority";
        (line.contains("rejected connection") && line.contains(reason)).then_some(())
    });
    // A member's is not, and it is refused once it is revoked.
    let pair = ["--cert", "pki/nodes/m2/peer.crt", "--key", "pki/nodes/m2/peer.key"];
    let verify = [&["verify", &url, "--cacert", "pki/peer-ca.crt"][..], &pair].concat();
    let said = desk.run(&verify);
    assert!(said.stdout.contains("took the client certificate"), "{}", said.stdout);
    desk.run(&["revoke", "m2"]).good();
    eventually("the refusal", || (desk.run(&verify).code == Some(1)).then_some(()));
    members[0].wait_line("the reason", |line| {
        (line.contains("rejected connection") && line.contains("revoked")).then_some(())
    });
}
