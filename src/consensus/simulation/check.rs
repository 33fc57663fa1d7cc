//! What must be true in the end: of what members hold, and of what clients were told.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::checker;
use super::client::{Acknowledged, Told, name, number};
use super::member::Running;
use super::operation::{Operation, Value};
use crate::state::reader::Limits;
use crate::types::ids::MemberId;
use crate::types::range::KeyRange;

/// A change of a key: when, which, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    revision: i64,
    key: String,
    value: Option<Value>,
}

/// All members hold the same.
pub(super) fn members(members: &[Arc<Running>]) -> Result<(), String> {
    let first = facts(&members[0]);
    for (place, member) in members.iter().enumerate().skip(1) {
        let other = facts(member);
        if other != first {
            return Err(format!("member 0 holds {first:?}\nmember {place} holds {other:?}"));
        }
    }
    Ok(())
}

/// All members know the same voters, and nobody besides.
pub(super) fn voters(members: &[Arc<Running>], mut all: Vec<MemberId>) -> Result<(), String> {
    all.sort_unstable();
    for member in members {
        let known = member.node.members();
        let mut ids: Vec<MemberId> = known.iter().map(|member| member.id).collect();
        ids.sort_unstable();
        if ids != all || member.is_between() || known.iter().any(|member| member.is_learner) {
            return Err(format!("members are {all:?}, but one knows {known:?}"));
        }
    }
    Ok(())
}

fn facts(member: &Running) -> String {
    let applied = member.reader.applied_hash();
    let stored = member.reader.hash_kv(0).unwrap();
    format!("{applied:?} {stored:?}")
}

/// Clients were told the history of one store, and what was acknowledged is there.
pub(super) fn told(told: &Told, members: &[Arc<Running>]) -> Result<(), String> {
    let history = history(&members[0]);
    for member in &members[1..] {
        if let Some((one, other)) = history.iter().zip(&self::history(member)).find(|(a, b)| a != b)
        {
            return Err(format!("members hold different histories: {one:?} and {other:?}"));
        }
    }
    for written in &told.acknowledged {
        is_there(written, &history)?;
    }
    let done: BTreeSet<Value> = history.iter().filter_map(|event| event.value).collect();
    // Nobody knows of some writes whether they were done; those that were not were not.
    let happened = |operation: &&Operation| {
        operation.known() || operation.writes().is_none_or(|value| done.contains(&value))
    };
    let operations: Vec<Operation> = told.operations.iter().filter(happened).copied().collect();
    checker::check(&operations).map_err(|operations| {
        let lines: Vec<String> = operations.iter().map(|told| format!("{told:?}")).collect();
        format!("no register tells this:\n{}", lines.join("\n"))
    })
}

fn is_there(written: &Acknowledged, history: &[Event]) -> Result<(), String> {
    let place = history.binary_search_by_key(&written.revision, |event| event.revision);
    let event = place.ok().map(|place| &history[place]);
    let found =
        event.is_some_and(|event| event.key == name(written.key) && event.value == written.value);
    if found {
        return Ok(());
    }
    Err(format!("lost: {written:?}, at its revision there is {event:?}"))
}

/// Everything that was ever written to a member.
fn history(member: &Running) -> Vec<Event> {
    let reader = &member.reader;
    let (mut events, mut next) = (Vec::new(), 2);
    while next <= reader.revision() {
        let range = KeyRange::From(Bytes::new());
        let page = reader.history(&range, next, reader.revision(), Limits::default()).unwrap();
        next = page.next;
        for revision in page.revisions {
            events.extend(revision.events.iter().map(|event| {
                let kv = event.kv.as_ref().unwrap();
                Event {
                    revision: revision.revision,
                    key: String::from_utf8(kv.key.to_vec()).unwrap(),
                    value: (event.r#type == 0).then(|| number(&kv.value)),
                }
            }));
        }
    }
    events
}
