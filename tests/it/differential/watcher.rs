//! What one watcher got: its events in their order, whatever responses they came in, and a check of
//! what every single response must keep to.

use etcd::proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use etcd::proto::mvccpb::Event;

use super::answers;

/// A watcher's events since they were last looked at.
pub(super) struct Collected {
    /// What was asked for, with an absolute start revision.
    pub(super) request: WatchCreateRequest,
    /// A compaction ended it; the id stays taken until it is canceled.
    pub(super) ended: bool,
    events: Vec<Event>,
    /// Revision of the newest event.
    newest: i64,
    /// All events up to here have been promised to be out.
    promised: i64,
    /// The last response announced that its revision goes on in the next.
    open: bool,
}

impl Collected {
    pub(super) fn new(request: WatchCreateRequest) -> Self {
        Self { request, ended: false, events: Vec::new(), newest: 0, promised: 0, open: false }
    }

    /// Notes that all events up to a revision are said to be out.
    pub(super) fn promised(&mut self, revision: i64) {
        self.promised = self.promised.max(revision);
    }

    /// The events since the last call, as text.
    pub(super) fn drain(&mut self) -> Vec<String> {
        self.events.drain(..).map(|event| answers::event(&event)).collect()
    }

    /// Files a response of this watcher.
    pub(super) fn take(&mut self, response: WatchResponse, faults: &mut Vec<String>) {
        let header = response.header.as_ref().map_or(0, |header| header.revision);
        let mut fault = |what: &str| {
            let events: Vec<String> = response.events.iter().map(answers::event).collect();
            faults.push(format!(
                "{what}: watcher {} of {:?}, header {header}, fragment {}, promised {}: {events:?}",
                response.watch_id, self.request, response.fragment, self.promised
            ));
        };
        if self.ended {
            fault("a response after the end");
        }
        if response.fragment && !self.request.fragment {
            fault("a fragment nobody wanted");
        }
        let revisions: Vec<i64> = response
            .events
            .iter()
            .map(|event| event.kv.as_ref().map_or(0, |kv| kv.mod_revision))
            .collect();
        let (first, last) = (revisions.first().copied(), revisions.last().copied());
        if first.is_none() && !self.request.progress_notify {
            fault("progress nobody wanted");
        }
        let follows = |first| first > self.newest || (self.open && first == self.newest);
        if !first.is_none_or(follows) || !revisions.is_sorted() {
            fault("a revision out of order, or in two responses");
        }
        if first.is_some_and(|first| first <= self.promised || first < self.request.start_revision)
        {
            fault("an event that was promised not to come");
        }
        if last.is_some_and(|last| last > header) {
            fault("an event newer than the header");
        }
        match last {
            Some(last) => (self.newest, self.open) = (last, response.fragment),
            None => self.promised(header),
        }
        self.events.extend(response.events);
    }
}
