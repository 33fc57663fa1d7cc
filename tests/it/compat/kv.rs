//! Range, Put, DeleteRange, Compact: every option, and every wrong one etcd survives.

use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, HashKvRequest, PutRequest, RangeRequest, RequestOp,
    TxnRequest,
};

use crate::compat::side_by_side;
use crate::support::session::{Session, put};

side_by_side!(range_options, play_range);
side_by_side!(put_options, play_put);
side_by_side!(delete_range_options, play_delete);
side_by_side!(compaction_and_hash, play_compaction);
side_by_side!(compaction_of_an_empty_store, play_empty_compaction);
side_by_side!(hash_of_keys_deleted_and_written_anew_at_once, play_rebirth);

fn range(key: &'static str, end: &'static str) -> RangeRequest {
    RangeRequest { key: key.into(), range_end: end.into(), ..RangeRequest::default() }
}

async fn ask(session: &mut Session, request: RangeRequest) {
    let answer = session.kv.range(request.clone()).await;
    session.keep(request, answer);
}

/// Twelve keys of differing version, creation order and value, one deleted and one re-created.
async fn fill(session: &mut Session) {
    for (key, value) in [
        ("b", "3"),
        ("a", "9"),
        ("d", "1"),
        ("c", "5"),
        ("ab", ""),
        ("e", "2"),
        ("a", "8"),
        ("b", "4"),
        ("b", "7"),
        ("f", "6"),
        ("zz", "0"),
        ("\u{7f}", "x"),
        ("c", "50"),
    ] {
        let request = put(key, value);
        let answer = session.kv.put(request.clone()).await;
        session.keep(request, answer);
    }
    for key in ["d", "e"] {
        let request = DeleteRangeRequest { key: key.into(), ..DeleteRangeRequest::default() };
        let answer = session.kv.delete_range(request.clone()).await;
        session.keep(request, answer);
    }
    let request = put("e", "back");
    let answer = session.kv.put(request.clone()).await;
    session.keep(request, answer);
}

async fn play_range(session: &mut Session) {
    ask(session, range("a", "\0")).await;
    fill(session).await;
    let intervals = [
        ("a", ""),
        ("missing", ""),
        ("a", "c"),
        ("a", "z"),
        ("c", "a"),
        ("b", "\0"),
        ("\0", "\0"),
        ("", ""),
        ("", "z"),
    ];
    for (key, end) in intervals {
        ask(session, range(key, end)).await;
        for revision in [-1, 1, 2, 5, 9, 14, 15, 16, 17, 18, 99] {
            ask(session, RangeRequest { revision, ..range(key, end) }).await;
        }
        for limit in [-1, 1, 3, 100] {
            ask(session, RangeRequest { limit, ..range(key, end) }).await;
            ask(session, RangeRequest { limit, keys_only: true, ..range(key, end) }).await;
            ask(session, RangeRequest { limit, count_only: true, ..range(key, end) }).await;
            ask(session, RangeRequest { limit, serializable: true, ..range(key, end) }).await;
        }
    }
    sorted_ranges(session).await;
    filtered_ranges(session).await;
}

/// Ties are in no promised order, so values and versions compared here are distinct where sorted.
async fn sorted_ranges(session: &mut Session) {
    for sort_order in 0..=2 {
        for sort_target in [0, 2, 3, 4] {
            for (limit, revision) in [(0, 0), (1, 0), (3, 0), (3, 12), (0, 12), (50, 0)] {
                let request =
                    RangeRequest { sort_order, sort_target, limit, revision, ..range("a", "\0") };
                ask(session, request.clone()).await;
                ask(session, RangeRequest { keys_only: true, ..request }).await;
            }
        }
        // Version: one pair without ties.
        ask(session, RangeRequest { sort_order, sort_target: 1, ..range("a", "c") }).await;
    }
}

async fn filtered_ranges(session: &mut Session) {
    for bound in [-1, 0, 1, 4, 8, 15, 40] {
        for limit in [0, 2] {
            let all = RangeRequest { limit, ..range("\0", "\0") };
            ask(session, RangeRequest { min_mod_revision: bound, ..all.clone() }).await;
            ask(session, RangeRequest { max_mod_revision: bound, ..all.clone() }).await;
            ask(session, RangeRequest { min_create_revision: bound, ..all.clone() }).await;
            ask(session, RangeRequest { max_create_revision: bound, ..all.clone() }).await;
            let both = RangeRequest { min_mod_revision: 3, max_mod_revision: bound, ..all };
            ask(session, both.clone()).await;
            ask(session, RangeRequest { count_only: true, ..both }).await;
        }
    }
}

