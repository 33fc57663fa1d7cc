//! Many watchers of the same keys: how soon the last of them knows, and how many events a second
//! arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use etcd::proto::etcdserverpb::WatchCreateRequest;
use etcd::proto::etcdserverpb::kv_client::KvClient;
use etcd::proto::mvccpb::Event;
use etcd::types::clock::Clock;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::Error;
use crate::figures::Sample;
use crate::identity::Identity;
use crate::keys::{self, Dice};
use crate::measure::{Client, measure};
use crate::options::Scale;
use crate::server::Server;
use crate::watching::Watching;
use crate::wire::Wire;

/// Watchers on one stream.
const PER_STREAM: usize = 10;

/// Runs so many writers, each of which waits until every watcher has told its event. An operation is
/// an event delivered, a latency the time from the acknowledgement of a put to its last event.
pub(crate) async fn run(
    (writers, connections): (usize, usize),
    server: &Server,
    identity: &Identity,
    scale: &Scale,
) -> Result<Sample, Error> {
    let wires = server.connect(identity, connections).await?;
    let posts: Arc<[Post]> = (0..writers).map(|_| Post::default()).collect();
    let mut watchers = JoinSet::new();
    for (_, wire) in (0..scale.fan_out / PER_STREAM).zip(wires.iter().cycle()) {
        let everything = keys::between(0, u64::MAX / 8);
        let create = WatchCreateRequest {
            key: everything.key,
            range_end: everything.range_end,
            ..WatchCreateRequest::default()
        };
        let watching = Watching::open(wire, vec![create; PER_STREAM]).await?;
        watchers.spawn(listen(watching, Arc::clone(&posts)));
    }
    let many = scale.fan_out / PER_STREAM * PER_STREAM;
    let clients = (0..writers).zip(wires.iter().cycle()).map(|(number, wire)| Writer {
        kv: wire.kv(),
        dice: Dice::new(number as u64 + 1),
        number,
        posts: Arc::clone(&posts),
        many,
    });
    measure(server, scale, clients.collect(), many).await
}

/// Where the watchers tell a writer of its event.
#[derive(Default)]
struct Post {
    missing: AtomicUsize,
    complete: Notify,
}

async fn listen(mut watching: Watching, posts: Arc<[Post]>) {
    // It ends with the server.
    while let Ok(events) = watching.next().await {
        for event in events {
            let Some(post) = writer_of(&event).and_then(|number| posts.get(number)) else {
                continue;
            };
            if post.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
                post.complete.notify_one();
            }
        }
    }
}

/// The first bytes of a value say who wrote it.
fn writer_of(event: &Event) -> Option<usize> {
    let value = &event.kv.as_ref()?.value;
    Some(u32::from_le_bytes(value.get(..4)?.try_into().ok()?) as usize)
}

struct Writer {
    kv: KvClient<Wire>,
    dice: Dice,
    number: usize,
    posts: Arc<[Post]>,
    many: usize,
}

impl Client for Writer {
    async fn step(&mut self) -> Result<Option<Duration>, Error> {
        let post = self.posts.get(self.number).ok_or("a writer without a post")?;
        post.missing.store(self.many, Ordering::Release);
        let mut put = keys::put(self.number as u64, &mut self.dice);
        let mut value = put.value.to_vec();
        value.splice(..4, u32::try_from(self.number)?.to_le_bytes());
        put.value = Bytes::from(value);
        // Watchers may know before the writer does.
        let acknowledged = async {
            self.kv.put(put).await?;
            Ok::<Instant, Error>(Clock.now())
        };
        let complete = async {
            post.complete.notified().await;
            Clock.now()
        };
        let (acknowledged, complete) = tokio::join!(acknowledged, complete);
        Ok(Some(complete.saturating_duration_since(acknowledged?)))
    }
}
