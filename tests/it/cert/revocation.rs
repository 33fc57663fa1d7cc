//! A revocation reaches what is open, and every member.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::cert::Desk;
use crate::cert::load::{Cluster, Load, term};
use crate::cert::members::member;
use crate::support::cluster::address;
use crate::support::process::Process;
use crate::support::reference;
use crate::support::server::Kind;
use crate::support::wait::eventually;

const CLOSED: &str = "closed a connection: its certificate was revoked";

/// `etcdctl` of this kind, as the client `name`.
fn ctl(kind: &Kind, desk: &Desk, address: &str, name: &str, words: &[&str]) -> Command {
    let pair = desk.path(&format!("clients/{name}"));
    let mut command = Command::new(kind.program("etcdctl"));
    command.env_clear().args(["--dial-timeout=2s", "--command-timeout=4s"]);
    command.arg(format!("--endpoints=https://{address}"));
    command.arg("--cacert").arg(desk.path("ca.crt"));
    command.arg("--cert").arg(pair.with_extension("crt"));
    command.arg("--key").arg(pair.with_extension("key"));
    command.args(words);
    command
}

fn watch(kind: &Kind, desk: &Desk, address: &str, name: &str) -> Process {
    Process::start(&mut ctl(kind, desk, address, name, &["watch", "k"]))
}

fn put(desk: &Desk, address: &str, name: &str, value: &str) -> bool {
    ctl(&Kind::Ours, desk, address, name, &["put", "k", value]).output().unwrap().status.success()
}

/// Puts until the watcher tells of it: it may still be on its way.
fn sees(desk: &Desk, address: &str, watcher: &Process, value: &str) {
    eventually("the event", || {
        assert!(put(desk, address, "admin", value));
        watcher.printed().iter().any(|line| line == value).then_some(())
    });
}

fn closed(process: &Process) -> usize {
    process.output().iter().filter(|line| line.contains(CLOSED)).count()
}

#[test]
fn the_watches_of_a_revoked_client_end_and_others_go_on() {
    let desk = Desk::ready();
    desk.run(&["issue", "client", "app"]).good();
    let server = desk.server();
    let address = server.address();
    let real = reference::folder().map(Kind::Reference);
    let kinds: Vec<Kind> = [Kind::Ours].into_iter().chain(real).collect();
    let doomed: Vec<Process> =
        kinds.iter().map(|kind| watch(kind, &desk, address, "app")).collect();
    let spared = watch(&Kind::Ours, &desk, address, "admin");
    for watcher in doomed.iter().chain([&spared]) {
        sees(&desk, address, watcher, "before");
    }
    desk.run(&["revoke", "app"]).good();
    eventually("the end of its connections", || {
        (closed(&server.process) >= kinds.len()).then_some(())
    });
    sees(&desk, address, &spared, "after");
    for watcher in &doomed {
        assert!(!watcher.printed().iter().any(|line| line == "after"), "it goes on watching");
    }
    assert!(!put(&desk, address, "app", "mine"));
}

/// Brings what was prepared for a machine there, as people would: later lists do not come by
/// themselves.
fn bring(desk: &Desk, name: &str, machine: &Path) {
    std::fs::create_dir_all(machine).unwrap();
    for entry in std::fs::read_dir(desk.path(&format!("nodes/{name}"))).unwrap() {
        let from = entry.unwrap().path();
        let to = machine.join(from.file_name().unwrap());
        let beside = to.with_extension("new");
        std::fs::copy(&from, &beside).unwrap();
        std::fs::rename(beside, to).unwrap();
    }
}

