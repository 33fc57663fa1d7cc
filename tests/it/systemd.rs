//! What the service manager is told, heard on a socket of our own.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use etcd::certs::Purpose;

use crate::support::http;
use crate::support::manager::Manager;
use crate::support::pki::{Pki, valid};
use crate::support::process::Process;
use crate::support::server::{ALONE, Kind, Server};
use crate::support::session::{Session, put};
use crate::support::wait::{eventually, within};

fn status(lines: &[String]) -> &str {
    lines.iter().find_map(|line| line.strip_prefix("STATUS=")).unwrap()
}

#[test]
fn the_service_manager_hears_of_every_step() {
    let manager = Manager::new();
    let path = manager.path();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let mut server = Server::start_in(&Kind::Ours, "http", &[], &environment);
    let (ready, before) = manager.hear_after("READY=1");
    let said = status(&ready);
    assert!(
        said.starts_with("serving as leader in term ") && said.ends_with("; 1 member"),
        "{said}"
    );
    assert!(before.iter().any(|line| line.starts_with("STATUS=starting: ")), "{before:?}");
    assert!(!before.iter().any(|line| line.starts_with("WATCHDOG=")), "{before:?}");
    // Two of them, so that it is a pulse.
    manager.hear("WATCHDOG=1");
    manager.hear("WATCHDOG=1");
    server.process.signal("HUP");
    let reloading = manager.hear("RELOADING=1");
    assert!(reloading.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading:?}");
    assert!(status(&manager.hear("READY=1")).starts_with("serving as leader"));
    server.process.signal("TERM");
    assert!(status(&manager.hear("STOPPING=1")).starts_with("stopping: "));
    manager.hear("EXTEND_TIMEOUT_USEC=42000000");
    let status = server.process.wait_end();
    // etcd ends by the signal it was sent; the service manager counts that as clean.
    assert!(!status.success());
    assert_eq!(status.signal(), Some(15));
}

#[test]
fn without_a_service_manager_nothing_is_missed() {
    let mut server = Server::start(&Kind::Ours);
    server.process.signal("INT");
    let status = server.process.wait_end();
    assert_eq!(status.signal(), Some(2));
}

#[test]
fn the_certificate_that_ends_first_is_shown() {
    let pki = Pki::new();
    pki.issue("server", Purpose::Server, &["127.0.0.1"], valid());
    let manager = Manager::new();
    let path = manager.path();
    let flags = pki.server_flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let _server = Server::start_in(&Kind::Ours, "https", &flags, &environment);
    let ready = manager.hear("READY=1");
    let said = status(&ready);
    // Everything of this test ends within a day.
    assert!(said.contains("; server.crt expires in 2") && said.ends_with(" hours"), "{said}");
}

/// The stream is known by device and inode, so that a file is left alone that took its place.
#[test]
fn lines_for_the_journal_carry_their_priority() {
    for is_journal in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("stream");
        let file = std::fs::File::create(&path).unwrap().metadata().unwrap();
        let inode = if is_journal { file.ino() } else { file.ino() + 1 };
        let daemon = Kind::Ours.daemon(home.path(), "http", ALONE);
        let mut command = Command::new("sh");
        command.current_dir(home.path()).env("JOURNAL_STREAM", format!("{}:{inode}", file.dev()));
        command.args(["-c", "exec \"$0\" \"$@\" 2>stream"]);
        command.arg(daemon.get_program()).args(daemon.get_args());
        let _process = Process::start(&mut command);
        let line = eventually("the line", || {
            let text = std::fs::read_to_string(&path).unwrap();
            let found = text.lines().find(|line| line.contains("ready to serve client requests"));
            found.map(str::to_owned)
        });
        assert_eq!(line.starts_with("<6>{"), is_journal, "{line}");
        assert_eq!(line.starts_with('{'), !is_journal, "{line}");
    }
}

/// One of three: nobody answers, so it is not ready, says why, and asks for time as long as it takes.
#[test]
fn a_member_without_a_quorum_says_whom_it_waits_for() {
    let manager = Manager::new();
    let home = tempfile::tempdir().unwrap();
    let mut command = Kind::Ours.daemon(home.path(), "http", "http://127.0.0.1:1");
    // Ports of the system, which nobody listens on.
    let cluster =
        "--initial-cluster=default=http://127.0.0.1:1,b=http://127.0.0.1:2,c=http://127.0.0.1:3";
    command.arg(cluster).env("NOTIFY_SOCKET", manager.path());
    let mut process = Process::start(&mut command);
    let waits = "STATUS=waiting for quorum: 1 of 3 members reachable, 2 needed";
    let (_, before) = manager.hear_after(waits);
    assert!(!before.iter().any(|line| line.starts_with("READY=")), "{before:?}");
    manager.hear("EXTEND_TIMEOUT_USEC=60000000");
    manager.hear("EXTEND_TIMEOUT_USEC=60000000");
    process.signal("TERM");
    manager.hear("STOPPING=1");
    assert_eq!(process.wait_end().signal(), Some(15));
}

/// Starts the daemon as systemd would that has opened this socket for it and calls it `name`.
fn start_with_socket(home: &Path, name: &str, listener: TcpListener) -> Process {
    let daemon = Kind::Ours.daemon(home, "http", ALONE);
    let mut command = Command::new("bash");
    command.current_dir(home).env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", name);
    command.args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 0</dev/null"]);
    command.arg(daemon.get_program()).args(daemon.get_args());
    Process::start_on(&mut command, OwnedFd::from(listener).into())
}

#[tokio::test]
async fn sockets_that_are_passed_on_are_served() {
    let line = |process: &mut Process, what: &str| {
        process.wait_line(what, |line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            let says = line["msg"].as_str()?.starts_with(what);
            says.then(|| line["address"].as_str().map(str::to_owned)).flatten()
        })
    };
    for name in ["client", "peer"] {
        let home = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut process = start_with_socket(home.path(), name, listener);
        let client = line(&mut process, "serving client traffic");
        let peer = line(&mut process, "serving peer traffic");
        let peer = peer.trim_start_matches("http://").to_owned();
        assert_eq!((client == address, peer == address), (name == "client", name == "peer"));
        let mut session = Session::connect(&format!("http://{client}")).await;
        within("a put", session.kv.put(put("k", "v"))).await.unwrap();
        assert_eq!(http::request(&peer, "GET", "/version").status, 200);
    }
}

#[test]
fn a_socket_that_fits_nothing_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut process = start_with_socket(home.path(), "admin", listener);
    assert_eq!(process.wait_end().code(), Some(1));
    let said = process.output().join(
        "
",
    );
    let wanted = format!("at {address} of the service manager fits no URL to listen at");
    assert!(said.contains(&wanted), "{said}");
}
