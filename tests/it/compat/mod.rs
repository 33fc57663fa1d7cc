//! The same conversation with real etcd and with ours must read the same.

mod clients;
mod ctl;
mod ctl_keys;
mod ctl_leases;
mod ctl_mirror;
mod ctl_terminal;
mod ctl_watches;
mod http;
mod kv;
mod lease;
mod maintenance;
mod metrics;
mod txn;
mod watch;

use crate::support::reference;
pub(crate) use crate::support::server::{Kind, Server};
pub(crate) use crate::support::session::Session;

/// Plays `scenario` on a fresh real server and on a fresh one of ours and compares the records.
macro_rules! side_by_side {
    ($name:ident, $scenario:path) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let Some(folder) = $crate::support::reference::folder() else { return };
            let expected = {
                let server =
                    $crate::compat::Server::start(&$crate::compat::Kind::Reference(folder));
                let mut session = $crate::compat::Session::connect(&server.url()).await;
                $scenario(&mut session).await;
                session.into_record()
            };
            let server = $crate::compat::Server::start(&$crate::compat::Kind::Ours);
            let mut session = $crate::compat::Session::connect(&server.url()).await;
            $scenario(&mut session).await;
            $crate::compat::assert_same(&expected, &session.into_record());
        }
    };
}
pub(crate) use side_by_side;

/// Fails with the first places where the records part.
pub(crate) fn assert_same(expected: &[String], got: &[String]) {
    let parted: Vec<String> = expected
        .iter()
        .zip(got)
        .filter(|(expected, got)| expected != got)
        .take(8)
        .map(|(expected, got)| format!("\n etcd: {expected}\n ours: {got}"))
        .collect();
    assert!(parted.is_empty(), "answers differ from etcd's:{}", parted.concat());
    assert_eq!(expected.len(), got.len(), "one of the conversations is longer");
}

#[test]
fn the_reference_is_found_or_its_absence_is_said() {
    let _folder = reference::folder();
}
