//! The words and forms of watch responses. Headers carry only the revision: who answers is filled
//! in by the caller.

use std::collections::VecDeque;

use prost::Message;

use super::outbox::{Item, Part};
use super::source::Source;
use super::watcher::Wishes;
use crate::proto::etcdserverpb::{ResponseHeader, WatchResponse};
use crate::proto::mvccpb::Event;

/// Reason for a range that can hold no key, in etcd's words.
pub(super) const EMPTY_RANGE: &str = "mvcc: watcher range is empty";
/// Reason for an id that is in use, in etcd's words.
pub(super) const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
/// The id that means no watcher, or all of a stream.
pub(super) const ALL_WATCHERS: i64 = -1;

fn response(revision: i64, watch_id: i64) -> WatchResponse {
    let header = Some(ResponseHeader { revision, ..ResponseHeader::default() });
    WatchResponse { header, watch_id, ..WatchResponse::default() }
}

pub(super) fn created(revision: i64, id: i64) -> WatchResponse {
    WatchResponse { created: true, ..response(revision, id) }
}

pub(super) fn refused(revision: i64, reason: String) -> WatchResponse {
    let refused = response(revision, ALL_WATCHERS);
    WatchResponse { created: true, canceled: true, cancel_reason: reason, ..refused }
}

pub(super) fn canceled(revision: i64, id: i64) -> WatchResponse {
    WatchResponse { canceled: true, ..response(revision, id) }
}

/// etcd leaves the revision of this one at zero.
pub(super) fn compacted(id: i64, compact_revision: i64) -> WatchResponse {
    WatchResponse { canceled: true, compact_revision, ..response(0, id) }
}

pub(super) fn progress(revision: i64, id: i64) -> WatchResponse {
    response(revision, id)
}

/// Writes out a queued item; an item with many events may become several fragments of less than
/// `fragment_bytes` each.
pub(super) fn write(
    item: Item,
    source: &dyn Source,
    fragment_bytes: usize,
) -> VecDeque<WatchResponse> {
    let (id, wishes, revision, parts) = match item {
        Item::Note(response) => return VecDeque::from([*response]),
        Item::Live { id, wishes, part } => (id, wishes, part.revision.batch.revision, vec![part]),
        Item::Replay { id, wishes, revision, parts } => (id, wishes, revision, parts),
    };
    let events = parts.iter().flat_map(|part| events(part, wishes, source)).collect();
    let whole = WatchResponse { events, ..response(revision, id) };
    if wishes.fragment { split(whole, fragment_bytes) } else { VecDeque::from([whole]) }
}

fn events<'a>(
    part: &'a Part,
    wishes: Wishes,
    source: &'a dyn Source,
) -> impl Iterator<Item = Event> + 'a {
    part.events().map(move |(place, event)| Event {
        r#type: event.r#type,
        kv: event.kv.clone(),
        prev_kv: if wishes.prev_kv { part.revision.previous(place, source) } else { None },
    })
}

/// Cuts a response that would reach `limit` bytes; one with a single event stays whole.
pub(super) fn split(whole: WatchResponse, limit: usize) -> VecDeque<WatchResponse> {
    if whole.events.len() < 2 || whole.encoded_len() < limit {
        return VecDeque::from([whole]);
    }
    let frame = WatchResponse { events: Vec::new(), fragment: true, ..whole };
    let base = frame.encoded_len();
    let mut pieces = VecDeque::from([frame.clone()]);
    let mut size = base;
    for event in whole.events {
        let length = event.encoded_len();
        // One byte of tag in front of the length.
        let added = 1 + prost::length_delimiter_len(length) + length;
        if pieces.back().is_some_and(|piece| !piece.events.is_empty()) && size + added >= limit {
            pieces.push_back(frame.clone());
            size = base;
        }
        size += added;
        if let Some(piece) = pieces.back_mut() {
            piece.events.push(event);
        }
    }
    if let Some(last) = pieces.back_mut() {
        last.fragment = false;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::mvccpb::KeyValue;

    fn with_events(values: &[usize]) -> WatchResponse {
        let event = |size: &usize| Event {
            kv: Some(KeyValue { value: vec![0; *size].into(), ..KeyValue::default() }),
            ..Event::default()
        };
        WatchResponse { events: values.iter().map(event).collect(), ..response(9, 3) }
    }

    fn shape(pieces: &VecDeque<WatchResponse>) -> Vec<(usize, bool)> {
        pieces.iter().map(|piece| (piece.events.len(), piece.fragment)).collect()
    }

    #[test]
    fn pieces_stay_below_the_limit_and_all_but_the_last_are_marked() {
        let pieces = split(with_events(&[400, 400, 400, 400, 400, 400]), 1_000);
        assert_eq!(shape(&pieces), [(2, true), (2, true), (2, false)]);
        assert!(pieces.iter().all(|piece| piece.watch_id == 3 && piece.encoded_len() < 1_000));
    }

    #[test]
    fn an_event_larger_than_the_limit_travels_alone() {
        assert_eq!(shape(&split(with_events(&[2_000]), 1_000)), [(1, false)]);
        let pieces = split(with_events(&[10, 2_000, 10]), 1_000);
        assert_eq!(shape(&pieces), [(1, true), (1, true), (1, false)]);
    }

    #[test]
    fn small_responses_stay_whole() {
        assert_eq!(shape(&split(with_events(&[10, 10]), 1_000)), [(2, false)]);
    }
}
