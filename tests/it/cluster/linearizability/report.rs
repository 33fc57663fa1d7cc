//! What clients and watchers of one workload were told, beside each other.

use std::collections::BTreeSet;

use super::checker;
use super::client::{Acknowledged, Told, number};
use super::operation::{Operation, Value};
use super::watcher::Event;
use crate::support::cluster::Cluster;
use crate::support::cluster::requests::{local, one};

pub(super) struct Report {
    pub(super) told: Vec<Told>,
    pub(super) seen: Vec<Vec<Event>>,
    pub(super) keys: Vec<String>,
}

impl Report {
    /// How many operations were asked for.
    pub(super) fn operations(&self) -> usize {
        self.told.iter().map(|told| told.operations.len()).sum()
    }

    /// Watchers saw the same, writes that were acknowledged among it, and the answers are those of
    /// one store.
    pub(super) fn check(&self) {
        let first = &self.seen[0];
        for other in &self.seen {
            let parted = first.iter().zip(other).find(|(a, b)| a != b);
            assert_eq!(parted, None, "watchers saw different events");
            assert_eq!(first.len(), other.len(), "a watcher saw more than another");
        }
        for written in self.told.iter().flat_map(|told| &told.acknowledged) {
            self.check_seen(*written);
        }
        if let Err(operations) = checker::check(&self.history()) {
            let lines: Vec<String> = operations.iter().map(|told| format!("{told:?}")).collect();
            panic!("no register tells this:\n{}", lines.join("\n"));
        }
    }

    /// All operations but the writes of which nobody knows whether they were done, and which were not:
    /// no watcher saw them.
    fn history(&self) -> Vec<Operation> {
        let done: BTreeSet<Value> = self.seen[0].iter().filter_map(|event| event.value).collect();
        let told = self.told.iter().flat_map(|told| told.operations.iter().copied());
        told.filter(|operation| {
            operation.known() || operation.writes().is_none_or(|value| done.contains(&value))
        })
        .collect()
    }

    fn check_seen(&self, written: Acknowledged) {
        let events = &self.seen[0];
        let place = events.binary_search_by_key(&written.revision, |event| event.revision);
        let event = place.ok().map(|place| &events[place]);
        let found = event.is_some_and(|event| {
            event.key == self.keys[written.key] && event.value == written.value
        });
        assert!(found, "lost: {written:?}, at its revision there is {event:?}");
    }

    /// Every running member holds what the last event of each key says.
    pub(super) async fn check_stored(&self, cluster: &Cluster) {
        for (place, key) in cluster
            .running()
            .into_iter()
            .flat_map(|place| self.keys.iter().map(move |key| (place, key)))
        {
            let last = self.seen[0].iter().rev().find(|event| event.key == *key);
            let stored = local(&cluster.members[place].client, one(key)).await;
            let stored = stored.kvs.first().map(|kv| number(&kv.value));
            assert_eq!(stored, last.and_then(|event| event.value), "{key} at member {place}");
        }
    }
}
