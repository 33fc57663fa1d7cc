//! Which process a connection comes from, as the kernel tells it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

/// The member whose process holds the far end of a connection that was accepted at `near`.
pub(super) fn of_connection(
    near: SocketAddr,
    far: SocketAddr,
    processes: &BTreeMap<usize, u32>,
) -> Option<usize> {
    let wanted = format!("socket:[{}]", inode(near, far)?);
    let holds = |pid: u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|link| link == Path::new(&wanted))
    };
    processes.iter().find(|(_, pid)| holds(**pid)).map(|(member, _)| *member)
}

/// The number of the socket at the far end.
fn inode(near: SocketAddr, far: SocketAddr) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let (own, other) = (in_table(far)?, in_table(near)?);
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let found = fields.get(1) == Some(&own.as_str()) && fields.get(2) == Some(&other.as_str());
        found.then(|| fields.get(9)?.parse().ok()).flatten()
    })
}

/// An address as the kernel's table spells it.
fn in_table(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    let host = u32::from_ne_bytes(address.ip().octets());
    Some(format!("{host:08X}:{:04X}", address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_traced_to_the_process_that_made_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = listener.local_addr().unwrap();
        let made = std::net::TcpStream::connect(near).unwrap();
        let far = made.local_addr().unwrap();
        let processes = BTreeMap::from([(4, 1), (7, std::process::id())]);
        assert_eq!(of_connection(near, far, &processes), Some(7));
        assert_eq!(of_connection(near, far, &BTreeMap::from([(4, 1)])), None);
    }
}