#[test]
fn a_list_reaches_every_member_and_those_that_were_down() {
    let desk = Desk::ready();
    let names = ["m1", "m2", "m3"];
    let places: Vec<(SocketAddr, SocketAddr)> =
        names.map(|_| (address::reserve(), address::reserve())).to_vec();
    let cluster: Vec<String> =
        names.iter().zip(&places).map(|(name, at)| format!("{name}=https://{}", at.1)).collect();
    let cluster = cluster.join(",");
    let host = address::host().to_string();
    for name in names {
        desk.run(&["issue", "server", name, "--san", &host]).good();
        desk.run(&["issue", "peer", name, "--san", &host]).good();
    }
    let machines = tempfile::tempdir().unwrap();
    let machine = |name: &str| machines.path().join(name);
    names.iter().for_each(|name| bring(&desk, name, &machine(name)));
    for client in ["app", "late"] {
        desk.run(&["issue", "client", client]).good();
    }
    let start = |at: usize| member(&machine(names[at]), names[at], places[at], &cluster);
    let mut members: Vec<Process> = (0..3).map(start).collect();
    let addresses: Vec<String> = places.iter().map(|at| at.0.to_string()).collect();
    eventually("a cluster", || put(&desk, &addresses[0], "admin", "first").then_some(()));
    let watchers: Vec<Process> =
        addresses.iter().map(|at| watch(&Kind::Ours, &desk, at, "app")).collect();
    for (at, watcher) in addresses.iter().zip(&watchers) {
        sees(&desk, at, watcher, "before");
    }
    desk.run(&["revoke", "app"]).good();
    bring(&desk, "m1", &machine("m1"));
    for (at, member) in addresses.iter().zip(&members) {
        eventually("the end of its connection", || (closed(member) > 0).then_some(()));
        assert!(!put(&desk, at, "app", "mine"), "{at}");
        assert!(put(&desk, at, "admin", "after"), "{at}");
    }
    // One that is down meanwhile.
    members[2].kill();
    assert!(put(&desk, &addresses[1], "late", "x"));
    desk.run(&["revoke", "late"]).good();
    bring(&desk, "m1", &machine("m1"));
    eventually("the list on the second", || {
        (!put(&desk, &addresses[1], "late", "x")).then_some(())
    });
    members[0].kill();
    members[0] = start(0);
    members[2] = start(2);
    eventually("the third to serve", || put(&desk, &addresses[2], "admin", "x").then_some(()));
    eventually("the list on the third", || (!put(&desk, &addresses[2], "late", "x")).then_some(()));
    assert!(!put(&desk, &addresses[2], "app", "x"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_change_under_load_and_only_those_on_them_notice() {
    let cluster = Cluster::start();
    let (desk, app) = (&cluster.desk, cluster.app());
    let addresses: Vec<String> = cluster.places.iter().map(|place| place.0.to_string()).collect();
    let before = term(&app).await;
    let load = Load::start(&app).await;
    for number in 0..3 {
        let name = format!("doomed{number}");
        desk.run(&["issue", "client", &name]).good();
        for address in &addresses {
            eventually("the client to be let in", || put(desk, address, &name, "x").then_some(()));
        }
        desk.run(&["revoke", &name]).good();
        for address in &addresses {
            eventually("its refusal", || (!put(desk, address, &name, "x")).then_some(()));
        }
    }
    load.end().await;
    assert_eq!(term(&app).await, before, "a leader was lost");
}

#[test]
fn a_list_is_enforced_on_every_listener() {
    let desk = Desk::ready();
    desk.run(&["issue", "client", "app"]).good();
    let (http, metrics) = (address::reserve(), address::reserve());
    let server = desk.server_with(&[
        &format!("--listen-client-http-urls=https://{http}"),
        &format!("--listen-metrics-urls=https://{metrics}"),
    ]);
    let urls = [server.url(), format!("https://{http}"), format!("https://{metrics}")];
    let (certificate, key) = ("--cert=pki/clients/app.crt", "--key=pki/clients/app.key");
    let verify =
        |url: &String| desk.run(&["verify", url, "--server-name=localhost", certificate, key]);
    for url in &urls {
        let said = verify(url).good();
        assert!(said.stdout.contains("took the client certificate"), "{url}: {}", said.stdout);
    }
    desk.run(&["revoke", "app"]).good();
    for url in &urls {
        let refusal =
            eventually("the refusal", || Some(verify(url)).filter(|said| said.code == Some(1)));
        let refused = refusal.stdout.contains("refuses the client certificate");
        assert!(refused, "{url}: {}", refusal.stdout);
    }
}
