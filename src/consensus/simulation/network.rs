//! A network in memory: connections between members whose bytes take their time, come in order, and
//! are held back while the way is cut, as TCP does it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, Sleep};

use super::world::World;
use crate::transport::Connection;
use crate::types::url::Url;

/// Bytes on their way in one direction of a connection.
const WINDOW: usize = 256 << 10;

/// How the network is now.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    /// Milliseconds from one member to another, at least and at most.
    pub(super) delay: (usize, usize),
    /// Of a thousand packets so many are lost, and come when they are sent again.
    pub(super) loss: usize,
}

impl Weather {
    pub(super) const FAIR: Self = Self { delay: (0, 3), loss: 0 };
}

/// What answers at an address.
enum Host {
    /// Connections are taken there.
    Up(u32, mpsc::UnboundedSender<Connection>),
    /// The machine says that nobody is there.
    Down,
    /// Not even the machine answers.
    Gone,
}

/// All ways between members.
pub(super) struct Network {
    world: Arc<World>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    hosts: BTreeMap<usize, Host>,
    cut: BTreeSet<(usize, usize)>,
    weather: Weather,
    ways: Vec<Weak<Mutex<Way>>>,
}

/// One direction of a connection.
struct Way {
    from: usize,
    to: usize,
    /// Bytes and when they arrive; none is the end.
    packets: VecDeque<(Instant, Bytes)>,
    waiting: usize,
    newest: Instant,
    /// Both ends are told that the connection broke.
    broken: bool,
    /// Nobody is told anything any more.
    silent: bool,
    /// Nobody reads any more.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Way {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

/// How a member reaches others; of no use after its crash.
#[derive(Clone)]
pub(crate) struct Road {
    pub(super) network: Arc<Network>,
    pub(super) from: usize,
    pub(super) life: u32,
}

/// The address of a member.
pub(super) fn address(member: usize) -> String {
    format!("http://member:{}", member + 1)
}

impl Road {
    /// A connection to whoever is at `url`.
    pub(crate) async fn dial(&self, url: &Url, patience: Duration) -> Result<Connection, String> {
        let port = url.authority.rsplit(':').next().and_then(|port| port.parse::<usize>().ok());
        let to = port.ok_or("no port")? - 1;
        let dialed = tokio::time::timeout(patience, self.connect(to)).await;
        dialed.unwrap_or_else(|_| Err(format!("member {to} does not answer")))
    }

    async fn connect(&self, to: usize) -> Result<Connection, String> {
        let network = &self.network;
        loop {
            let changed = network.changed.notified();
            let delay = network.delay() + network.delay();
            let open = network.is_open(self.from, to) && network.is_open(to, self.from);
            if open {
                tokio::time::sleep(delay).await;
                if !network.lives(self.from, self.life) {
                    return Err("this member has crashed".to_owned());
                }
                match network.door(to) {
                    Some(Some(door)) => {
                        let (here, there) = network.pair(self.from, to);
                        door.send(there).map_err(|_| "nobody takes connections".to_owned())?;
                        return Ok(here);
                    }
                    Some(None) => return Err("connection refused".to_owned()),
                    None => {}
                }
            }
            changed.await;
        }
    }
}

impl Network {
    pub(super) fn new(world: &Arc<World>) -> Self {
        let state = State {
            hosts: BTreeMap::new(),
            cut: BTreeSet::new(),
            weather: Weather::FAIR,
            ways: Vec::new(),
        };
        Self { world: Arc::clone(world), state: Mutex::new(state), changed: Notify::new() }
    }

    /// Connections to a member go there from now on.
    pub(super) fn listen(&self, member: usize, life: u32) -> mpsc::UnboundedReceiver<Connection> {
        let (door, come) = mpsc::unbounded_channel();
        self.state.lock().hosts.insert(member, Host::Up(life, door));
        self.changed.notify_waiters();
        come
    }

