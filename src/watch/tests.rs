//! The hub against a store in memory.

mod adopt;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use super::limits::QUEUED_RESPONSES;
use super::{History, HistoryError, HistoryLimits, Hub, Source, StreamOptions, WatchStream};
use crate::proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use crate::proto::mvccpb::event::EventType;
use crate::proto::mvccpb::{Event, KeyValue};
use crate::state::mvcc::recent::RevisionEvents;
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::Registry;
use crate::types::range::KeyRange;

/// Long enough that only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct Store {
    state: Arc<Mutex<State>>,
    published: watch::Sender<i64>,
}

struct State {
    /// Index 0 is revision 2.
    batches: Vec<Arc<RevisionEvents>>,
    compacted: i64,
    /// Revisions the ring holds.
    ring: usize,
    history_reads: usize,
    /// Times the ring was looked at.
    looks: usize,
}

impl Store {
    fn new(ring: usize) -> Self {
        let state = State { batches: Vec::new(), compacted: -1, ring, history_reads: 0, looks: 0 };
        Self { state: Arc::new(Mutex::new(state)), published: watch::Sender::new(1) }
    }

    fn put(&self, key: &str, value: &str) -> i64 {
        self.commit(&[(key, Some(value))])
    }

    fn commit(&self, changes: &[(&str, Option<&str>)]) -> i64 {
        let mut state = self.state.lock();
        let revision = state.batches.len() as i64 + 2;
        let event = |(key, value): &(&str, Option<&str>)| Event {
            r#type: if value.is_some() { EventType::Put } else { EventType::Delete } as i32,
            kv: Some(KeyValue {
                key: key.as_bytes().to_vec().into(),
                value: value.unwrap_or_default().as_bytes().to_vec().into(),
                mod_revision: revision,
                ..KeyValue::default()
            }),
            prev_kv: None,
        };
        let events = changes.iter().map(event).collect();
        state.batches.push(Arc::new(RevisionEvents { revision, events, prev: Vec::new() }));
        drop(state);
        self.published.send_replace(revision);
        revision
    }

    fn compact(&self, revision: i64) {
        self.state.lock().compacted = revision;
    }
}

impl Source for Store {
    fn revision(&self) -> i64 {
        self.state.lock().batches.len() as i64 + 1
    }

    fn compacted(&self) -> i64 {
        self.state.lock().compacted
    }

    fn published(&self) -> watch::Receiver<i64> {
        self.published.subscribe()
    }

    fn recent(&self, revision: i64) -> Option<Vec<Arc<RevisionEvents>>> {
        let mut state = self.state.lock();
        state.looks += 1;
        let skip = usize::try_from(revision - 1).ok()?;
        let oldest = state.batches.len().saturating_sub(state.ring);
        (skip >= oldest).then(|| state.batches.iter().skip(skip).cloned().collect())
    }

    fn history(
        &self,
        range: &KeyRange,
        (from, to): (i64, i64),
        limits: HistoryLimits,
    ) -> Result<History, HistoryError> {
        let mut state = self.state.lock();
        state.history_reads += 1;
        if from < state.compacted {
            return Err(HistoryError::Compacted { compacted: state.compacted });
        }
        let inside = |event: &&Event| range.contains(&event.kv.as_ref().unwrap().key);
        let mut batches = Vec::new();
        for batch in &state.batches {
            if batch.revision < from || batch.revision > to {
                continue;
            }
            let events: Vec<Event> = batch.events.iter().filter(inside).cloned().collect();
            if !events.is_empty() {
                batches.push(Arc::new(RevisionEvents {
                    revision: batch.revision,
                    events,
                    prev: Vec::new(),
                }));
            }
            if batches.len() == limits.revisions {
                return Ok(History { batches, end: batch.revision });
            }
        }
        Ok(History { batches, end: to })
    }

    fn previous(&self, batch: &RevisionEvents, place: usize) -> Option<KeyValue> {
        let kv = batch.events[place].kv.as_ref().unwrap();
        let (key, modified) = (&kv.key, batch.revision);
        let state = self.state.lock();
        let before = state.batches.iter().filter(|batch| batch.revision < modified);
        let last = before
            .flat_map(|batch| &batch.events)
            .rfind(|event| event.kv.as_ref().is_some_and(|kv| kv.key == *key))?;
        (last.r#type == EventType::Put as i32).then(|| last.kv.clone()).flatten()
    }
}

struct Bench {
    store: Store,
    hub: Hub,
    supervisor: Supervisor,
    registry: Registry,
}

fn bench(ring: usize) -> Bench {
    let (store, supervisor, registry) = (Store::new(ring), Supervisor::new(), Registry::new());
    let hub = Hub::start(store.clone(), &supervisor, &registry);
    Bench { store, hub, supervisor, registry }
}

impl Bench {
    fn stream(&self) -> WatchStream {
        self.hub.stream(StreamOptions {
            fragment_bytes: 2 << 20,
            progress_interval: Duration::from_millis(20),
        })
    }

