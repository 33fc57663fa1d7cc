//! Programs that use other people's client libraries must not notice which server answers them.

use std::process::Command;
use std::time::Duration;

use crate::compat::assert_same;
use crate::support::pki::Pki;
use crate::support::process::Process;
use crate::support::reference;
use crate::support::server::{Kind, Server};

/// How long a program may talk to a server; each watches its own time and ends before.
const LIMIT: Duration = Duration::from_secs(150);

/// Fewer lines than this are no conversation.
const LEAST: usize = 50;

#[test]
fn the_go_client_3_5_notices_nothing() {
    notices_nothing("go-3.5");
}

#[test]
fn the_go_client_3_6_notices_nothing() {
    notices_nothing("go-3.6");
}

#[test]
fn the_python_client_notices_nothing() {
    notices_nothing("python");
}

#[test]
fn the_node_client_notices_nothing() {
    notices_nothing("node");
}

#[test]
fn the_java_client_notices_nothing() {
    notices_nothing("java");
}

/// The program's record of its conversation with real etcd and with ours, in plaintext and with
/// certificates on both sides, is the same.
fn notices_nothing(name: &str) {
    let Some(folder) = reference::folder() else { return };
    let Some(program) = reference::client(name) else { return };
    let real = Kind::Reference(folder);
    let plain = |kind: &Kind| {
        let server = Server::start(kind);
        converse(Command::new(&program).args(["--endpoint", &server.url()]))
    };
    assert_same(&plain(&real), &plain(&Kind::Ours));
    let mutual = |kind: &Kind| {
        let pki = Pki::new();
        let flags = pki.server_flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let server = Server::start_with(kind, "https", &flags);
        let mut command = Command::new(&program);
        command.args(["--endpoint", &server.url()]).args(pki.client_flags("client"));
        converse(&mut command)
    };
    assert_same(&mutual(&real), &mutual(&Kind::Ours));
}

fn converse(command: &mut Command) -> Vec<String> {
    let mut process = Process::start(command);
    let status = process.wait_end_for(LIMIT);
    let record = process.printed();
    assert!(status.success(), "{command:?}: {status}");
    assert!(record.len() >= LEAST, "only {} lines: {record:?}", record.len());
    record
}
