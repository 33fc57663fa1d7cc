//! What an API server does all day: guarded updates of objects, reads, pages of lists, objects that
//! come and go, and watches of everything with previous values.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use etcd::proto::etcdserverpb::kv_client::KvClient;
use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{
    Compare, DeleteRangeRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
};
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

const OBJECTS: u64 = 10_000;
/// Objects on a page of a list.
const PAGE: i64 = 500;
/// Watches of everything.
const WATCHES: usize = 3;
/// Of a hundred requests, so many are updates, reads, creations with deletions; the rest are pages.
const UPDATES: u64 = 55;
const READS: u64 = 30;
const COMINGS: u64 = 10;

/// Runs the mix on a fresh server.
pub(crate) async fn run(
    (in_flight, connections): (usize, usize),
    server: &Server,
    identity: &Identity,
    scale: &Scale,
) -> Result<Sample, Error> {
    let wires = server.connect(identity, connections).await?;
    keys::fill(&wires, OBJECTS).await?;
    let seen = Arc::new(AtomicU64::new(0));
    let mut watchers = JoinSet::new();
    for wire in wires.iter().cycle().take(WATCHES) {
        let everything = keys::between(0, u64::MAX / 8);
        let create = WatchCreateRequest {
            key: everything.key,
            range_end: everything.range_end,
            prev_kv: true,
            ..WatchCreateRequest::default()
        };
        let mut watching = Watching::open(wire, vec![create]).await?;
        let seen = Arc::clone(&seen);
        watchers.spawn(async move {
            while let Ok(events) = watching.next().await {
                seen.fetch_add(events.len() as u64, Ordering::Relaxed);
            }
        });
    }
    let share = OBJECTS / in_flight as u64;
    let written = Arc::new(AtomicU64::new(0));
    let controllers = (0..in_flight as u64).zip(wires.iter().cycle()).map(|(number, wire)| {
        let own = (0..share).map(|place| (number + place * in_flight as u64, 0)).collect();
        let (kv, dice) = (wire.kv(), Dice::new(number + 1));
        Controller { kv, dice, own, coming: OBJECTS + number, written: Arc::clone(&written) }
    });
    let sample = measure(server, scale, controllers.collect(), 1).await?;
    // Nothing that was written may be missing on a watch.
    let all = written.load(Ordering::Relaxed) * WATCHES as u64;
    let arrive = async {
        while seen.load(Ordering::Relaxed) < all {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(30), arrive).await.is_err() {
        let seen = seen.load(Ordering::Relaxed);
        return Err(format!("the watches told {seen} of {all} events").into());
    }
    Ok(sample)
}

struct Controller {
    kv: KvClient<Wire>,
    dice: Dice,
    /// Numbers of the objects only this controller writes, and their newest known revisions.
    own: Vec<(u64, i64)>,
    /// The object that comes and goes.
    coming: u64,
    /// Events that the watches must tell.
    written: Arc<AtomicU64>,
}

impl Client for Controller {
    async fn step(&mut self) -> Result<Option<Duration>, Error> {
        let chance = self.dice.below(100);
        if chance < UPDATES {
            self.update().await?;
        } else if chance < UPDATES + READS {
            self.kv.range(keys::get(self.dice.below(OBJECTS))).await?;
        } else if chance < UPDATES + READS + COMINGS {
            self.come_or_go().await?;
        } else {
            let page = keys::between(self.dice.below(OBJECTS), u64::MAX / 8);
            self.kv.range(RangeRequest { limit: PAGE, ..page }).await?;
        }
        Ok(None)
    }
}

impl Controller {
    /// Writes an object if it is still as it was seen last; else learns how it is.
    async fn update(&mut self) -> Result<(), Error> {
        let place = self.dice.below(self.own.len() as u64) as usize;
        let (number, revision) = *self.own.get(place).ok_or("a controller without objects")?;
        let put = Request::RequestPut(keys::put(number, &mut self.dice));
        let get = Request::RequestRange(keys::get(number));
        let answer = self.kv.txn(guarded(number, revision, put, get)).await?.into_inner();
        let now = if answer.succeeded {
            self.written.fetch_add(1, Ordering::Relaxed);
            answer.header.map(|header| header.revision)
        } else {
            answer.responses.first().and_then(modified)
        };
        if let Some(entry) = self.own.get_mut(place) {
            entry.1 = now.ok_or("an answer without a revision")?;
        }
        Ok(())
    }

    /// Creates the object that is not there, or deletes the one that is.
    async fn come_or_go(&mut self) -> Result<(), Error> {
        let put = Request::RequestPut(keys::put(self.coming, &mut self.dice));
        let delete = Request::RequestDeleteRange(DeleteRangeRequest {
            key: keys::key(self.coming),
            ..DeleteRangeRequest::default()
        });
        self.kv.txn(guarded(self.coming, 0, put, delete)).await?;
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// `then` if the key was written last at this revision, `otherwise` if not.
fn guarded(number: u64, revision: i64, then: Request, otherwise: Request) -> TxnRequest {
    let op = |request| vec![RequestOp { request: Some(request) }];
    TxnRequest {
        compare: vec![Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Mod as i32,
            key: keys::key(number),
            target_union: Some(TargetUnion::ModRevision(revision)),
            ..Compare::default()
        }],
        success: op(then),
        failure: op(otherwise),
    }
}

fn modified(answer: &etcd::proto::etcdserverpb::ResponseOp) -> Option<i64> {
    use etcd::proto::etcdserverpb::response_op::Response;
    match answer.response.as_ref()? {
        Response::ResponseRange(range) => range.kvs.first().map(|kv| kv.mod_revision),
        _ => None,
    }
}
