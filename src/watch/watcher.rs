//! One watcher, as small as it can be.

use bytes::Bytes;

use crate::proto::etcdserverpb::WatchCreateRequest;
use crate::proto::etcdserverpb::watch_create_request::FilterType;
use crate::proto::mvccpb::Event;
use crate::proto::mvccpb::event::EventType;
use crate::types::range::KeyRange;

/// What the client asked of a watcher besides its range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    pub(super) prev_kv: bool,
    pub(super) fragment: bool,
    pub(super) progress: bool,
    no_puts: bool,
    no_deletes: bool,
}

impl Wishes {
    pub(super) fn of(request: &WatchCreateRequest) -> Self {
        let filters = |kind: FilterType| request.filters.contains(&(kind as i32));
        Self {
            prev_kv: request.prev_kv,
            fragment: request.fragment,
            progress: request.progress_notify,
            no_puts: filters(FilterType::Noput),
            no_deletes: filters(FilterType::Nodelete),
        }
    }

    pub(super) fn want(self, event: &Event) -> bool {
        if event.r#type == EventType::Delete as i32 { !self.no_deletes } else { !self.no_puts }
    }
}

/// A row of the hub's table.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) stream: u32,
    pub(super) id: i64,
    pub(super) range: KeyRange,
    pub(super) wishes: Wishes,
    /// Whether it gets revisions as they are dispatched; otherwise it is behind.
    pub(super) live: bool,
    /// Whether it had no event since the last tick of its stream.
    pub(super) quiet: bool,
    /// The lowest revision it has not been given.
    pub(super) next: i64,
    /// The catch-up round that serves it, zero for none.
    pub(super) round: u64,
}

/// The range of a create request with copies of its keys; `None` if it can hold no key.
///
/// The copies matter: the request's keys are slices of a network buffer, which an idle watcher would
/// keep alive for as long as it watches.
pub(super) fn range_of(request: &WatchCreateRequest) -> Option<KeyRange> {
    let key = if request.key.is_empty() { b"\0" } else { request.key.as_ref() };
    let range =
        KeyRange::new(Bytes::copy_from_slice(key), Bytes::copy_from_slice(&request.range_end));
    match &range {
        KeyRange::Between(start, end) if start >= end => None,
        _ => Some(range),
    }
}

/// Bytes of keys a range holds.
pub(super) fn range_bytes(range: &KeyRange) -> usize {
    match range {
        KeyRange::Single(key) | KeyRange::From(key) => key.len(),
        KeyRange::Between(start, end) => start.len() + end.len(),
    }
}
