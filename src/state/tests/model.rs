//! Random histories, compared with a model that keeps every revision as a whole.

use std::collections::BTreeMap;

use super::support::{Store, all, delete, op_delete, op_put, put, then};
use crate::proto::etcdserverpb::range_request::SortOrder;
use crate::proto::etcdserverpb::{PutRequest, RangeRequest};
use crate::proto::mvccpb::KeyValue;
use crate::state::reader::Limits;
use crate::state::{Options, ReadError};
use crate::types::range::KeyRange;

/// The classic 64-bit generator of Knuth's MMIX: repeatable and good enough here.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn key(&mut self) -> String {
        format!("k{}", self.below(12))
    }
}

type Contents = BTreeMap<String, KeyValue>;

struct Model {
    /// The contents after each revision, from revision 1.
    revisions: Vec<Contents>,
    compacted: i64,
}

impl Model {
    fn revision(&self) -> i64 {
        self.revisions.len() as i64
    }

    fn at(&self, revision: i64) -> &Contents {
        &self.revisions[(revision - 1) as usize]
    }

    fn begin(&self) -> Contents {
        self.at(self.revision()).clone()
    }

    fn put(&self, contents: &mut Contents, key: &str, value: &str, lease: i64) {
        let now = self.revision() + 1;
        let before = contents.get(key);
        let kv = KeyValue {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            create_revision: before.map_or(now, |kv| kv.create_revision),
            mod_revision: now,
            version: before.map_or(0, |kv| kv.version) + 1,
            lease,
        };
        contents.insert(key.to_owned(), kv);
    }

    fn end(&mut self, contents: Contents) {
        if contents != self.begin() {
            self.revisions.push(contents);
        }
    }
}

fn within(key: &str, from: &str, end: &str) -> bool {
    from <= key && key < end
}

/// Does one random thing to both.
fn act(store: &mut Store, model: &mut Model, random: &mut Random) {
    let (a, b) = (random.key(), random.key());
    let value = format!("{}", random.below(1000));
    let mut contents = model.begin();
    match random.below(10) {
        0..4 => {
            let lease = random.below(3) as i64;
            store.try_put(PutRequest { lease, ..put(&a, &value) }).unwrap();
            model.put(&mut contents, &a, &value, lease);
        }
        4 => {
            let keep = PutRequest { ignore_value: true, ignore_lease: true, ..put(&a, "") };
            let done = store.try_put(keep).is_ok();
            assert_eq!(done, contents.contains_key(&a));
            if let Some(kv) = contents.get(&a).cloned() {
                let value = String::from_utf8(kv.value.to_vec()).unwrap();
                model.put(&mut contents, &a, &value, kv.lease);
            }
        }
        5 | 6 => {
            let deleted = store.delete(&a, &b).1.deleted;
            let before = contents.len();
            contents.retain(|key, _| !within(key, &a, &b));
            assert_eq!(deleted, (before - contents.len()) as i64);
        }
        7 => {
            store.txn(then(vec![op_delete(delete(&a, "")), op_put(put(&b, &value))]));
            contents.remove(&a);
            model.put(&mut contents, &b, &value, 0);
        }
        8 => {
            let lease = 1 + random.below(2) as i64;
            store.revoke(lease).1.unwrap();
            store.grant(lease);
            contents.retain(|_, kv| kv.lease != lease);
        }
        _ => {
            let target = model.compacted.max(0) + random.below(12) as i64;
            let fits = target > model.compacted && target <= model.revision();
            assert_eq!(store.accept_compaction(target).is_ok(), fits);
            if fits {
                model.compacted = target;
            }
        }
    }
    model.end(contents);
}

fn check(store: &Store, model: &Model, random: &mut Random) {
    assert_eq!(store.reader.revision(), model.revision());
    assert_eq!(store.reader.compacted(), model.compacted);
    let revision = 1 + random.below(model.revision() as u64) as i64;
    let (a, b) = (random.key(), random.key());
    let limit = random.below(4) as i64;
    let order = if random.below(2) == 0 { SortOrder::None } else { SortOrder::Descend };
    let request = RangeRequest {
        key: a.clone().into(),
        range_end: b.clone().into(),
        revision,
        limit,
        sort_order: order as i32,
        ..Default::default()
    };
    let answer = store.reader.range(&request);
    if revision < model.compacted {
        assert!(matches!(answer, Err(ReadError::Compacted)));
        return;
    }
    let answer = answer.unwrap();
    let mut expected: Vec<KeyValue> = model
        .at(revision)
        .iter()
        .filter(|(key, _)| within(key, &a, &b))
        .map(|(_, kv)| kv.clone())
        .collect();
    if order == SortOrder::Descend {
        expected.reverse();
    }
    assert_eq!(answer.count, expected.len() as i64);
    let cut = if limit > 0 { expected.len().min(limit as usize) } else { expected.len() };
    assert_eq!(answer.more, cut < expected.len());
    assert_eq!(answer.kvs, expected[..cut]);
}

/// Plays all events from the oldest readable revision on and must arrive at every later state.
fn check_history(store: &Store, model: &Model) {
    let from = model.compacted.max(1);
    let mut contents = model.at(from).clone();
    let range = KeyRange::From("\0".into());
    let page = store.reader.history(&range, from + 1, model.revision(), Limits::default()).unwrap();
    for batch in &page.revisions {
        for event in &batch.events {
            let kv = event.kv.clone().unwrap();
            let key = String::from_utf8(kv.key.to_vec()).unwrap();
            if kv.version == 0 {
                contents.remove(&key)
            } else {
                contents.insert(key, kv)
            };
        }
        assert_eq!(&contents, model.at(batch.revision), "after revision {}", batch.revision);
    }
    assert_eq!(&contents, model.at(model.revision()));
}

fn play(seed: u64, options: Options) {
    let mut random = Random(seed);
    let mut store = Store::with(options);
    store.grant(1);
    store.grant(2);
    let mut model = Model { revisions: vec![Contents::new()], compacted: -1 };
    for step in 0..400 {
        act(&mut store, &mut model, &mut random);
        for _ in 0..3 {
            check(&store, &model, &mut random);
        }
        match random.below(40) {
            0 => store = store.reopen(),
            1 => store = store.restart(),
            2..6 => _ = store.machine.maintain().unwrap(),
            6 => store.settle(),
            _ => {}
        }
        if step % 50 == 49 {
            check_history(&store, &model);
        }
    }
    let contents: Vec<KeyValue> = model.begin().into_values().collect();
    assert_eq!(store.reader.range(&all()).unwrap().kvs, contents);
}

#[test]
fn random_histories_agree_with_the_model() {
    for seed in 0..6 {
        play(seed, Options::default());
    }
}

#[test]
fn random_histories_agree_with_the_model_across_checkpoints() {
    for seed in 100..106 {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Some(dir.path().join("index"));
        play(seed, Options { checkpoint, cache_bytes: 0, ..Options::default() });
    }
}
