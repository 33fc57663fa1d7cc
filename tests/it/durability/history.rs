//! Load of every kind that writes, what was acknowledged meanwhile, and whether a member that was
//! started again agrees with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use etcd::proto::etcdserverpb::request_op::Request;
use etcd::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest, LeaseLeasesRequest,
    LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use tokio::task::JoinSet;

use super::subject::PATIENCE;
use crate::support::session::{Session, put};
use crate::support::wait::within;

const WRITERS: usize = 4;
/// Long enough that no lease ends by itself.
const TTL: i64 = 3600;
/// Revisions that compaction leaves.
const KEPT: i64 = 50;
/// Makes a transaction some hundred bytes long, so that segments fill up.
const PADDING: usize = 400;

/// A hash that was told: of which revision, after which compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hash {
    revision: i64,
    compacted: i64,
    hash: u32,
}

/// What clients were told, over all lives of the member.
#[derive(Default)]
pub(super) struct History {
    next: Arc<AtomicI64>,
    /// Pair number to the revision it was written at.
    pairs: BTreeMap<i64, i64>,
    /// Lease to whether it was revoked; each holds one key.
    leases: BTreeMap<i64, bool>,
    compacted: i64,
    newest: i64,
    hashes: Vec<Hash>,
}

/// One thing a client was told.
enum Told {
    Pair(i64, i64),
    Granted(i64),
    Revoked(i64),
    Compacted(i64),
    Hash(Hash),
}

fn key(side: &str, number: i64) -> String {
    format!("{side}/{number:08}")
}

fn pair(number: i64) -> TxnRequest {
    let value = format!("{number:0PADDING$}");
    let op = |side: &str| RequestOp {
        request: Some(Request::RequestPut(put(&key(side, number), &value))),
    };
    TxnRequest { success: vec![op("left"), op("right")], ..TxnRequest::default() }
}

impl History {
    /// Puts load on the member at `url` until it dies or has acknowledged `enough` transactions.
    pub(super) async fn load(&mut self, url: &str, enough: usize) {
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        let acks = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..WRITERS {
            let (acks, next) = (Arc::clone(&acks), Arc::clone(&self.next));
            clients.spawn(write_pairs(url.to_owned(), next, acks, sender.clone()));
        }
        clients.spawn(use_leases(url.to_owned(), sender.clone()));
        clients.spawn(churn(url.to_owned()));
        clients.spawn(compact_and_hash(url.to_owned(), sender));
        let loaded = tokio::time::timeout(PATIENCE, async {
            while acks.load(Ordering::Relaxed) < enough && clients.len() > WRITERS {
                let ended =
                    tokio::time::timeout(std::time::Duration::from_millis(5), clients.join_next());
                if let Ok(Some(ended)) = ended.await {
                    ended.unwrap();
                }
            }
        });
        loaded.await.unwrap_or_else(|_| panic!("{enough} writes take more than {PATIENCE:?}"));
        clients.shutdown().await;
        while let Some(told) = told.recv().await {
            self.remember(&told);
        }
    }

    fn remember(&mut self, told: &Told) {
        match *told {
            Told::Pair(number, revision) => {
                self.pairs.insert(number, revision);
                self.newest = self.newest.max(revision);
            }
            Told::Granted(id) => {
                self.leases.insert(id, false);
            }
            Told::Revoked(id) => {
                self.leases.insert(id, true);
            }
            Told::Compacted(revision) => self.compacted = self.compacted.max(revision),
            Told::Hash(hash) => {
                self.newest = self.newest.max(hash.revision);
                self.hashes.push(hash);
            }
        }
    }

    /// Asks the member at `url` for everything and compares.
    ///
    /// # Panics
    /// When anything that was acknowledged is missing or different.
    pub(super) async fn check(&mut self, url: &str) {
        let mut session = Session::connect(url).await;
        let (left, newest) = self.check_pairs(&mut session).await;
        self.check_leases(&mut session).await;
        self.check_hashes(&mut session).await;
        let fresh = within("a put", session.kv.put(put("fresh", "x"))).await.unwrap().into_inner();
        let revision = fresh.header.unwrap().revision;
        assert!(
            revision > self.newest,
            "revision {revision} was used before, {} was told",
            self.newest
        );
        assert_eq!(revision, newest + 1, "a revision was left out");
        // What was in flight is decided now, and must not change any more.
        self.pairs.extend(left.into_iter().map(|(number, (revision, _))| (number, revision)));
        self.newest = revision;
    }

    async fn check_pairs(&self, session: &mut Session) -> (BTreeMap<i64, (i64, i64)>, i64) {
        let (left, newest) = read(session, "left").await;
        let (right, _) = read(session, "right").await;
        assert_eq!(left, right, "a transaction was applied by half");
        for (number, revision) in &self.pairs {
            let stored = left.get(number);
            assert_eq!(stored, Some(&(*revision, 1)), "pair {number}, acknowledged at {revision}");
        }
        let mut revisions: Vec<i64> = left.values().map(|(revision, _)| *revision).collect();
        revisions.sort_unstable();
        let count = revisions.len();
        revisions.dedup();
        assert_eq!(revisions.len(), count, "two transactions share a revision");
        assert!(newest >= self.newest, "the store is at {newest}, {} was told", self.newest);
        (left, newest)
    }

