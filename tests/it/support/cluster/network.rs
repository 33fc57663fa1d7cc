//! The network between members: every member's peer URL leads to a proxy here, which knows who
//! connects and can hold back, delay or lose what one member sends to another.
//!
//! What is held back arrives later, as retransmissions do when a real network heals; whoever tried
//! to connect meanwhile is turned away then. A lost packet is one that takes the time of its
//! retransmission: a program above TCP sees no other loss.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::owner;
use crate::support::random::Random;

const CHUNK: usize = 64 << 10;
/// Chunks under way in one direction of a connection.
const IN_FLIGHT: usize = 64;
/// The first retransmission of Linux; each further one takes twice as long.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// A process that was started a moment ago may not be known yet.
const LOOKS: usize = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// What becomes of bytes on their way from one member to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    /// Nothing arrives.
    pub(crate) cut: bool,
    /// Everything takes at least so long.
    pub(crate) delay: Duration,
    /// And up to so much longer.
    pub(crate) jitter: Duration,
    /// How many of a thousand packets are lost.
    pub(crate) loss: u64,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    all: Path,
    special: BTreeMap<(usize, usize), Path>,
}

impl Rules {
    fn path(&self, from: usize, to: usize) -> Path {
        self.special.get(&(from, to)).copied().unwrap_or(self.all)
    }

    fn open(&self, from: usize, to: usize) -> bool {
        !self.path(from, to).cut
    }
}

/// The proxies of a cluster and what they do.
pub(crate) struct Network {
    rules: watch::Sender<Rules>,
    broken: watch::Sender<()>,
    processes: Arc<Mutex<BTreeMap<usize, u32>>>,
    proxies: JoinSet<()>,
}

impl Network {
    pub(super) fn new() -> Self {
        Self {
            rules: watch::Sender::new(Rules::default()),
            broken: watch::Sender::new(()),
            processes: Arc::default(),
            proxies: JoinSet::new(),
        }
    }

    /// Leads connections that arrive at `listener` on to a member that listens at `target`.
    pub(super) fn attach(&mut self, member: usize, listener: TcpListener, target: SocketAddr) {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (rules, processes) = (self.rules.subscribe(), Arc::clone(&self.processes));
        let broken = self.broken.clone();
        self.proxies.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    Some(_ended) = connections.join_next() => continue,
                };
                let Ok((stream, _)) = accepted else { continue };
                let link = Link { to: member, target, rules: rules.clone() };
                let (mut broken, processes) = (broken.subscribe(), Arc::clone(&processes));
                connections.spawn(async move {
                    tokio::select! {
                        () = link.serve(stream, processes) => {}
                        _ = broken.changed() => {}
                    }
                });
            }
        });
    }

    /// Tells which process a member is now.
    pub(super) fn runs_as(&self, member: usize, pid: u32) {
        self.processes.lock().unwrap().insert(member, pid);
    }

    /// Nothing that `from` sends arrives at `to`; the other way stays open.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        self.set(from, to, |path| path.cut = true);
    }

    /// What `from` sends takes so long to arrive at `to`.
    pub(crate) fn delay(&self, from: usize, to: usize, delay: Duration) {
        self.set(from, to, |path| path.delay = delay);
    }

    /// Cuts between every member of one side and every one of the other, both ways.
    pub(crate) fn part(&self, side: &[usize], other: &[usize]) {
        for (a, b) in side.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
            self.cut(a, b);
            self.cut(b, a);
        }
    }

    /// Breaks every connection there is; new ones are let through.
    pub(crate) fn break_connections(&self) {
        self.broken.send_replace(());
    }

    /// Makes every path such.
    pub(crate) fn shape(&self, path: Path) {
        self.rules.send_modify(|rules| *rules = Rules { all: path, special: BTreeMap::new() });
    }

    /// Opens every path.
    pub(crate) fn heal(&self) {
        self.shape(Path::default());
    }

    fn set(&self, from: usize, to: usize, change: impl FnOnce(&mut Path)) {
        self.rules.send_modify(|rules| {
            let all = rules.all;
            change(rules.special.entry((from, to)).or_insert(all));
        });
    }
}

