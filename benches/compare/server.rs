//! The servers' side: one member or several that form a cluster, where they serve, what they use.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use etcd::proto::etcdserverpb::StatusRequest;
use etcd::types::clock::Clock;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::Error;
use crate::identity::Identity;
use crate::keys;
use crate::member::{Member, Starting};
use crate::process::Usage;
use crate::wire::Wire;

/// Room for the largest load on either side: real etcd stops at 2 GB otherwise.
const QUOTA: &str = "--quota-backend-bytes=17179869184";
/// Seconds without work after which memory has settled, and how long that may take.
const QUIET_SECONDS: u32 = 3;
const LONGEST_SETTLE_SECONDS: u32 = 90;
/// Less of one core than this is no work.
const QUIET_CPU: Duration = Duration::from_millis(50);

/// How long a cluster may take to agree on a leader.
const LONGEST_ELECTION: Duration = Duration::from_secs(30);

/// Which program is measured.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// How the tables call it.
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
}

impl Program {
    /// The first line it tells of itself.
    ///
    /// # Errors
    /// If it cannot be run.
    pub(crate) fn version(&self) -> Result<String, Error> {
        let told = Command::new(&self.path).arg("--version").env_clear().output()?;
        let told = String::from_utf8(told.stdout)?;
        Ok(told.lines().next().unwrap_or_default().to_owned())
    }

    /// The `etcdctl` that comes with it.
    pub(crate) fn tool(&self) -> PathBuf {
        self.path.with_file_name("etcdctl")
    }
}

/// A running server of one or more members; dropping it kills them and removes their directories.
pub(crate) struct Server {
    program: Program,
    /// Removed last.
    members: Vec<Member>,
    _folder: TempDir,
}

