//! Connections without number.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{MIB, Neighbour, peak, server};
use crate::support::pki::Pki;
use crate::support::server::{Kind, Server};

/// As many half-open connections as the system gives this process files for, at most ten thousand.
fn half_open(server: &Server) -> Vec<TcpStream> {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = files.saturating_sub(200).min(10_000);
    let address = server.address().parse().unwrap();
    // The kernel's queue may be full meanwhile: then the others are as good as open for the server.
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok();
    (0..wanted).map_while(connect).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_half_open_connections_leave_an_established_client_alone() {
    let server = server();
    let neighbour = Neighbour::start(&server).await;
    let before = peak(&server);
    let open = tokio::task::block_in_place(|| half_open(&server));
    assert!(open.len() > 1_000, "only {} connections", open.len());
    neighbour.served(200).await;
    let taken = peak(&server).saturating_sub(before);
    assert!(taken < 128 * MIB, "{} MiB for {} connections", taken / MIB, open.len());
    drop(open);
    neighbour.leave().await;
    // A new client is let in again.
    Neighbour::start(&server).await.leave().await;
}

#[test]
fn a_handshake_that_stops_half_way_is_ended() {
    let pki = Pki::new();
    let flags = pki.server_flags();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let server = Server::start_with(&Kind::Ours, "https", &flags);
    let mut stopped = TcpStream::connect(server.address()).unwrap();
    // The head of a handshake record that never comes.
    stopped.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
    stopped.set_read_timeout(Some(crate::support::wait::LIMIT)).unwrap();
    let mut rest = Vec::new();
    // An orderly end or a reset; only silence would be wrong.
    match stopped.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "still open"),
    }
}