    async fn check_leases(&self, session: &mut Session) {
        let held = session.lease.lease_leases(LeaseLeasesRequest {});
        let held = within("leases", held).await.unwrap().into_inner().leases;
        for (id, revoked) in &self.leases {
            let there = held.iter().any(|lease| lease.id == *id);
            assert!(there || *revoked, "lease {id} was granted and is not there");
            assert!(!there || !revoked, "lease {id} was revoked and is there");
            let request = RangeRequest { key: key("lease", *id).into(), ..RangeRequest::default() };
            let kvs = within("a range", session.kv.range(request)).await.unwrap().into_inner().kvs;
            let attached: Vec<i64> = kvs.iter().map(|kv| kv.lease).collect();
            assert_eq!(attached, if *revoked { vec![] } else { vec![*id] }, "keys of lease {id}");
        }
    }

    async fn check_hashes(&mut self, session: &mut Session) {
        for told in self.hashes.split_off(self.hashes.len().saturating_sub(20)) {
            let now = hash(session, told.revision).await;
            // Another compaction makes another hash; below a compaction there is none.
            if let Some(now) = now.filter(|now| now.compacted == told.compacted) {
                assert_eq!(now, told, "the hash of a revision changed");
            }
        }
        let request = RangeRequest {
            key: "left/".into(),
            revision: self.compacted - 1,
            limit: 1,
            ..RangeRequest::default()
        };
        if self.compacted > 1 {
            let error = within("a range", session.kv.range(request)).await.unwrap_err();
            assert!(error.message().contains("compacted"), "{error}, compacted {}", self.compacted);
        }
    }
}

/// Number to revision and version, and the revision of the store.
async fn read(session: &mut Session, side: &str) -> (BTreeMap<i64, (i64, i64)>, i64) {
    let request = RangeRequest {
        key: format!("{side}/").into(),
        range_end: format!("{side}0").into(),
        ..RangeRequest::default()
    };
    let answer = within("a range", session.kv.range(request)).await.unwrap().into_inner();
    let pairs = answer.kvs.into_iter().map(|kv| {
        let number = std::str::from_utf8(&kv.value).unwrap().parse().unwrap();
        assert_eq!(kv.key, key(side, number).into_bytes(), "a value under another key");
        (number, (kv.mod_revision, kv.version))
    });
    (pairs.collect(), answer.header.unwrap().revision)
}

async fn hash(session: &mut Session, revision: i64) -> Option<Hash> {
    let answer = session.maintenance.hash_kv(HashKvRequest { revision });
    let answer = within("a hash", answer).await.ok()?.into_inner();
    Some(Hash { revision, compacted: answer.compact_revision, hash: answer.hash })
}

type Teller = tokio::sync::mpsc::UnboundedSender<Told>;

async fn write_pairs(url: String, next: Arc<AtomicI64>, acks: Arc<AtomicUsize>, told: Teller) {
    let Some(mut session) = Session::try_connect(&url).await else { return };
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed) + 1;
        let Ok(answer) = session.kv.txn(pair(number)).await else { return };
        let _ = told.send(Told::Pair(number, answer.into_inner().header.unwrap().revision));
        acks.fetch_add(1, Ordering::Relaxed);
    }
}

/// Grants leases with a key each, and revokes every second one.
async fn use_leases(url: String, told: Teller) {
    let Some(mut session) = Session::try_connect(&url).await else { return };
    for round in 0.. {
        let request = LeaseGrantRequest { ttl: TTL, id: 0 };
        let Ok(granted) = session.lease.lease_grant(request).await else { return };
        let id = granted.into_inner().id;
        let request = PutRequest { lease: id, ..put(&key("lease", id), "held") };
        if session.kv.put(request).await.is_err() {
            return;
        }
        if round % 2 == 0 {
            let _ = told.send(Told::Granted(id));
            continue;
        }
        if session.lease.lease_revoke(LeaseRevokeRequest { id }).await.is_err() {
            return;
        }
        let _ = told.send(Told::Revoked(id));
    }
}

/// Keys that come and go, for tombstones and compactions.
async fn churn(url: String) {
    let Some(mut session) = Session::try_connect(&url).await else { return };
    for round in 0.. {
        let key = format!("churn/{}", round % 7);
        let request =
            DeleteRangeRequest { key: key.clone().into(), ..DeleteRangeRequest::default() };
        if session.kv.put(put(&key, "x")).await.is_err()
            || round % 3 == 0 && session.kv.delete_range(request).await.is_err()
        {
            return;
        }
    }
}

async fn compact_and_hash(url: String, told: Teller) {
    let Some(mut session) = Session::try_connect(&url).await else { return };
    loop {
        let request = HashKvRequest::default();
        let Ok(answer) = session.maintenance.hash_kv(request).await else { return };
        let newest = answer.into_inner().header.unwrap().revision;
        let Some(hash) = hash(&mut session, newest).await else { return };
        let _ = told.send(Told::Hash(hash));
        let revision = newest - KEPT;
        if revision > hash.compacted.max(1) {
            let request = CompactionRequest { revision, physical: true };
            match session.kv.compact(request).await {
                Ok(_) => drop(told.send(Told::Compacted(revision))),
                Err(_) => return,
            }
        }
    }
}
