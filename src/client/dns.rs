//! Looks up SRV records (RFC 2782), which the system's resolver does not: one question to the servers
//! `/etc/resolv.conf` names, by UDP and, if the answer is too long for that, by TCP (RFC 1035,
//! RFC 7766). Nothing is cached and no search list is used: the tools ask once, for a whole name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::message::{self, Answer, Fault, Service};
use crate::transport::random;

/// How long one server may take, and how often all of them are asked, as resolvers usually do.
const PATIENCE: Duration = Duration::from_secs(5);
const ROUNDS: usize = 2;
/// Longest answer taken by UDP.
const DATAGRAM: usize = 4096;

/// The servers of a machine.
#[derive(Clone, Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    patience: Duration,
}

impl Resolver {
    /// The servers that a file such as `/etc/resolv.conf` names; this machine's if it names none.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let named = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
            address.parse::<IpAddr>().ok()
        });
        let mut servers: Vec<SocketAddr> = named.map(|ip| SocketAddr::new(ip, 53)).collect();
        if servers.is_empty() {
            servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
        }
        Self { servers, patience: PATIENCE }
    }

    /// The services that the SRV records of `name` list, those to prefer first.
    ///
    /// # Errors
    /// Why there is none, in Go's words, with the server that said so.
    pub async fn services(&self, name: &str) -> Result<Vec<Service>, String> {
        let mut last = String::new();
        for server in self.servers.iter().cycle().take(self.servers.len() * ROUNDS) {
            let fault = match self.ask(name, *server).await {
                Ok(mut services) => {
                    services.sort_by_key(|service| service.priority);
                    return Ok(services);
                }
                Err(fault) => fault,
            };
            last = format!("lookup {name} on {server}: {fault}");
            if matches!(fault, Fault::NoSuchHost | Fault::Name) {
                break;
            }
        }
        Err(last)
    }

    async fn ask(&self, name: &str, server: SocketAddr) -> Result<Vec<Service>, Fault> {
        let id = u16::from_ne_bytes(random().map_err(|error| Fault::Io(error.to_string()))?);
        let question = message::question(id, name)?;
        let asking = async {
            match by_udp(&question, server).await? {
                Answer::Services(services) => Ok(services),
                Answer::TooLong => match by_tcp(&question, server).await? {
                    Answer::Services(services) => Ok(services),
                    Answer::TooLong => Err(Fault::Malformed),
                },
            }
        };
        tokio::time::timeout(self.patience, asking).await.unwrap_or(Err(Fault::Silent))
    }
}

fn refused(error: &io::Error) -> Fault {
    Fault::Io(error.to_string())
}

async fn by_udp(question: &[u8], server: SocketAddr) -> Result<Answer, Fault> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(|error| refused(&error))?;
    // Connected, so that nobody else's datagram is taken for the answer.
    socket.connect(server).await.map_err(|error| refused(&error))?;
    socket.send(question).await.map_err(|error| refused(&error))?;
    let mut bytes = vec![0; DATAGRAM];
    loop {
        let length = socket.recv(&mut bytes).await.map_err(|error| refused(&error))?;
        match message::answer(question, bytes.get(..length).unwrap_or_default()) {
            // A late answer to another question, or somebody's guess.
            Err(Fault::Stranger) => {}
            answer => return answer,
        }
    }
}

async fn by_tcp(question: &[u8], server: SocketAddr) -> Result<Answer, Fault> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(question.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], question].concat()).await?;
        let length = stream.read_u16().await?;
        let mut bytes = vec![0; usize::from(length)];
        stream.read_exact(&mut bytes).await?;
        io::Result::Ok(bytes)
    };
    let bytes = exchange.await.map_err(|error| refused(&error))?;
    message::answer(question, &bytes)
}

#[cfg(test)]
mod tests;
