//! Small records of recent and often-read revisions, kept in memory.
//!
//! A record never changes, so an entry is right for ever and readers need no agreement with the
//! writer. Which entries stay is decided by a clock hand per shard: an entry that was read since the
//! hand last passed gets another round.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::types::revision::Revision;

/// More than enough for the threads of any machine to rarely meet; a power of two.
const SHARDS: usize = 64;
/// Larger records cost so much to send that reading them from the store hardly shows.
const LARGEST: usize = 4 << 10;
/// What an entry costs besides its record: two slots, a place in the map, the buffer's header.
const OVERHEAD: usize = 128;

/// Records by revision, up to a budget of bytes.
#[derive(Debug)]
pub struct ValueCache {
    shards: Vec<Mutex<Shard>>,
}

impl ValueCache {
    /// A cache of at most `budget` bytes, its own upkeep included; zero keeps nothing.
    pub fn new(budget: usize) -> Self {
        let shard = || Mutex::new(Shard { budget: budget / SHARDS, ..Shard::default() });
        Self { shards: std::iter::repeat_with(shard).take(SHARDS).collect() }
    }

    /// Keeps the record of a revision, unless it is large; others that nobody read lately make room.
    pub fn insert(&self, at: Revision, record: &Bytes) {
        if record.len() <= LARGEST
            && let Some(shard) = self.shard(at)
        {
            shard.lock().insert(at, record.clone());
        }
    }

    /// The record of a revision, if it is kept.
    pub fn get(&self, at: Revision) -> Option<Bytes> {
        self.shard(at)?.lock().get(at)
    }

    /// Forgets a revision that is not the newest of its key any more.
    pub fn remove(&self, at: Revision) {
        if let Some(shard) = self.shard(at) {
            shard.lock().remove(at);
        }
    }

    /// Neighbouring revisions go to different shards.
    fn shard(&self, at: Revision) -> Option<&Mutex<Shard>> {
        let place = at.main.wrapping_add(at.sub).cast_unsigned() as usize;
        self.shards.get(place % SHARDS)
    }
}

#[derive(Debug, Default)]
struct Shard {
    places: HashMap<Revision, usize, BuildHasherDefault<Mix>>,
    ring: Vec<Entry>,
    hand: usize,
    bytes: usize,
    budget: usize,
}

#[derive(Debug)]
struct Entry {
    at: Revision,
    record: Bytes,
    /// Read since the hand last passed.
    used: bool,
}

impl Entry {
    fn cost(&self) -> usize {
        self.record.len() + OVERHEAD
    }
}

impl Shard {
    fn get(&mut self, at: Revision) -> Option<Bytes> {
        let entry = self.ring.get_mut(*self.places.get(&at)?)?;
        entry.used = true;
        Some(entry.record.clone())
    }

    fn insert(&mut self, at: Revision, record: Bytes) {
        let entry = Entry { at, record, used: false };
        if entry.cost() > self.budget || self.places.contains_key(&at) {
            return;
        }
        while self.bytes + entry.cost() > self.budget {
            self.evict_one();
        }
        self.bytes += entry.cost();
        self.places.insert(at, self.ring.len());
        self.ring.push(entry);
    }

    fn evict_one(&mut self) {
        loop {
            if self.hand >= self.ring.len() {
                self.hand = 0;
            }
            match self.ring.get_mut(self.hand) {
                Some(entry) if entry.used => entry.used = false,
                Some(entry) => {
                    let at = entry.at;
                    return self.remove(at);
                }
                None => return,
            }
            self.hand += 1;
        }
    }

    fn remove(&mut self, at: Revision) {
        let Some(place) = self.places.remove(&at) else { return };
        let entry = self.ring.swap_remove(place);
        self.bytes -= entry.cost();
        if let Some(moved) = self.ring.get(place) {
            self.places.insert(moved.at, place);
        }
    }
}

/// Mixes the two numbers of a revision. We choose revisions ourselves, so nobody can make them
/// collide on purpose and a keyed hash would be wasted.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte));
        }
    }

    fn write_i64(&mut self, number: i64) {
        let mixed = (self.0 ^ number.cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(size: usize) -> Bytes {
        vec![7; size].into()
    }

    /// Revisions that share a shard.
    fn same_shard(count: i64) -> impl Iterator<Item = Revision> {
        (0..count).map(|n| Revision::new(n * SHARDS as i64, 0))
    }

    #[test]
    fn keeps_what_it_is_given_until_it_is_told_to_forget() {
        let cache = ValueCache::new(1 << 20);
        let (first, second) = (Revision::new(5, 0), Revision::new(5, 1));
        cache.insert(first, &record(3));
        cache.insert(second, &record(4));
        assert_eq!(cache.get(first), Some(record(3)));
        cache.remove(first);
        cache.remove(first);
        assert_eq!(cache.get(first), None);
        assert_eq!(cache.get(second), Some(record(4)));
    }

    #[test]
    fn stays_within_its_budget_and_keeps_what_is_read() {
        let room_for = 8;
        let cache = ValueCache::new(SHARDS * room_for * (100 + OVERHEAD));
        let all: Vec<Revision> = same_shard(40).collect();
        for at in &all {
            cache.insert(*at, &record(100));
            assert!(cache.get(all[0]).is_some(), "what is read again and again was dropped");
        }
        let kept = all.iter().filter(|at| cache.get(**at).is_some()).count();
        assert_eq!(kept, room_for);
        assert!(cache.get(all[39]).is_some(), "the newest was dropped");
    }

    #[test]
    fn large_records_and_no_budget_keep_nothing() {
        let cache = ValueCache::new(1 << 20);
        cache.insert(Revision::new(1, 0), &record(LARGEST + 1));
        assert_eq!(cache.get(Revision::new(1, 0)), None);
        let none = ValueCache::new(0);
        none.insert(Revision::new(1, 0), &record(1));
        assert_eq!(none.get(Revision::new(1, 0)), None);
    }
}
