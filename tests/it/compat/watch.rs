//! Watch: creation, filters, history, progress, fragments, cancellation, compaction.

use std::time::Duration;

use etcd::proto::etcdserverpb::watch_request::RequestUnion;
use etcd::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, WatchCancelRequest, WatchCreateRequest,
    WatchProgressRequest, WatchRequest,
};
use tonic::Response;

use crate::compat::side_by_side;
use crate::support::session::{Session, WatchSession, opening, put};

side_by_side!(live_events, play_live);
side_by_side!(history_and_filters, play_history);
side_by_side!(watch_ids_and_cancellation, play_ids);
side_by_side!(compacted_watchers, play_compacted);
side_by_side!(fragments, play_fragments);
side_by_side!(progress_on_request, play_progress);

pub(crate) fn create(key: &'static str, end: &'static str) -> WatchCreateRequest {
    WatchCreateRequest { key: key.into(), range_end: end.into(), ..WatchCreateRequest::default() }
}

fn cancel(watch_id: i64) -> WatchRequest {
    WatchRequest {
        request_union: Some(RequestUnion::CancelRequest(WatchCancelRequest { watch_id })),
    }
}

fn progress() -> WatchRequest {
    WatchRequest { request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})) }
}

async fn next(session: &mut Session, watch: &mut WatchSession) {
    let response = watch.next().await;
    session.keep("watch", Ok(Response::new(response)));
}

async fn write(session: &mut Session, key: &str, value: &str) {
    let answer = session.kv.put(put(key, value)).await;
    session.keep(key, answer);
}

async fn delete(session: &mut Session, key: &'static str, end: &'static str) {
    let request = DeleteRangeRequest { key: key.into(), range_end: end.into(), prev_kv: false };
    let answer = session.kv.delete_range(request.clone()).await;
    session.keep(request, answer);
}

async fn play_live(session: &mut Session) {
    let mut watch = session.watch();
    let plain = create("a", "z");
    let with_previous = WatchCreateRequest { prev_kv: true, ..create("a", "") };
    watch.send(opening(plain)).await;
    next(session, &mut watch).await;
    write(session, "a", "1").await;
    next(session, &mut watch).await;
    write(session, "a", "2").await;
    write(session, "b", "2").await;
    next(session, &mut watch).await;
    next(session, &mut watch).await;
    delete(session, "a", "c").await;
    next(session, &mut watch).await;
    watch.send(cancel(0)).await;
    next(session, &mut watch).await;
    watch.send(opening(with_previous)).await;
    next(session, &mut watch).await;
    for value in ["3", "4"] {
        write(session, "a", value).await;
        next(session, &mut watch).await;
    }
    delete(session, "a", "").await;
    next(session, &mut watch).await;
}

async fn play_history(session: &mut Session) {
    for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("a", "3")] {
        write(session, key, value).await;
    }
    delete(session, "a", "").await;
    let wanted = [
        WatchCreateRequest { start_revision: 1, ..create("a", "") },
        WatchCreateRequest { start_revision: 2, prev_kv: true, ..create("a", "z") },
        WatchCreateRequest { start_revision: 4, ..create("", "") },
        WatchCreateRequest { start_revision: 4, ..create("b", "\0") },
        WatchCreateRequest { start_revision: 2, filters: vec![0], ..create("a", "z") },
        WatchCreateRequest { start_revision: 2, filters: vec![1], ..create("a", "z") },
        WatchCreateRequest { start_revision: 7, ..create("a", "") },
    ];
    for request in wanted {
        let mut watch = session.watch();
        session.note(format!("{request:?}"));
        let empty_key = request.key.is_empty();
        watch.send(opening(request)).await;
        next(session, &mut watch).await;
        if !empty_key {
            next(session, &mut watch).await;
        }
    }
    // Filters that leave nothing, and a revision yet to come.
    let mut watch = session.watch();
    watch
        .send(opening(WatchCreateRequest {
            filters: vec![0, 1],
            start_revision: 2,
            ..create("a", "z")
        }))
        .await;
    next(session, &mut watch).await;
    watch.send(opening(WatchCreateRequest { start_revision: 10, ..create("a", "z") })).await;
    next(session, &mut watch).await;
    for value in ["8", "9", "10", "11"] {
        write(session, "q", value).await;
    }
    next(session, &mut watch).await;
    next(session, &mut watch).await;
}

