//! What waits to be sent on one stream, and how much of it may.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

use super::limits::{QUEUED_BYTES, QUEUED_BYTES_IN_ALL, QUEUED_RESPONSES};
use super::source::Source;
use super::watcher::Wishes;
use crate::proto::etcdserverpb::WatchResponse;
use crate::proto::mvccpb::{Event, KeyValue};
use crate::state::mvcc::recent::RevisionEvents;
use crate::telemetry::metrics::IntGauge;

/// One revision on its way to any number of streams, which share what is looked up for it.
#[derive(Debug)]
pub(super) struct Revision {
    pub(super) batch: Arc<RevisionEvents>,
    /// Made by the first who wants a previous value; most revisions never have it.
    previous: OnceLock<Box<[OnceLock<Option<KeyValue>>]>>,
}

impl Revision {
    pub(super) fn new(batch: Arc<RevisionEvents>) -> Self {
        Self { batch, previous: OnceLock::new() }
    }

    /// The key of an event as it was before; looked up by whoever asks first.
    pub(super) fn previous(&self, place: usize, source: &dyn Source) -> Option<KeyValue> {
        let unknown = || self.batch.events.iter().map(|_| OnceLock::new()).collect();
        let known = self.previous.get_or_init(unknown).get(place)?;
        known.get_or_init(|| source.previous(&self.batch, place)).clone()
    }
}

/// The events of one revision that one watcher gets, by their place in the revision.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) revision: Arc<Revision>,
    pub(super) places: Places,
}

/// Places of events in a revision. Nearly always there is one.
#[derive(Debug)]
pub(super) enum Places {
    One(u32),
    Several(Box<[u32]>),
}

impl Places {
    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::Several(places) => places,
        }
    }
}

impl Part {
    pub(super) fn events(&self) -> impl Iterator<Item = (usize, &Event)> {
        let places = self.places.as_slice().iter().map(|place| *place as usize);
        places.filter_map(|place| Some((place, self.revision.batch.events.get(place)?)))
    }

    /// Bytes of keys and values, which is what responses are made of.
    pub(super) fn bytes(&self) -> usize {
        self.events().filter_map(|(_, event)| event.kv.as_ref()).map(kv_bytes).sum()
    }
}

pub(super) fn kv_bytes(kv: &KeyValue) -> usize {
    // The constant stands for the numbers and the bookkeeping of a queued event.
    kv.key.len() + kv.value.len() + 64
}

/// A response that is not written out yet.
#[derive(Debug)]
pub(super) enum Item {
    /// Anything but events.
    Note(Box<WatchResponse>),
    /// Events of one revision.
    Live { id: i64, wishes: Wishes, part: Part },
    /// Events of several revisions, with the newest revision at that time.
    Replay { id: i64, wishes: Wishes, revision: i64, parts: Vec<Part> },
}

impl Item {
    fn cost(&self) -> usize {
        match self {
            Self::Note(_) => size_of::<WatchResponse>(),
            Self::Live { part, .. } => part.bytes(),
            Self::Replay { parts, .. } => parts.iter().map(Part::bytes).sum(),
        }
    }

    fn events(&self) -> usize {
        match self {
            Self::Note(_) => 0,
            Self::Live { part, .. } => part.places.as_slice().len(),
            Self::Replay { parts, .. } => {
                parts.iter().map(|part| part.places.as_slice().len()).sum()
            }
        }
    }
}

/// Counts over all streams.
#[derive(Debug)]
pub(super) struct Totals {
    bytes: AtomicUsize,
    /// Shown to operators, so never late.
    events: IntGauge,
}

impl Totals {
    /// Nothing waits; `events` follows the events that do.
    pub(super) fn new(events: IntGauge) -> Self {
        Self { bytes: AtomicUsize::new(0), events }
    }
}

/// The queue between the hub and one stream.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    reader: AtomicWaker,
    totals: Arc<Totals>,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<(usize, Item)>,
    bytes: usize,
    /// A watcher of this stream waits for room.
    starved: bool,
    closed: bool,
}

/// What a reader gets from its outbox.
pub(super) enum Taken {
    /// The next response; the flag asks to wake the catch-up, for which there is room again.
    Item(Item, bool),
    /// Nothing yet.
    Empty,
    /// Nothing ever again.
    Closed,
}

impl Outbox {
    pub(super) fn new(totals: Arc<Totals>) -> Self {
        Self { queue: Mutex::default(), reader: AtomicWaker::new(), totals }
    }

    /// Queues a response that must not be refused. The stream reads requests only while
    /// [`Self::is_short`], which bounds these.
    pub(super) fn note(&self, response: WatchResponse) {
        self.push(&mut self.queue.lock(), Item::Note(Box::new(response)));
        self.reader.wake();
    }

    /// Queues events if there is room; otherwise the catch-up is woken once there is.
    pub(super) fn offer(&self, item: Item) -> bool {
        let mut queue = self.queue.lock();
        if !self.has_room(&queue) {
            queue.starved = true;
            return false;
        }
        self.push(&mut queue, item);
        drop(queue);
        self.reader.wake();
        true
    }

    /// Whether events would be taken now; if not, the catch-up is woken once they would.
    pub(super) fn is_ready(&self) -> bool {
        let mut queue = self.queue.lock();
        let ready = self.has_room(&queue);
        queue.starved |= !ready;
        ready
    }

    /// Whether few enough responses wait that more requests may be read.
    pub(super) fn is_short(&self) -> bool {
        self.queue.lock().items.len() < QUEUED_RESPONSES
    }

    /// Whether a reader would find nothing, not even the end.
    pub(super) fn is_empty(&self) -> bool {
        let queue = self.queue.lock();
        queue.items.is_empty() && !queue.closed
    }

    /// Lets the reader take what is queued and then end.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.reader.wake();
    }

    pub(super) fn take(&self) -> Taken {
        let mut queue = self.queue.lock();
        let Some((cost, item)) = queue.items.pop_front() else {
            return if queue.closed { Taken::Closed } else { Taken::Empty };
        };
        queue.bytes -= cost;
        self.totals.bytes.fetch_sub(cost, Ordering::Relaxed);
        self.totals.events.sub(signed(item.events()));
        // Half empty, so that the catch-up finds room for more than one response.
        let wake = queue.starved
            && queue.items.len() <= QUEUED_RESPONSES / 2
            && queue.bytes <= QUEUED_BYTES / 2;
        queue.starved &= !wake;
        Taken::Item(item, wake)
    }

    /// Who is woken when something is queued.
    pub(super) fn reader(&self) -> &AtomicWaker {
        &self.reader
    }

    fn has_room(&self, queue: &Queue) -> bool {
        queue.items.is_empty()
            || (queue.items.len() < QUEUED_RESPONSES
                && queue.bytes < QUEUED_BYTES
                && self.totals.bytes.load(Ordering::Relaxed) < QUEUED_BYTES_IN_ALL)
    }

    fn push(&self, queue: &mut Queue, item: Item) {
        let cost = item.cost();
        queue.bytes += cost;
        self.totals.bytes.fetch_add(cost, Ordering::Relaxed);
        self.totals.events.add(signed(item.events()));
        queue.items.push_back((cost, item));
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let queue = self.queue.get_mut();
        let events = queue.items.iter().map(|(_, item)| item.events()).sum();
        self.totals.bytes.fetch_sub(queue.bytes, Ordering::Relaxed);
        self.totals.events.sub(signed(events));
    }
}

fn signed(events: usize) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}