impl Server {
    /// Starts so many members on empty directories and waits until all of them say where they serve.
    ///
    /// # Errors
    /// If one does not start.
    pub(crate) fn start(
        program: &Program,
        identity: &Identity,
        members: usize,
    ) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let peers = if members > 1 { free_addresses(members)? } else { vec!["127.0.0.1:0".into()] };
        let scheme = if members > 1 { identity.scheme() } else { "http" };
        let name = |number: usize| format!("m{number}");
        let url = |peer: &String| format!("{scheme}://{peer}");
        let cluster: Vec<String> = peers
            .iter()
            .enumerate()
            .map(|(number, peer)| format!("{}={}", name(number), url(peer)))
            .collect();
        let mut starting = Vec::new();
        for (number, peer) in peers.iter().enumerate() {
            let client = format!("{}://127.0.0.1:0", identity.scheme());
            let mut flags = identity.server_flags();
            if members > 1 {
                flags.extend(identity.peer_flags());
            }
            flags.extend([
                format!("--name={}", name(number)),
                "--data-dir=data".to_owned(),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={}", url(peer)),
                format!("--initial-advertise-peer-urls={}", url(peer)),
                format!("--initial-cluster={}", cluster.join(",")),
                QUOTA.to_owned(),
            ]);
            let home = folder.path().join(name(number));
            std::fs::create_dir(&home)?;
            starting.push(Starting::new(program, home, flags)?);
        }
        let members = starting.into_iter().map(Starting::serving).collect::<Result<_, _>>()?;
        Ok(Self { program: program.clone(), members, _folder: folder })
    }

    /// Ends a server of one member with this signal and starts it again on its data. Tells how long it
    /// took from the start of the program to the first linearizable answer.
    ///
    /// # Errors
    /// If it does not end, start or answer.
    pub(crate) async fn restart(
        &mut self,
        signal: Signal,
        identity: &Identity,
    ) -> Result<Duration, Error> {
        self.end(0, signal)?;
        let start = Clock.now();
        self.revive(0)?;
        loop {
            let answer = match self.connect(identity, 1).await {
                Ok(wires) => first_answer(&wires).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(()) => return Ok(start.elapsed()),
                Err(error) if self.member(0)?.has_ended()? => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// Ends a member by a signal and waits until it is gone.
    ///
    /// # Errors
    /// If there is none of this number, or it cannot be signalled.
    pub(crate) fn end(&mut self, member: usize, signal: Signal) -> Result<(), Error> {
        self.members.get_mut(member).ok_or("no such member")?.end(signal)
    }

    /// Starts a member again on its data and waits until it serves.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn revive(&mut self, member: usize) -> Result<(), Error> {
        let place = self.members.get_mut(member).ok_or("no such member")?;
        *place = place.again(&self.program)?.serving()?;
        Ok(())
    }

    /// Where the first member serves.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn address(&self) -> Result<&str, Error> {
        Ok(self.members.first().ok_or("no member")?.address())
    }

    fn member(&mut self, member: usize) -> Result<&mut Member, Error> {
        Ok(self.members.get_mut(member).ok_or("no such member")?)
    }

    /// The number of the member that leads, according to itself.
    ///
    /// # Errors
    /// If none says so within a while.
    pub(crate) async fn leader(&self, identity: &Identity) -> Result<usize, Error> {
        let start = Clock.now();
        while start.elapsed() < LONGEST_ELECTION {
            for (number, member) in self.members.iter().enumerate() {
                let wires = identity.connect(member.address(), 1).await?;
                let wire = wires.first().ok_or("no connection")?;
                let status = wire.maintenance().status(StatusRequest {}).await?.into_inner();
                if status.header.is_some_and(|header| header.member_id == status.leader) {
                    return Ok(number);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("no member says that it leads".into())
    }

    /// Opens so many connections, spread over the members and the leader first.
    ///
    /// # Errors
    /// If nobody leads or listens.
    pub(crate) async fn connect(
        &self,
        identity: &Identity,
        many: usize,
    ) -> Result<Vec<Wire>, Error> {
        let first = if self.members.len() > 1 { self.leader(identity).await? } else { 0 };
        let mut wires = Vec::new();
        for member in self.members.iter().cycle().skip(first).take(many) {
            wires.extend(identity.connect(member.address(), 1).await?);
        }
        Ok(wires)
    }

    /// One connection to each member but this one.
    ///
    /// # Errors
    /// If one does not listen.
    pub(crate) async fn connect_others(
        &self,
        identity: &Identity,
        but: usize,
    ) -> Result<Vec<Wire>, Error> {
        let mut wires = Vec::new();
        for (_, member) in self.members.iter().enumerate().filter(|(number, _)| *number != but) {
            wires.extend(identity.connect(member.address(), 1).await?);
        }
        Ok(wires)
    }

    /// What all members have used so far.
    ///
    /// # Errors
    /// If one is gone.
    pub(crate) fn usage(&self) -> Result<Usage, Error> {
        self.members.iter().map(Member::usage).sum()
    }

    /// Waits until it has nothing to do any more, or for so long that it never will.
    pub(crate) async fn settle(&self, quick: bool) -> Result<Usage, Error> {
        let idle = QUIET_CPU * self.members.len().try_into()?;
        let mut before = self.usage()?;
        let mut quiet = 0;
        for _ in 0..if quick { 1 } else { LONGEST_SETTLE_SECONDS } {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.usage()?;
            quiet = if now.cpu.saturating_sub(before.cpu) < idle { quiet + 1 } else { 0 };
            before = now;
            if quiet == QUIET_SECONDS {
                break;
            }
        }
        Ok(before)
    }
}

/// Addresses that nobody listens on; members must know them of each other before they start.
fn free_addresses(many: usize) -> Result<Vec<String>, Error> {
    let listeners: Vec<TcpListener> =
        (0..many).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

async fn first_answer(wires: &[Wire]) -> Result<(), Error> {
    let mut client = wires.first().ok_or("no connection")?.kv();
    client.range(keys::get(0)).await?;
    Ok(())
}
