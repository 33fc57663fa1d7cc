//! Listening sockets that the service manager opened and passed on (sd_listen_fds(3)): each is taken in the
//! place of the URL it fits.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

use super::error::BindError;
use crate::types::url::Url;

/// Sockets that were passed on and are not taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<Passed>,
}

/// One of them.
#[derive(Debug)]
struct Passed {
    /// Its number among the sockets passed on, from zero.
    number: usize,
    /// What the unit calls it (`FileDescriptorName=`); empty where it has no name.
    name: String,
    socket: Open,
}

/// An open socket.
#[derive(Debug)]
pub(super) enum Open {
    /// TCP, and where it listens.
    Tcp(TcpListener, SocketAddr),
    /// A file, and its path.
    Unix(UnixListener, String),
}

impl Inherited {
    /// Takes what `LISTEN_FDS` speaks of, if `LISTEN_PID` says that it is for this process, and the names in
    /// `LISTEN_FDNAMES`. From here on no program that is started gets the sockets. To be called once, before
    /// other threads run.
    ///
    /// # Errors
    /// If one of them is no stream socket.
    pub fn from_env() -> Result<Self, BindError> {
        let var = |name| std::env::var(name).unwrap_or_default();
        if var("LISTEN_PID") != std::process::id().to_string() {
            return Ok(Self::default());
        }
        let names = var("LISTEN_FDNAMES");
        let mut passed = ListenFd::from_env();
        let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
        let mut sockets = Vec::new();
        for (number, name) in (0..passed.len()).zip(names) {
            let socket = open(&mut passed, number).map_err(|source| BindError::NoSocket {
                number,
                name: name.clone(),
                source,
            })?;
            // What systemd says of a socket whose unit gives it no name.
            let name = if name == "unknown" { String::new() } else { name };
            sockets.push(Passed { number, name, socket });
        }
        Ok(Self { sockets })
    }

    /// The socket for one URL of the list `name` (`client`, `peer`, …), if one was passed on: it listens at
    /// the URL's address, and has no name or this one; or it has this name and listens at the URL's port.
    pub(super) fn take(&mut self, name: &str, url: &Url) -> Option<Open> {
        let at_address =
            |passed: &Passed| (passed.is_free() || passed.name == name) && passed.socket.is_at(url);
        // Everybody must not reach in plaintext what was meant for this machine.
        let exposes =
            |passed: &Passed| !url.scheme.is_tls() && url.is_local() && !passed.socket.is_local();
        let named = |passed: &Passed| {
            passed.name == name && passed.socket.has_port_of(url) && !exposes(passed)
        };
        let found = self.sockets.iter().position(at_address);
        let found = found.or_else(|| self.sockets.iter().position(named))?;
        Some(self.sockets.remove(found).socket)
    }

    /// Refuses to leave a socket alone on which clients would wait for ever.
    ///
    /// # Errors
    /// If one was not taken, with what it is and what to do.
    pub fn finish(&self) -> Result<(), BindError> {
        let Some(Passed { number, name, socket }) = self.sockets.first() else { return Ok(()) };
        let (number, name, address) = (*number, name.clone(), socket.address());
        Err(BindError::Unclaimed { number, name, address })
    }
}

impl Passed {
    /// Whether its name says nothing: none was given, or systemd took that of the unit.
    fn is_free(&self) -> bool {
        self.name.is_empty() || self.name.ends_with(".socket")
    }
}

impl Open {
    fn is_at(&self, url: &Url) -> bool {
        match self {
            Self::Unix(_, path) => url.scheme.is_unix() && *path == url.authority,
            Self::Tcp(_, address) => {
                let host = url.host().trim_matches(['[', ']']);
                let same = match host.parse::<IpAddr>() {
                    Ok(ip) => ip == address.ip(),
                    Err(_) if host == "localhost" => address.ip().is_loopback(),
                    Err(_) => host.is_empty() && address.ip().is_unspecified(),
                };
                !url.scheme.is_unix() && same && url.port() == Some(address.port())
            }
        }
    }

    fn has_port_of(&self, url: &Url) -> bool {
        match self {
            Self::Unix(..) => url.scheme.is_unix(),
            Self::Tcp(_, address) => {
                let port = url.port().filter(|port| *port != 0);
                !url.scheme.is_unix() && port.is_none_or(|port| port == address.port())
            }
        }
    }

    fn is_local(&self) -> bool {
        match self {
            Self::Tcp(_, address) => address.ip().is_loopback(),
            Self::Unix(..) => true,
        }
    }

    fn address(&self) -> String {
        match self {
            Self::Tcp(_, address) => address.to_string(),
            Self::Unix(_, path) => path.clone(),
        }
    }
}

fn open(passed: &mut ListenFd, number: usize) -> std::io::Result<Open> {
    let gone = || std::io::Error::other("it was taken already");
    // Whatever is no TCP socket stays for the next question.
    if let Ok(Some(listener)) = passed.take_tcp_listener(number) {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        return Ok(Open::Tcp(listener, address));
    }
    let listener = passed.take_unix_listener(number)?.ok_or_else(gone)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let path = address.as_pathname().map(|path| path.display().to_string());
    Ok(Open::Unix(listener, path.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(names: &[&str]) -> (Inherited, Vec<u16>) {
        let mut ports = Vec::new();
        let sockets = names.iter().enumerate().map(|(number, name)| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            ports.push(address.port());
            Passed { number, name: (*name).to_owned(), socket: Open::Tcp(listener, address) }
        });
        let sockets = sockets.collect();
        (Inherited { sockets }, ports)
    }

    fn url(text: &str, port: u16) -> Url {
        Url::parse(&format!("{text}:{port}")).unwrap()
    }

    #[test]
    fn a_socket_is_taken_by_its_address_or_its_name() {
        let (mut all, ports) = passed(&["", "peer", "etcd.socket", "client"]);
        assert!(
            all.take("client", &url("https://127.0.0.1", ports[1])).is_none(),
            "it is a peer's"
        );
        assert!(all.take("client", &url("https://127.0.0.2", ports[0])).is_none());
        assert!(all.take("client", &url("https://127.0.0.1", ports[0])).is_some());
        assert!(all.take("peer", &url("https://10.0.0.1", ports[1])).is_some());
        assert!(all.take("metrics", &url("http://localhost", ports[2])).is_some());
        assert!(all.take("client", &url("http://10.0.0.1", 0)).is_some());
        all.finish().unwrap();
    }

    #[test]
    fn plaintext_for_this_machine_is_not_served_to_everybody() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = Open::Tcp(listener, address);
        let mut all =
            Inherited { sockets: vec![Passed { number: 0, name: "client".to_owned(), socket }] };
        assert!(all.take("client", &url("http://localhost", address.port())).is_none());
        assert!(all.take("client", &url("https://localhost", address.port())).is_some());
    }

    #[test]
    fn a_socket_that_fits_nothing_is_named() {
        let (all, ports) = passed(&["admin"]);
        let said = all.finish().unwrap_err().to_string();
        let wanted = format!("socket 0 (\"admin\") at 127.0.0.1:{}", ports[0]);
        assert!(said.contains(&wanted) && said.contains("FileDescriptorName="), "{said}");
    }
}