    fn metric(&self, name: &str) -> String {
        let text = self.registry.render();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or("absent").to_owned()
    }
}

fn on(key: &'static str, end: &'static str, start_revision: i64) -> WatchCreateRequest {
    WatchCreateRequest {
        key: key.into(),
        range_end: end.into(),
        start_revision,
        ..WatchCreateRequest::default()
    }
}

async fn next(stream: &mut WatchStream) -> WatchResponse {
    timeout(PATIENCE, stream.next()).await.expect("no response came").expect("the stream ended")
}

fn revision(response: &WatchResponse) -> i64 {
    response.header.as_ref().unwrap().revision
}

/// Key and revision of each event.
fn events(response: &WatchResponse) -> Vec<(String, i64)> {
    let shown = |event: &Event| {
        let kv = event.kv.as_ref().unwrap();
        (String::from_utf8(kv.key.to_vec()).unwrap(), kv.mod_revision)
    };
    response.events.iter().map(shown).collect()
}

fn event(key: &str, revision: i64) -> (String, i64) {
    (key.to_owned(), revision)
}

#[tokio::test]
async fn a_watcher_is_created_and_then_sees_each_revision_in_one_response() {
    let bench = bench(100);
    let mut stream = bench.stream();
    stream.create(&on("a", "b", 0));
    let created = next(&mut stream).await;
    assert!((created.created, created.watch_id, revision(&created)) == (true, 0, 1));
    bench.store.put("a1", "x");
    bench.store.put("z", "x");
    bench.store.commit(&[("a1", None), ("b", Some("x")), ("a2", Some("y"))]);
    let first = next(&mut stream).await;
    assert_eq!((events(&first), revision(&first)), (vec![event("a1", 2)], 2));
    let second = next(&mut stream).await;
    assert_eq!(events(&second), [event("a1", 4), event("a2", 4)]);
    assert_eq!(second.events[0].r#type, EventType::Delete as i32);
    assert_eq!(bench.metric("etcd_debugging_mvcc_events_total"), "3");
}

#[tokio::test]
async fn refused_creates_answer_with_minus_one_and_leave_the_stream_usable() {
    let bench = bench(100);
    let mut stream = bench.stream();
    stream.create(&WatchCreateRequest { watch_id: -5, ..on("a", "", 0) });
    stream.create(&WatchCreateRequest { watch_id: -5, ..on("b", "", 0) });
    stream.create(&on("b", "b", 0));
    stream.create(&on("", "", 0));
    assert_eq!(next(&mut stream).await.watch_id, -5);
    for reason in
        ["mvcc: duplicate watch ID provided on the WatchStream", "mvcc: watcher range is empty"]
    {
        let refused = next(&mut stream).await;
        assert_eq!((refused.watch_id, refused.created, refused.canceled), (-1, true, true));
        assert_eq!(refused.cancel_reason, reason);
    }
    assert_eq!(next(&mut stream).await.watch_id, 0);
    bench.store.put("a", "x");
    assert_eq!(events(&next(&mut stream).await), [event("a", 2)]);
}

#[tokio::test]
async fn a_canceled_id_is_silent_and_free_again() {
    let bench = bench(100);
    let mut stream = bench.stream();
    stream.create(&on("a", "", 0));
    stream.cancel(7);
    stream.cancel(0);
    bench.store.put("a", "x");
    stream.create(&WatchCreateRequest { watch_id: 0, ..on("b", "", 0) });
    bench.store.put("b", "x");
    assert!(next(&mut stream).await.created);
    let canceled = next(&mut stream).await;
    assert!(canceled.canceled && canceled.cancel_reason.is_empty() && canceled.watch_id == 0);
    // The counter goes on; only ids given by the client come back.
    let created = next(&mut stream).await;
    assert!((created.created, created.watch_id) == (true, 1));
    assert_eq!(events(&next(&mut stream).await), [event("b", 3)]);
}

#[tokio::test]
async fn the_past_is_replayed_from_history_and_joined_to_the_present() {
    let bench = bench(10);
    for _ in 0..2_500 {
        bench.store.put("a", "x");
        bench.store.put("other", "x");
    }
    let mut stream = bench.stream();
    stream.create(&on("a", "", 4));
    assert!(next(&mut stream).await.created);
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    while seen.last() != Some(&event("a", 5_000)) {
        let response = next(&mut stream).await;
        assert_eq!(revision(&response), 5_001);
        sizes.push(response.events.len());
        seen.extend(events(&response));
    }
    let expected: Vec<_> = (2..=2_500).map(|step| event("a", step * 2)).collect();
    assert_eq!(seen, expected);
    assert_eq!(sizes, [1_000, 1_000, 499]);
    bench.store.put("a", "y");
    assert_eq!(events(&next(&mut stream).await), [event("a", 5_002)]);
}

#[tokio::test]
async fn what_is_committed_when_a_watcher_is_created_comes_in_one_response() {
    let bench = bench(100);
    let mut stream = bench.stream();
    // Nothing is waited for, so that the hub has had no time to take notice of these.
    for _ in 0..3 {
        bench.store.put("a", "x");
    }
    stream.create(&on("a", "", 2));
    assert!(next(&mut stream).await.created);
    let expected = [event("a", 2), event("a", 3), event("a", 4)];
    assert_eq!(events(&next(&mut stream).await), expected);
}

#[tokio::test]
async fn a_slow_stream_loses_nothing_and_holds_up_nobody() {
    let bench = bench(50);
    let (mut slow, mut quick) = (bench.stream(), bench.stream());
    slow.create(&on("a", "", 0));
    quick.create(&on("a", "", 0));
    assert!(next(&mut quick).await.created);
    let total = QUEUED_RESPONSES as i64 * 3;
    for _ in 0..total {
        let revision = bench.store.put("a", "x");
        assert_eq!(events(&next(&mut quick).await), [event("a", revision)]);
    }
    assert_eq!(bench.metric("etcd_debugging_mvcc_slow_watcher_total"), "1");
    assert!(next(&mut slow).await.created);
    let mut seen = Vec::new();
    while seen.len() < total as usize {
        seen.extend(events(&next(&mut slow).await));
    }
    assert_eq!(seen, (2..2 + total).map(|revision| event("a", revision)).collect::<Vec<_>>());
    bench.store.put("a", "y");
    assert_eq!(events(&next(&mut slow).await), [event("a", total + 2)]);
    assert_eq!(bench.metric("etcd_debugging_mvcc_slow_watcher_total"), "0");
}

#[tokio::test]
async fn compaction_ends_a_watcher_that_needs_what_is_gone() {
    let bench = bench(0);
    for _ in 0..10 {
        bench.store.put("a", "x");
    }
    bench.store.compact(6);
    let mut stream = bench.stream();
    stream.create(&on("a", "", 5));
    stream.create(&on("a", "", 6));
    assert!(next(&mut stream).await.created);
    let ended = next(&mut stream).await;
    assert!(ended.canceled && ended.cancel_reason.is_empty());
    assert_eq!((ended.watch_id, ended.compact_revision, revision(&ended)), (0, 6, 0));
    assert!(next(&mut stream).await.created);
    assert_eq!(events(&next(&mut stream).await).first(), Some(&event("a", 6)));
    // The other watcher is up to date, so progress is answered although the ended id lingers.
    stream.request_progress();
    let progress = next(&mut stream).await;
    assert_eq!((progress.watch_id, revision(&progress)), (-1, 11));
    stream.cancel(0);
    stream.cancel(0);
    assert!(next(&mut stream).await.canceled);
    stream.request_progress();
    assert_eq!(next(&mut stream).await.watch_id, -1);
}

#[tokio::test]
async fn progress_is_told_only_when_nothing_lower_can_follow() {
    let bench = bench(100);
    let mut stream = bench.stream();
    stream.request_progress();
    stream.create(&on("a", "", 50));
    stream.request_progress();
    stream.create(&on("a", "", 0));
    stream.cancel(0);
    bench.store.put("other", "x");
    stream.request_progress();
    assert_eq!(next(&mut stream).await.watch_id, 0);
    assert_eq!(next(&mut stream).await.watch_id, 1);
    assert!(next(&mut stream).await.canceled);
    let progress = next(&mut stream).await;
    assert_eq!((progress.watch_id, revision(&progress), progress.events.len()), (-1, 2, 0));
}

#[tokio::test]
async fn a_future_start_is_waited_for() {
    let bench = bench(100);
    let mut stream = bench.stream();
    stream.create(&on("a", "", 4));
    assert!(next(&mut stream).await.created);
    for _ in 0..4 {
        bench.store.put("a", "x");
    }
    assert_eq!(events(&next(&mut stream).await), [event("a", 4)]);
    assert_eq!(events(&next(&mut stream).await), [event("a", 5)]);
}

#[tokio::test]
async fn quiet_watchers_are_told_their_progress_at_ticks() {
    let bench = bench(100);
    let mut stream = bench.stream();
    stream.create(&WatchCreateRequest { progress_notify: true, ..on("a", "", 0) });
    stream.create(&on("a", "", 0));
    assert!(next(&mut stream).await.created && next(&mut stream).await.created);
    bench.store.put("other", "x");
    for _ in 0..2 {
        let progress = next(&mut stream).await;
        assert_eq!((progress.watch_id, progress.events.len(), progress.created), (0, 0, false));
    }
}

#[tokio::test]
async fn filters_and_previous_values_are_honoured() {
    let bench = bench(100);
    let mut stream = bench.stream();
    stream.create(&WatchCreateRequest { prev_kv: true, ..on("a", "", 0) });
    stream.create(&WatchCreateRequest { filters: vec![0], ..on("a", "", 0) });
    stream.create(&WatchCreateRequest { filters: vec![0, 1], ..on("a", "", 0) });
    for _ in 0..3 {
        assert!(next(&mut stream).await.created);
    }
    bench.store.put("a", "old");
    bench.store.put("a", "new");
    bench.store.commit(&[("a", None)]);
    let mut previous = Vec::new();
    let mut deletes = 0;
    while previous.len() < 3 || deletes < 1 {
        let response = next(&mut stream).await;
        match response.watch_id {
            0 => previous.push(response.events[0].prev_kv.clone().map(|kv| kv.value)),
            1 => deletes += response.events.len(),
            other => panic!("watcher {other} wants nothing"),
        }
    }
    assert_eq!(previous, [None, Some("old".into()), Some("new".into())]);
    assert_eq!(deletes, 1);
}

#[tokio::test]
async fn watchers_of_a_closed_stream_are_forgotten() {
    let bench = bench(100);
    let mut stream = bench.stream();
    for _ in 0..1_000 {
        stream.create(&on("a", "", 0));
        stream.create(&on("a", "z", 0));
    }
    assert_eq!(bench.metric("etcd_debugging_mvcc_watcher_total"), "2000");
    drop(stream);
    assert_eq!(bench.metric("etcd_debugging_mvcc_watcher_total"), "0");
    assert_eq!(bench.metric("etcd_debugging_mvcc_watch_stream_total"), "0");
    bench.store.put("a", "x");
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let bench = bench(100);
    let mut stream = bench.stream();
    stream.create(&on("a", "", 0));
    bench.supervisor.stop_token(Stage::Serving).stop();
    assert!(next(&mut stream).await.created);
    assert!(timeout(PATIENCE, stream.next()).await.expect("the stream stays open").is_none());
    assert!(bench.stream().next().await.is_none());
}

#[tokio::test]
async fn many_watchers_that_begin_in_the_past_share_reads_of_history() {
    let bench = bench(0);
    for _ in 0..20 {
        bench.store.put("a", "x");
    }
    let mut stream = bench.stream();
    for _ in 0..400 {
        stream.create(&on("b", "", 2));
    }
    stream.create(&on("a", "", 2));
    for _ in 0..401 {
        assert!(next(&mut stream).await.created);
    }
    assert_eq!(next(&mut stream).await.events.len(), 20);
    assert!(bench.store.state.lock().history_reads < 10);
}

#[tokio::test]
async fn thousands_that_fall_behind_at_once_come_back_in_few_rounds() {
    const WATCHERS: usize = 4_000;
    let bench = bench(100_000);
    let watch_each = |stream: &mut WatchStream| {
        for number in 0..WATCHERS {
            let key = format!("{number:04}").into();
            stream.create(&WatchCreateRequest { key, ..WatchCreateRequest::default() });
        }
    };
    // The places of a closed stream are given out again in another order than they were taken:
    // rounds must not depend on watchers standing in the order of what they miss.
    let mut first = bench.stream();
    watch_each(&mut first);
    drop(first);
    let mut stream = bench.stream();
    watch_each(&mut stream);
    for number in 0..WATCHERS {
        bench.store.put(&format!("{number:04}"), "x");
    }
    let mut seen = HashSet::new();
    while seen.len() < WATCHERS {
        let response = next(&mut stream).await;
        for event in events(&response) {
            assert!(seen.insert(event.clone()), "{event:?} came twice");
        }
    }
    let all_live = async {
        while bench.metric("etcd_debugging_mvcc_slow_watcher_total") != "0" {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all_live).await.expect("somebody stays behind");
    let looks = bench.store.state.lock().looks;
    assert!(looks < 100, "{looks} looks at the ring");
}
