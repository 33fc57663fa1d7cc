//! From a seed to a sequence of steps.

use bytes::Bytes;
use etcd::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, PutRequest, WatchCreateRequest,
};

use super::requests::{self, LEASES};
use super::revisions::{COMPACTED, NEWEST};
use super::step::{Action, Ids, Lapse, Restart, Sequence, Step, Watch, Watcher};
use crate::support::random::Random;

/// The stream for watchers whose revision never comes. etcd 3.5.16 answers a progress request with a
/// revision below the one such a watcher waits for, which later etcd and ours hold back: so progress is
/// not asked for where one of them is.
pub(super) const DISTANT: u32 = 3;
/// Leases that are revoked right after they were granted.
const BRIEF: [i64; 3] = [801, 802, 0];
/// Leases that run out.
const LAPSING: [i64; 2] = [901, 902];

#[derive(Clone, Copy)]
enum Kind {
    Range,
    Put,
    Delete,
    Txn,
    Compact,
    Hash,
    Grant,
    Brief,
    Revoke,
    KeepAlive,
    TimeToLive,
    Leases,
    Lapse,
    Watch,
    Cancel,
    IdleProgress,
    Close,
    Settle,
    Restart,
    Defragment,
    Pause,
    Bulk,
}

/// How often each kind of step comes up.
const WEIGHTS: [(u64, Kind); 22] = [
    (600, Kind::Range),
    (800, Kind::Put),
    (240, Kind::Delete),
    (560, Kind::Txn),
    (40, Kind::Compact),
    (80, Kind::Hash),
    (70, Kind::Grant),
    (20, Kind::Brief),
    (40, Kind::Revoke),
    (30, Kind::KeepAlive),
    (30, Kind::TimeToLive),
    (10, Kind::Leases),
    (8, Kind::Lapse),
    (200, Kind::Watch),
    (40, Kind::Cancel),
    (6, Kind::IdleProgress),
    (6, Kind::Close),
    (40, Kind::Settle),
    (5, Kind::Restart),
    (3, Kind::Defragment),
    (10, Kind::Pause),
    (3, Kind::Bulk),
];

/// The sequence of a seed: the same seed and length always give the same steps.
pub(super) fn sequence(seed: u64, length: usize) -> Sequence {
    let mut random = Random::new(seed);
    let mut steps = beginning();
    while steps.len() < length {
        match random.weighted(&WEIGHTS) {
            Kind::Bulk => steps.extend(bulk(&mut random)),
            kind => steps.push(Step::new(action(&mut random, kind))),
        }
    }
    steps.truncate(length);
    Sequence { seed, steps }
}

/// Something to work with: most of the leases.
fn beginning() -> Vec<Step> {
    let grant = |id: &i64| Step::new(Action::Grant(LeaseGrantRequest { ttl: 600, id: *id }));
    LEASES.iter().take(4).map(grant).collect()
}

fn action(random: &mut Random, kind: Kind) -> Action {
    match kind {
        Kind::Range => Action::Range(requests::range(random)),
        Kind::Put | Kind::Bulk => Action::Put(requests::put(random)),
        Kind::Delete => Action::Delete(requests::delete(random)),
        Kind::Txn => Action::Txn(requests::txn(random)),
        Kind::Compact => Action::Compact(CompactionRequest {
            revision: compaction(random),
            physical: random.chance(600),
        }),
        Kind::Hash => Action::Hash(HashKvRequest { revision: hashed(random) }),
        Kind::Grant => {
            let ttl = random.pick(&[300, 600, 5_000, 9_000_000_000, 9_000_000_001, i64::MAX]);
            Action::Grant(LeaseGrantRequest { ttl, id: random.pick(&LEASES) })
        }
        Kind::Brief => {
            let ttl = random.pick(&[0, -5, 1, 2, 3, 700, i64::MIN]);
            Action::Brief(LeaseGrantRequest { ttl, id: random.pick(&BRIEF) })
        }
        Kind::Revoke => Action::Revoke(LeaseRevokeRequest { id: lease(random) }),
        Kind::KeepAlive => {
            let ids = (0..=random.below(4)).map(|_| lease(random)).collect();
            Action::KeepAlive(Ids { ids })
        }
        Kind::TimeToLive => Action::TimeToLive(LeaseTimeToLiveRequest {
            id: lease(random),
            keys: random.chance(600),
        }),
        Kind::Leases => Action::Leases(()),
        Kind::Lapse => Action::Lapse(lapse(random)),
        Kind::Watch => Action::Watch(watch(random)),
        Kind::Cancel => {
            let id = random.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 42, -5, 4711]);
            Action::Cancel(Watcher { stream: stream(random), id })
        }
        Kind::IdleProgress => Action::IdleProgress(stream(random)),
        Kind::Close => Action::Close(stream(random)),
        Kind::Settle => Action::Settle(()),
        Kind::Restart => Action::Restart(Restart { kill: random.chance(600) }),
        Kind::Defragment => Action::Defragment(()),
        Kind::Pause => Action::Pause(stream(random)),
    }
}