    /// A member has died: with its machine, or so that the machine says so.
    pub(super) fn sever(&self, member: usize, with_machine: bool) {
        let mut state = self.state.lock();
        let host = if with_machine { Host::Gone } else { Host::Down };
        state.hosts.insert(member, host);
        for way in state.ways.iter().filter_map(Weak::upgrade) {
            let mut way = way.lock();
            if way.from == member || way.to == member {
                way.silent |= with_machine;
                way.broken |= !with_machine;
                way.wake();
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Nothing gets from one member to the other.
    pub(super) fn cut(&self, from: usize, to: usize) {
        self.state.lock().cut.insert((from, to));
    }

    /// All ways are open, and what was held back comes.
    pub(super) fn heal(&self) {
        let mut state = self.state.lock();
        state.cut.clear();
        state.weather = Weather::FAIR;
        state.ways.retain(|way| way.strong_count() > 0);
        let ways: Vec<_> = state.ways.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        for way in ways {
            let comes = Instant::now() + self.delay();
            let mut way = way.lock();
            way.packets.iter_mut().for_each(|(at, _)| *at = comes.max(*at));
            way.newest = comes.max(way.newest);
            way.wake();
        }
        self.changed.notify_waiters();
    }

    /// From now on.
    pub(super) fn set_weather(&self, weather: Weather) {
        self.state.lock().weather = weather;
    }

    /// Where connections to a member go; none if nobody is there, nothing if not even a machine is.
    fn door(&self, member: usize) -> Option<Option<mpsc::UnboundedSender<Connection>>> {
        match self.state.lock().hosts.get(&member) {
            Some(Host::Up(_, door)) => Some(Some(door.clone())),
            Some(Host::Down) | None => Some(None),
            Some(Host::Gone) => None,
        }
    }

    fn lives(&self, member: usize, life: u32) -> bool {
        matches!(self.state.lock().hosts.get(&member), Some(Host::Up(now, _)) if *now == life)
    }

    fn is_open(&self, from: usize, to: usize) -> bool {
        !self.state.lock().cut.contains(&(from, to))
    }

    fn delay(&self) -> Duration {
        let weather = self.state.lock().weather;
        let again = if self.world.chance(weather.loss) { self.world.below(200) } else { 0 };
        self.world.millis(weather.delay.0 + again, weather.delay.1 + again)
    }

    fn pair(self: &Arc<Self>, from: usize, to: usize) -> (Connection, Connection) {
        let way = |from, to| {
            let way = Way {
                from,
                to,
                packets: VecDeque::new(),
                waiting: 0,
                newest: Instant::now(),
                broken: false,
                silent: false,
                unread: false,
                reader: None,
                writer: None,
            };
            Arc::new(Mutex::new(way))
        };
        let (there, back) = (way(from, to), way(to, from));
        self.state.lock().ways.extend([Arc::downgrade(&there), Arc::downgrade(&back)]);
        let end = |incoming: &Arc<Mutex<Way>>, outgoing: &Arc<Mutex<Way>>| End {
            network: Arc::clone(self),
            incoming: Arc::clone(incoming),
            outgoing: Arc::clone(outgoing),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        };
        (Box::new(end(&back, &there)), Box::new(end(&there, &back)))
    }
}

/// One end of a connection.
struct End {
    network: Arc<Network>,
    incoming: Arc<Mutex<Way>>,
    outgoing: Arc<Mutex<Way>>,
    timer: Pin<Box<Sleep>>,
}

impl End {
    fn send(&self, bytes: Bytes) {
        let delay = self.network.delay();
        let mut way = self.outgoing.lock();
        if way.silent {
            return;
        }
        way.newest = way.newest.max(Instant::now() + delay);
        way.waiting += bytes.len();
        let arrives = way.newest;
        way.packets.push_back((arrives, bytes));
        way.reader.take().into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut way = this.incoming.lock();
        if way.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        way.reader = Some(context.waker().clone());
        if way.silent || !this.network.is_open(way.from, way.to) {
            return Poll::Pending;
        }
        let Some((arrives, _)) = way.packets.front() else { return Poll::Pending };
        if *arrives > Instant::now() {
            this.timer.as_mut().reset(*arrives);
            ready!(this.timer.as_mut().poll(context));
        }
        let (from, to) = (way.from, way.to);
        let Some((_, bytes)) = way.packets.front_mut() else { return Poll::Pending };
        let taken = bytes.split_to(bytes.len().min(buffer.remaining()));
        buffer.put_slice(&taken);
        // The end stays where it is.
        if !bytes.has_remaining() && !taken.is_empty() {
            way.packets.pop_front();
        }
        way.waiting -= taken.len();
        way.writer.take().into_iter().for_each(Waker::wake);
        let (len, hash) = (taken.len(), crc32c::crc32c(&taken));
        this.network.world.note(format_args!("{to} hears {from} {len} {hash:x}"));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        {
            let mut way = self.outgoing.lock();
            if way.broken || way.unread {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if way.waiting >= WINDOW {
                way.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        if !bytes.is_empty() {
            self.send(Bytes::copy_from_slice(bytes));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send(Bytes::new());
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.send(Bytes::new());
        let mut way = self.incoming.lock();
        way.unread = true;
        way.wake();
    }
}
