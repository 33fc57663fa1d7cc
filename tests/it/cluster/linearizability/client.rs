//! One client: one operation after the other, now and then at another member.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd::client::Client;
use etcd::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use etcd::proto::etcdserverpb::{Compare, DeleteRangeRequest, TxnRequest};
use tonic::{Response, Status};

use super::operation::{Action, Operation, Outcome, Value};
use super::workload::{KEYS, Shared};
use crate::support::cluster::requests::{one, put_op};
use crate::support::random::Random;
use crate::support::session::put;

/// After so long a client asks somebody else.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Between operations, so that histories stay short and the machine has time for the members.
const PACE: Duration = Duration::from_millis(8);
/// After a refusal, which comes quickly from a member that is away.
const AFTER_FAILURE: Duration = Duration::from_millis(60);

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    pub(super) key: usize,
    pub(super) value: Option<Value>,
    pub(super) revision: i64,
}

/// What a client was told.
#[derive(Default)]
pub(super) struct Told {
    pub(super) operations: Vec<Operation>,
    pub(super) acknowledged: Vec<Acknowledged>,
}

/// What a key held when it was last read.
#[derive(Clone, Copy, Default)]
struct Seen {
    value: Option<Value>,
    revision: i64,
}

pub(super) struct Worker {
    pub(super) number: usize,
    /// The members it asks: one, or all in turn.
    pub(super) members: Vec<Client>,
    pub(super) shared: Arc<Shared>,
    pub(super) random: Random,
}

/// An answer in short: what came of it, at which revision, and what it wrote.
type Answer = (Outcome, i64, Option<Option<Value>>);

impl Worker {
    pub(super) async fn work(mut self) -> Told {
        let (mut told, mut newest) = (Told::default(), 0);
        let mut seen = [Seen::default(); KEYS];
        while !self.shared.stopping() {
            let key = usize::try_from(self.random.below(KEYS as u64)).unwrap();
            let action = self.choose(seen[key]);
            let client = self.random.pick(&self.members);
            let called = self.shared.now();
            let asked = self.ask(&client, key, action, &mut seen[key]);
            let answer = tokio::time::timeout(PATIENCE, asked).await;
            let returned = self.shared.now();
            let (outcome, pause) = if let Ok(Ok((outcome, revision, written))) = answer {
                assert!(revision >= newest, "revision {revision} after {newest} was told");
                newest = revision;
                if let Some(value) = written {
                    told.acknowledged.push(Acknowledged { key, value, revision });
                    self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                (outcome, PACE)
            } else {
                (Outcome::Unknown, AFTER_FAILURE)
            };
            // A read that was not answered says nothing.
            if outcome != Outcome::Unknown || action != Action::Get {
                let client = self.number;
                let operation = Operation { client, key, action, outcome, called, returned };
                told.operations.push(operation);
            }
            tokio::time::sleep(pause).await;
        }
        told
    }

    fn choose(&mut self, seen: Seen) -> Action {
        let value = self.shared.values.fetch_add(1, Ordering::Relaxed);
        match self.random.below(100) {
            0..40 => Action::Get,
            40..70 => Action::Put(value),
            70..95 => Action::Swap { from: seen.value, to: value },
            _ => Action::Delete,
        }
    }

    async fn ask(
        &self,
        client: &Client,
        key: usize,
        action: Action,
        seen: &mut Seen,
    ) -> Result<Answer, Status> {
        let name = self.shared.key(key);
        let mut kv = client.kv();
        match action {
            Action::Get => {
                let answer = kv.range(one(&name)).await.map(Response::into_inner)?;
                let value = answer.kvs.first().map(|kv| number(&kv.value));
                let revision = answer.kvs.first().map_or(0, |kv| kv.mod_revision);
                *seen = Seen { value, revision };
                Ok((Outcome::Read(value), answer.header.unwrap().revision, None))
            }
            Action::Put(value) => {
                let answer = kv.put(put(&name, &value.to_string())).await?.into_inner();
                Ok((Outcome::Done, answer.header.unwrap().revision, Some(Some(value))))
            }
            Action::Delete => {
                let request =
                    DeleteRangeRequest { key: name.into(), ..DeleteRangeRequest::default() };
                let answer = kv.delete_range(request).await?.into_inner();
                let written = (answer.deleted == 1).then_some(None);
                Ok((Outcome::Done, answer.header.unwrap().revision, written))
            }
            Action::Swap { to, .. } => {
                let request = TxnRequest {
                    compare: vec![unchanged(&name, *seen)],
                    success: vec![put_op(&name, &to.to_string())],
                    ..TxnRequest::default()
                };
                let answer = kv.txn(request).await?.into_inner();
                let written = answer.succeeded.then_some(Some(to));
                let outcome = Outcome::Swapped(answer.succeeded);
                Ok((outcome, answer.header.unwrap().revision, written))
            }
        }
    }
}

/// That the key is as it was seen: by what it holds, by when it was written, or not there.
fn unchanged(key: &str, seen: Seen) -> Compare {
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
        key: key.to_owned().into(),
        target_union: Some(union),
        ..Compare::default()
    }
}

/// A value as the workload writes it.
pub(super) fn number(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}