fn compaction(random: &mut Random) -> i64 {
    match random.below(100) {
        0..60 => NEWEST - 5 - random.up_to(60),
        60..80 => NEWEST - random.up_to(5),
        80..90 => COMPACTED + random.up_to(4) - 1,
        90..94 => NEWEST + 1 + random.up_to(2),
        _ => random.pick(&[0, -1, 1, i64::MIN, i64::MAX]),
    }
}

fn hashed(random: &mut Random) -> i64 {
    match random.below(100) {
        0..50 => 0,
        50..80 => NEWEST - random.up_to(60),
        80..90 => COMPACTED + random.up_to(5) - 1,
        90..94 => NEWEST + 1,
        _ => random.pick(&[-1, 1, i64::MIN, i64::MAX]),
    }
}

fn lease(random: &mut Random) -> i64 {
    if random.chance(100) { random.pick(&[0, 404, -1, i64::MIN]) } else { random.pick(&LEASES) }
}

fn lapse(random: &mut Random) -> Lapse {
    let id = random.pick(&LAPSING);
    let puts = (0..random.below(5)).map(|_| PutRequest { lease: id, ..requests::put(random) });
    let puts = puts.filter(|put| put.value.len() < 1_000).collect();
    let restart = random.chance(250).then(|| Restart { kill: random.chance(500) });
    let grant = Some(LeaseGrantRequest { ttl: random.pick(&[0, 1, 2]), id });
    Lapse { grant, puts, renew: random.chance(500), restart }
}

fn stream(random: &mut Random) -> u32 {
    random.weighted(&[(4, 0), (3, 1), (3, 2), (1, DISTANT)])
}

/// A watcher from the past, the present or the future, with any of its options.
fn watch(random: &mut Random) -> Watch {
    let everything = || (Bytes::from_static(b"\0"), Bytes::from_static(b"\0"));
    let wide = random.chance(250);
    let (key, range_end) = if wide { everything() } else { requests::interval(random) };
    let stream = stream(random);
    let start_revision = match random.below(1_000) {
        _ if stream == DISTANT => random.pick(&[NEWEST + 1_000_000, i64::MAX, 1 << 40]),
        0..420 => 0,
        420..660 => NEWEST - random.up_to(60),
        660..780 => random.up_to(8),
        780..860 => COMPACTED + random.up_to(4) - 2,
        860..970 => NEWEST + 1 + random.up_to(6),
        _ => random.pick(&[-1, -2, i64::MIN]),
    };
    let filters = [vec![], vec![0], vec![1], vec![0, 1], vec![1, 1], vec![7]];
    let create = WatchCreateRequest {
        key,
        range_end,
        start_revision,
        progress_notify: random.chance(250),
        filters: if random.chance(300) { random.pick(&filters) } else { Vec::new() },
        prev_kv: random.chance(400),
        // Not -1, under which also what concerns all watchers of a stream is told.
        watch_id: if random.chance(150) { random.pick(&[1, 5, 42, -5]) } else { 0 },
        fragment: random.chance(300),
    };
    Watch { stream, create: Some(create) }
}

/// Large values, of which four are deleted in one revision: responses reach the size at which they are
/// cut, and a stream nobody reads meanwhile the size at which its watchers fall behind.
fn bulk(random: &mut Random) -> Vec<Step> {
    let keys = ["g/1", "g/2", "g/3", "g/4"].map(Bytes::from);
    let put = |key: &Bytes| {
        let value = Bytes::from(vec![b'g'; 800_000]);
        Action::Put(PutRequest { key: key.clone(), value, ..PutRequest::default() })
    };
    let (key, range_end) = (Bytes::from_static(b"g"), Bytes::from_static(b"h"));
    let stream = random.pick(&[0, 1, 2]);
    let create = WatchCreateRequest {
        key: key.clone(),
        range_end: range_end.clone(),
        start_revision: random.pick(&[0, NEWEST, NEWEST - 3]),
        prev_kv: random.chance(800),
        fragment: random.chance(700),
        ..WatchCreateRequest::default()
    };
    let watch = Action::Watch(Watch { stream, create: Some(create) });
    let puts = keys.iter().map(put);
    let mut actions: Vec<Action> = if random.chance(500) {
        [watch, Action::Pause(stream)].into_iter().chain(puts).collect()
    } else {
        puts.chain([watch]).collect()
    };
    let delete = DeleteRangeRequest { key, range_end, prev_kv: random.chance(500) };
    actions.extend([Action::Delete(delete), Action::Settle(())]);
    actions.into_iter().map(Step::new).collect()
}