/// The way to one member.
#[derive(Clone)]
struct Link {
    to: usize,
    target: SocketAddr,
    rules: watch::Receiver<Rules>,
}

impl Link {
    async fn serve(mut self, stream: TcpStream, processes: Arc<Mutex<BTreeMap<usize, u32>>>) {
        let Some(from) = caller(&stream, &processes).await else { return };
        let both = |rules: &Rules| rules.open(from, self.to) && rules.open(self.to, from);
        if !both(&self.rules.borrow()) {
            // A connection needs both ways. Whoever waited for one is let go when it could be had.
            let _ended = self.rules.wait_for(both).await;
            return;
        }
        let Ok(target) = TcpStream::connect(self.target).await else { return };
        let _ = (stream.set_nodelay(true), target.set_nodelay(true));
        let seed = u64::from(stream.peer_addr().map_or(0, |address| address.port()));
        let (near_reader, near_writer) = stream.into_split();
        let (far_reader, far_writer) = target.into_split();
        let onwards = Way { from, to: self.to, rules: self.rules.clone() };
        let back = Way { from: self.to, to: from, rules: self.rules };
        let _ended = tokio::try_join!(
            onwards.carry(near_reader, far_writer, Random::new(seed)),
            back.carry(far_reader, near_writer, Random::new(!seed)),
        );
    }
}

/// Who is at the other end.
async fn caller(stream: &TcpStream, processes: &Mutex<BTreeMap<usize, u32>>) -> Option<usize> {
    let (near, far) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    for _ in 0..LOOKS {
        let known = processes.lock().unwrap().clone();
        if let Some(member) = owner::of_connection(near, far, &known) {
            return Some(member);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    None
}

/// One direction of one connection.
struct Way {
    from: usize,
    to: usize,
    rules: watch::Receiver<Rules>,
}

impl Way {
    fn path(&self) -> Path {
        self.rules.borrow().path(self.from, self.to)
    }

    async fn carry(
        self,
        reader: OwnedReadHalf,
        writer: OwnedWriteHalf,
        random: Random,
    ) -> std::io::Result<()> {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        let rules = self.rules.clone();
        let reading = Self { rules, ..self }.take(reader, sender, random.clone());
        let writing = self.deliver(writer, receiver, random);
        tokio::try_join!(reading, writing).map(drop)
    }

    async fn take(
        self,
        mut reader: OwnedReadHalf,
        sender: mpsc::Sender<(Instant, Vec<u8>)>,
        mut random: Random,
    ) -> std::io::Result<()> {
        loop {
            let mut chunk = vec![0; CHUNK];
            let length = reader.read(&mut chunk).await?;
            chunk.truncate(length);
            let path = self.path();
            let jitter = u64::try_from(path.jitter.as_micros()).unwrap();
            let late = path.delay + Duration::from_micros(random.below(jitter + 1));
            let ended = sender.send((Instant::now() + late, chunk)).await.is_err() || length == 0;
            if ended {
                return Ok(());
            }
        }
    }

    async fn deliver(
        mut self,
        mut writer: OwnedWriteHalf,
        mut receiver: mpsc::Receiver<(Instant, Vec<u8>)>,
        mut random: Random,
    ) -> std::io::Result<()> {
        while let Some((due, chunk)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            let mut again = RETRANSMISSION;
            while random.chance(self.path().loss) {
                tokio::time::sleep(again).await;
                again *= 2;
            }
            let (from, to) = (self.from, self.to);
            let open = self.rules.wait_for(|rules| rules.open(from, to)).await.is_ok();
            if !open || chunk.is_empty() {
                break;
            }
            writer.write_all(&chunk).await?;
        }
        writer.shutdown().await
    }
}
