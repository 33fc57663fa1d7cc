//! Clients: one operation after the other at whichever member, and what they were told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::member::Running;
use super::operation::{Action, Operation, Outcome, Value};
use super::world::World;
use crate::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use crate::proto::internal::request::Op;
use crate::state::Response;

/// Few enough that clients meet at each.
pub(super) const KEYS: usize = 4;
/// After so long a client asks somebody else.
pub(super) const PATIENCE: Duration = Duration::from_millis(700);

/// The members that run, by place.
pub(super) type Members = Arc<Mutex<BTreeMap<usize, Arc<Running>>>>;

/// A write that was acknowledged, and at which revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    pub(super) key: usize,
    pub(super) value: Option<Value>,
    pub(super) revision: i64,
}

/// What clients were told.
#[derive(Default)]
pub(super) struct Told {
    pub(super) operations: Vec<Operation>,
    pub(super) acknowledged: Vec<Acknowledged>,
}

/// What clients share.
pub(super) struct Clients {
    pub(super) world: Arc<World>,
    pub(super) members: Members,
    pub(super) told: Mutex<Told>,
    /// The order of questions and answers: one thread, so that there is one.
    moments: AtomicU64,
    values: AtomicU64,
    pub(super) stop: AtomicBool,
}

/// What a key held when it was last read.
#[derive(Clone, Copy, Default)]
struct Seen {
    value: Option<Value>,
    revision: i64,
}

/// An answer in short: what came of it, at which revision, and what it wrote.
type Answer = (Outcome, i64, Option<Option<Value>>);

impl Clients {
    pub(super) fn new(world: &Arc<World>, members: &Members) -> Self {
        Self {
            world: Arc::clone(world),
            members: Arc::clone(members),
            told: Mutex::default(),
            moments: AtomicU64::new(0),
            values: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    fn moment(&self) -> u64 {
        self.moments.fetch_add(1, Ordering::Relaxed)
    }

    fn member(&self) -> Option<Arc<Running>> {
        let members = self.members.lock();
        let all: Vec<&Arc<Running>> = members.values().collect();
        (!all.is_empty()).then(|| Arc::clone(all[self.world.below(all.len())]))
    }

    /// The work of one client.
    pub(super) async fn work(self: Arc<Self>, client: usize) {
        let mut seen = [Seen::default(); KEYS];
        let mut newest = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let pause = self.world.millis(5, 60);
            tokio::time::sleep(pause).await;
            let Some(member) = self.member() else { continue };
            let key = self.world.below(KEYS);
            let action = self.choose(seen[key]);
            let called = self.moment();
            let answer = tokio::select! {
                biased;
                () = member.death() => None,
                () = tokio::time::sleep(PATIENCE) => None,
                answer = ask(&self.world, &member, key, action, &mut seen[key]) => answer,
            };
            let returned = self.moment();
            self.world.note(format_args!("client {client}: {action:?} {key}: {answer:?}"));
            let outcome = answer.map_or(Outcome::Unknown, |answer| answer.0);
            let mut told = self.told.lock();
            if let Some((_, revision, written)) = answer {
                // Reads that are broken on purpose are for the checker to find.
                if revision < newest && !self.world.is_broken("reads") {
                    let what =
                        format!("client {client} is told revision {revision} after {newest}");
                    self.world.fail(what);
                }
                newest = revision;
                let acknowledged = |value| Acknowledged { key, value, revision };
                told.acknowledged.extend(written.map(acknowledged));
            }
            // A read that was not answered says nothing.
            if outcome != Outcome::Unknown || action != Action::Get {
                let operation = Operation { client, key, action, outcome, called, returned };
                told.operations.push(operation);
            }
        }
    }

    fn choose(&self, seen: Seen) -> Action {
        let value = self.values.fetch_add(1, Ordering::Relaxed);
        match self.world.below(100) {
            0..45 => Action::Get,
            45..75 => Action::Put(value),
            75..95 => Action::Swap { from: seen.value, to: value },
            _ => Action::Delete,
        }
    }
}

/// The name of a key.
pub(super) fn name(key: usize) -> String {
    format!("key{key}")
}

/// A value as clients write it.
pub(super) fn number(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}

async fn ask(
    world: &World,
    member: &Running,
    key: usize,
    action: Action,
    seen: &mut Seen,
) -> Option<Answer> {
    let op = match action {
        Action::Get => return read(world, member, key, seen).await,
        Action::Put(value) => Op::Put(put(key, value)),
        Action::Delete => {
            Op::DeleteRange(DeleteRangeRequest { key: name(key).into(), ..Default::default() })
        }
        Action::Swap { to, .. } => Op::Txn(TxnRequest {
            compare: vec![unchanged(key, *seen)],
            success: vec![RequestOp { request: Some(Request::RequestPut(put(key, to))) }],
            failure: Vec::new(),
        }),
    };
    let outcome = member.node.proposer().propose(op).await.ok()?;
    let revision = outcome.revision;
    Some(match (outcome.result.ok()?, action) {
        (Response::Put(_), Action::Put(value)) => (Outcome::Done, revision, Some(Some(value))),
        (Response::DeleteRange(answer), _) => {
            (Outcome::Done, revision, (answer.deleted == 1).then_some(None))
        }
        (Response::Txn(answer), Action::Swap { to, .. }) => {
            let written = answer.succeeded.then_some(Some(to));
            (Outcome::Swapped(answer.succeeded), revision, written)
        }
        (other, _) => panic!("{action:?} was answered by {other:?}"),
    })
}

async fn read(world: &World, member: &Running, key: usize, seen: &mut Seen) -> Option<Answer> {
    if !world.is_broken("reads") {
        member.node.linear().read_index().await.ok()?;
    }
    let request = RangeRequest { key: name(key).into(), ..Default::default() };
    let answer = member.reader.range(&request).unwrap();
    let kv = answer.kvs.first();
    let value = kv.map(|kv| number(&kv.value));
    *seen = Seen { value, revision: kv.map_or(0, |kv| kv.mod_revision) };
    Some((Outcome::Read(value), answer.header?.revision, None))
}

fn put(key: usize, value: Value) -> PutRequest {
    PutRequest { key: name(key).into(), value: value.to_string().into(), ..Default::default() }
}

/// That the key is as it was seen: by what it holds, by when it was written, or not there.
fn unchanged(key: usize, seen: Seen) -> Compare {
    let (target, union) = match seen.value {
        None => (CompareTarget::Create, TargetUnion::CreateRevision(0)),
        Some(value) if value % 2 == 0 => {
            (CompareTarget::Value, TargetUnion::Value(value.to_string().into()))
        }
        Some(_) => (CompareTarget::Mod, TargetUnion::ModRevision(seen.revision)),
    };
    Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key: name(key).into(),
        target_union: Some(union),
        ..Compare::default()
    }
}
