//! Addresses that must be known before anybody listens there: peer URLs are part of a cluster's ids.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A loopback host that no other test program uses. Connections go out from 127.0.0.1, so none of
/// them can take a port of this host either.
pub(crate) fn host() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | (high & 0x3f), middle, low)
}

/// A listener on a port of [`host`] that the system chose and that is given to nobody else.
pub(super) fn listener() -> TcpListener {
    loop {
        let listener = TcpListener::bind((host(), 0)).unwrap();
        if GIVEN.lock().unwrap().insert(listener.local_addr().unwrap().port()) {
            return listener;
        }
    }
}

/// An address for a process that is yet to start, and to start again.
pub(crate) fn reserve() -> SocketAddr {
    listener().local_addr().unwrap()
}
