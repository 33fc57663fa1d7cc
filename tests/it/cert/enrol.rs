//! From one directory to a cluster: an issuer, tokens, machines that join.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cert::{Answer, Desk};
use crate::support::cluster::address;
use crate::support::process::Process;
use crate::support::reference;
use crate::support::server::Kind;
use crate::support::wait::eventually;

/// The issuer of a directory, and where it is reached.
pub(super) struct Serving {
    pub(super) process: Process,
    /// Where it is reached.
    pub(super) url: String,
}

/// Starts the issuer of a directory, on a port of the system's choice.
pub(super) fn serve(desk: &Desk, more: &[&str]) -> Serving {
    let mut command = Command::new(Kind::Ours.program("etcd"));
    command.current_dir(desk.folder.path()).env_clear();
    command.args(["cert", "serve", "--pki-dir=pki", "--listen=https://127.0.0.1:0"]).args(more);
    let mut process = Process::start(&mut command);
    let url = process.wait_line("the issuer's address", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["msg"] == "serving certificates")
            .then(|| line["address"].as_str().map(str::to_owned))?
    });
    Serving { process, url }
}

pub(super) fn token(
    desk: &Desk,
    issuer: &Serving,
    role: &str,
    name: &str,
    more: &[&str],
) -> String {
    let words = ["token", "create", "--role", role, "--name", name, "--issuer", &issuer.url];
    let answer = desk.run(&[&words, more].concat()).good();
    answer.stdout.trim().to_owned()
}

/// `etcd cert join` on a machine whose files are below `home`.
pub(super) fn join(home: &Path, token: &str, more: &[&str]) -> Answer {
    std::fs::create_dir_all(home).unwrap();
    let mut command = Command::new(Kind::Ours.program("etcd"));
    command.current_dir(home).env_clear().args(["cert", "join", token, "--pki-dir=pki"]);
    Answer::of(&command.args(more).output().unwrap())
}

pub(super) fn start(home: &Path) -> Process {
    let mut command = Command::new(Kind::Ours.program("etcd"));
    command.current_dir(home).env_clear().arg("--config-file=etcd.conf.yml");
    Process::start(&mut command)
}

pub(super) fn etcdctl(desk: &Desk, at: SocketAddr, words: &[&str]) -> Answer {
    let program = reference::folder()
        .map_or_else(|| Kind::Ours.program("etcdctl"), |folder| folder.join("etcdctl"));
    let mut command = Command::new(program);
    command.env_clear().args(["--dial-timeout=2s", "--command-timeout=4s"]);
    command.arg(format!("--endpoints=https://{at}")).arg("--cacert").arg(desk.path("ca.crt"));
    command.arg("--cert").arg(desk.path("clients/admin.crt"));
    command.arg("--key").arg(desk.path("clients/admin.key"));
    Answer::of(&command.args(words).output().unwrap())
}

/// Where a member serves clients, and where members.
pub(super) type Place = (SocketAddr, SocketAddr);

/// The first member, after one command.
pub(super) fn found(desk: &Desk, at: Place) -> Process {
    let [client, peer] = [at.0, at.1].map(|at| format!("https://{at}"));
    desk.run(&[
        "init",
        "--config-out=etcd.conf.yml",
        "--name=m1",
        &format!("--listen-client-urls={client}"),
        &format!("--advertise-client-urls={client}"),
        &format!("--listen-peer-urls={peer}"),
        &format!("--initial-advertise-peer-urls={peer}"),
    ])
    .good();
    start(desk.folder.path())
}

pub(super) fn three_voters(desk: &Desk, places: &[Place]) {
    eventually("three voters", || {
        let listed = etcdctl(desk, places[0].0, &["member", "list"]);
        let voters = listed.stdout.lines().filter(|line| line.ends_with("false")).count();
        (voters == 3).then_some(())
    });
    for (number, at) in places.iter().enumerate() {
        let value = format!("through {number}");
        eventually("a write through each member", || {
            (etcdctl(desk, at.0, &["put", "k", &value]).code == Some(0)).then_some(())
        });
        assert_eq!(etcdctl(desk, at.0, &["get", "k"]).good().stdout, format!("k\n{value}\n"));
    }
}