async fn play_ids(session: &mut Session) {
    let mut watch = session.watch();
    for request in [
        create("a", ""),
        WatchCreateRequest { watch_id: 7, ..create("a", "") },
        WatchCreateRequest { watch_id: 7, ..create("b", "") },
        WatchCreateRequest { watch_id: -5, ..create("b", "") },
        WatchCreateRequest { watch_id: 1, ..create("b", "") },
        create("c", ""),
        create("d", "a"),
        create("d", "d"),
        create("e", "\0"),
    ] {
        session.note(format!("{request:?}"));
        watch.send(opening(request)).await;
        next(session, &mut watch).await;
    }
    watch.send(WatchRequest { request_union: None }).await;
    watch.send(cancel(4711)).await;
    watch.send(cancel(7)).await;
    next(session, &mut watch).await;
    watch.send(cancel(-5)).await;
    next(session, &mut watch).await;
    watch.send(opening(WatchCreateRequest { watch_id: 7, ..create("x", "") })).await;
    next(session, &mut watch).await;
    write(session, "x", "1").await;
    // Two watchers see it, in either order.
    let mut ids = [watch.next().await.watch_id, watch.next().await.watch_id];
    ids.sort_unstable();
    session.note(format!("event to {ids:?}"));
}

async fn play_compacted(session: &mut Session) {
    for value in 0..8 {
        write(session, "a", &value.to_string()).await;
    }
    let request = CompactionRequest { revision: 5, physical: true };
    let answer = session.kv.compact(request).await;
    session.keep(request, answer);
    for start_revision in [1, 4, 5] {
        let mut watch = session.watch();
        let request = WatchCreateRequest { start_revision, prev_kv: true, ..create("a", "") };
        watch.send(opening(request)).await;
        next(session, &mut watch).await;
        next(session, &mut watch).await;
    }
}

/// Deletes five large keys in one revision, so that one response must carry five old values.
async fn play_fragments(session: &mut Session) {
    let value = "v".repeat(900 << 10);
    let mut whole = session.watch();
    let mut cut = session.watch();
    let keys = create("a", "z");
    whole.send(opening(WatchCreateRequest { prev_kv: true, ..keys.clone() })).await;
    next(session, &mut whole).await;
    for key in ["a", "b", "c", "d", "e"] {
        let answer = session.kv.put(put(key, &value)).await;
        session.note(format!("{:?}", answer.is_ok()));
        session.note(format!("{} event", whole.next().await.events.len()));
    }
    cut.send(opening(WatchCreateRequest { prev_kv: true, fragment: true, ..keys })).await;
    next(session, &mut cut).await;
    delete(session, "a", "z").await;
    for watch in [&mut whole, &mut cut] {
        let mut events = 0;
        while events < 5 {
            let response = watch.next().await;
            events += response.events.len();
            let size: usize = response.events.iter().map(prost::Message::encoded_len).sum();
            session.note(format!(
                "{} events, {size} bytes, fragment {}",
                response.events.len(),
                response.fragment
            ));
        }
    }
}

async fn play_progress(session: &mut Session) {
    write(session, "a", "1").await;
    let mut watch = session.watch();
    watch.send(progress()).await;
    let silent = watch.silent_for(Duration::from_millis(300)).await;
    session.note(format!("no watcher, no progress: {silent}"));
    watch.send(opening(create("a", ""))).await;
    next(session, &mut watch).await;
    watch.send(progress()).await;
    next(session, &mut watch).await;
    write(session, "b", "1").await;
    watch.send(progress()).await;
    next(session, &mut watch).await;
}