async fn play_put(session: &mut Session) {
    let mut requests = vec![
        put("", "x"),
        put("k", ""),
        put("k", "1"),
        PutRequest { prev_kv: true, ..put("k", "2") },
        PutRequest { prev_kv: true, ..put("fresh", "2") },
        PutRequest { ignore_value: true, ..put("k", "") },
        PutRequest { ignore_value: true, ..put("k", "no") },
        PutRequest { ignore_value: true, ..put("none", "") },
        PutRequest { ignore_lease: true, ..put("k", "3") },
        PutRequest { ignore_lease: true, ..put("none", "3") },
        PutRequest { ignore_lease: true, lease: 5, ..put("k", "3") },
        PutRequest { ignore_lease: true, ignore_value: true, prev_kv: true, ..put("k", "") },
        PutRequest { ignore_lease: true, ignore_value: true, lease: 5, ..put("k", "v") },
        PutRequest { ignore_value: true, lease: 5, ..put("k", "v") },
        PutRequest { lease: 404, ..put("k", "3") },
        PutRequest { lease: -404, ..put("k", "3") },
        PutRequest { lease: 404, ignore_value: true, ..put("none", "") },
        put("k", "3"),
    ];
    requests.push(put("big", &"x".repeat(1 << 20)));
    for request in requests {
        let answer = session.kv.put(request.clone()).await;
        let asked =
            PutRequest { value: request.value.slice(..request.value.len().min(8)), ..request };
        session.keep(asked, answer);
    }
    for size in [1_572_800, 1_572_900, 2_000_000, 2_097_000, 2_200_000] {
        let answer = session.kv.put(put("huge", &"x".repeat(size))).await;
        session.keep(format!("put of {size} bytes"), answer);
    }
    ask(session, RangeRequest { keys_only: true, ..range("\0", "\0") }).await;
}

async fn play_delete(session: &mut Session) {
    fill(session).await;
    for (key, end, prev_kv) in [
        ("", "", false),
        ("a", "", true),
        ("a", "", true),
        ("missing", "", true),
        ("c", "a", true),
        ("b", "d", true),
        ("e", "\0", false),
        ("\0", "\0", true),
        ("\0", "\0", true),
    ] {
        let request = DeleteRangeRequest { key: key.into(), range_end: end.into(), prev_kv };
        let answer = session.kv.delete_range(request.clone()).await;
        session.keep(request, answer);
    }
    ask(session, range("\0", "\0")).await;
    ask(session, RangeRequest { revision: 15, ..range("\0", "\0") }).await;
}

async fn hash(session: &mut Session, revision: i64) {
    let request = HashKvRequest { revision };
    let mut answer = session.maintenance.hash_kv(request).await;
    if let Ok(response) = &mut answer {
        // Newer than the reference; only ours fills it.
        response.get_mut().hash_revision = 0;
    }
    session.keep(request, answer);
}

/// Apart from the others: real etcd files the hash of such a compaction under revision 0 and from
/// then on gives it to everybody who asks for the newest.
async fn play_empty_compaction(session: &mut Session) {
    for revision in [0, -1, 0, 2, 1] {
        let request = CompactionRequest { revision, physical: false };
        let answer = session.kv.compact(request).await;
        session.keep(request, answer);
    }
}

async fn play_compaction(session: &mut Session) {
    fill(session).await;
    for revision in [0, 1, 5, 17, 18, -1, i64::MIN] {
        hash(session, revision).await;
    }
    for revision in [5, 5, 3, 0, -7, 99, 14, 15, 17] {
        let request = CompactionRequest { revision, physical: true };
        let answer = session.kv.compact(request).await;
        session.keep(request, answer);
        for at in [0, 1, 4, 5, 6, 13, 14, 15, 16, 17, 18] {
            ask(session, RangeRequest { revision: at, ..range("\0", "\0") }).await;
            ask(session, RangeRequest { revision: at, count_only: true, ..range("a", "c") }).await;
        }
        for at in [0, -1, -17] {
            hash(session, at).await;
        }
    }
    fill(session).await;
    hash(session, 0).await;
}

/// One transaction deletes everything and writes one key anew; a later write changes what is kept.
async fn play_rebirth(session: &mut Session) {
    let answer = session.kv.put(put("c", "1")).await;
    session.keep("put", answer);
    let everything = DeleteRangeRequest {
        key: "\0".into(),
        range_end: "\0".into(),
        ..DeleteRangeRequest::default()
    };
    let ops = [
        Request::RequestPut(put("b", "1")),
        Request::RequestDeleteRange(everything),
        Request::RequestPut(put("c", "2")),
    ];
    let success = ops.into_iter().map(|op| RequestOp { request: Some(op) }).collect();
    let answer = session.kv.txn(TxnRequest { success, ..TxnRequest::default() }).await;
    session.keep("txn", answer);
    let answer = session.kv.compact(CompactionRequest { revision: 2, physical: true }).await;
    session.keep("compaction", answer);
    for revision in [0, 3] {
        hash(session, revision).await;
    }
    let answer = session.kv.put(put("d", "1")).await;
    session.keep("put", answer);
    for revision in [0, 3, 4] {
        hash(session, revision).await;
    }
}