#[test]
fn two_tokens_and_two_joins_make_three_voters() {
    let desk = Desk::new();
    let places = [(); 3].map(|()| (address::reserve(), address::reserve()));
    let client = format!("https://{}", places[0].0);
    let mut members = vec![found(&desk, places[0])];
    let mut issuer = serve(&desk, &["--endpoints", &client]);
    let homes: Vec<PathBuf> =
        ["m2", "m3"].iter().map(|name| desk.folder.path().join(name)).collect();
    let tokens = ["m2", "m3"].map(|name| token(&desk, &issuer, "member", name, &[]));
    eventually("a write", || {
        (etcdctl(&desk, places[0].0, &["put", "k", "1"]).code == Some(0)).then_some(())
    });
    let joins = |place: usize| {
        let at = places[place + 1];
        let urls =
            [format!("--client-url=https://{}", at.0), format!("--peer-url=https://{}", at.1)];
        join(&homes[place], &tokens[place], &[&urls[0], &urls[1], "--timeout=60s"])
    };
    joins(0).good();
    // What broke off may be repeated, and a token that was used is good for nobody else.
    let again = joins(0).good();
    assert!(again.stdout.contains("kept"), "{}", again.stdout);
    let thief = join(&desk.folder.path().join("thief"), &tokens[0], &[]);
    assert!(thief.stderr.contains("was used already"), "{}", thief.stderr);
    std::thread::scope(|scope| {
        // The second waits until the first has its vote.
        let second = scope.spawn(|| joins(1));
        members.push(start(&homes[0]));
        second.join().unwrap().good();
    });
    // The wish to promote survives the issuer.
    issuer.process.signal("TERM");
    assert!(issuer.process.wait_end().success());
    members.push(start(&homes[1]));
    let _issuer = serve(&desk, &["--endpoints", &client]);
    three_voters(&desk, &places);
    eventually("the tokens to be settled", || {
        let told = desk.run(&["token", "list", "--output=json"]).good().json();
        let voters = told["tokens"].as_array()?.iter().filter(|one| one["state"] == "voter");
        (voters.count() == 2).then_some(())
    });
    for home in &homes {
        assert!(!home.join("pki/ca").exists(), "keys of authorities went along");
    }
}

#[test]
fn a_client_joins_as_often_as_its_token_says() {
    let desk = Desk::ready();
    let issuer = serve(&desk, &[]);
    let text = token(&desk, &issuer, "client", "app", &["--uses=2"]);
    let secret_kept =
        desk.contents().iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(&text));
    assert!(!secret_kept, "the token is on the issuer's disk");
    for name in ["one", "two"] {
        let home = desk.folder.path().join(name);
        join(&home, &text, &[]).good();
        let again = join(&home, &text, &[]).good();
        assert!(again.stdout.contains("etcdctl --cacert"), "{}", again.stdout);
        assert!(home.join("pki/clients/app.key").is_file());
    }
    let third = join(&desk.folder.path().join("three"), &text, &[]);
    assert_eq!(third.code, Some(1));
    assert!(third.stderr.contains("was used already"), "{}", third.stderr);
    let revoked = token(&desk, &issuer, "client", "late", &[]);
    let listed = desk.run(&["token", "list", "--output=json"]).good().json();
    let ids = listed["tokens"].as_array().unwrap().iter();
    let id = ids.filter(|one| one["name"] == "late").find_map(|one| one["id"].as_str()).unwrap();
    desk.run(&["token", "revoke", id]).good();
    let refused = join(&desk.folder.path().join("late"), &revoked, &[]);
    assert!(refused.stderr.contains("not known here, or was revoked"), "{}", refused.stderr);
}

#[test]
fn nothing_is_told_to_somebody_with_another_root() {
    let (desk, other) = (Desk::ready(), Desk::ready());
    let (mut issuer, impostor) = (serve(&desk, &[]), serve(&other, &[]));
    let text = token(&desk, &impostor, "client", "app", &[]);
    let refused = join(&desk.folder.path().join("one"), &text, &[]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("is not the issuer that is known"), "{}", refused.stderr);
    // Another server of the same root is no issuer either.
    let server = desk.server();
    let words = ["token", "create", "--role=client", "--name=app", "--issuer", &server.url()];
    let text = desk.run(&words).good().stdout;
    let refused = join(&desk.folder.path().join("two"), text.trim(), &[]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("is not the issuer that is known"), "{}", refused.stderr);
    issuer.process.signal("TERM");
    assert!(issuer.process.wait_end().success());
    let plain = desk.run(&["serve", "--listen=http://127.0.0.1:0"]);
    assert!(plain.stderr.contains("is not encrypted"), "{}", plain.stderr);
}
