//! What the service manager is told, heard on a socket of our own.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::support::server::{Kind, Server};
use crate::support::wait::LIMIT;

struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self { socket }
    }

    /// Waits for a datagram with this assignment among its lines and returns all of them.
    fn hear(&self, wanted: &str) -> Vec<String> {
        let mut buffer = [0; 4096];
        loop {
            let length = self
                .socket
                .recv(&mut buffer)
                .unwrap_or_else(|error| panic!("the service manager heard no {wanted}: {error}"));
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if lines.iter().any(|line| line.starts_with(wanted)) {
                return lines;
            }
        }
    }
}

#[test]
fn the_service_manager_hears_of_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify.sock");
    let manager = Manager::listen(&path);
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let mut server = Server::start_in(&Kind::Ours, "http", &[], &environment);
    let ready = manager.hear("READY=1");
    assert!(ready.iter().any(|line| line.starts_with("STATUS=")), "{ready:?}");
    // Two of them, so that it is a pulse.
    manager.hear("WATCHDOG=1");
    manager.hear("WATCHDOG=1");
    server.process.signal("HUP");
    let reloading = manager.hear("RELOADING=1");
    assert!(reloading.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading:?}");
    manager.hear("READY=1");
    server.process.signal("TERM");
    manager.hear("STOPPING=1");
    let status = server.process.wait_end();
    // etcd ends by the signal it was sent; the service manager counts that as clean.
    assert!(!status.success());
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
}

#[test]
fn without_a_service_manager_nothing_is_missed() {
    let mut server = Server::start(&Kind::Ours);
    server.process.signal("INT");
    let status = server.process.wait_end();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2));
}
