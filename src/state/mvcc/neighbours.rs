//! Many records at once: those that lie next to each other in the store are read by one scan.
//!
//! A look-up searches the tables and checks a block for one record out of a dozen. Keys that were
//! written one after another, as a directory often is, have neighbouring revisions, and a scan gives
//! them for a fraction of that. What it reads is not put into the cache: a range over everything
//! would drive out what is read again and again.

use std::ops::Bound;

use bytes::Bytes;

use super::record::{Accept, Fetch, Records, read_key};
use crate::state::error::{ReadError, StateError};
use crate::storage::engine::Space;
use crate::types::revision::Revision;

/// Records a scan may pass over to come to the next wanted one. A look-up costs about as much as
/// eight steps.
const GAP: i64 = 4;
/// Neighbours from which on a scan, which costs a few look-ups to begin, is worth it.
const WORTH_A_SCAN: usize = 8;

/// See [`Fetch::fetch_each`].
pub(super) fn fetch_each<T>(
    records: &Records,
    at: &[Revision],
    accept: &Accept<'_, T>,
) -> Result<Vec<T>, ReadError> {
    let mut found = Vec::with_capacity(at.len());
    let mut cold = Vec::new();
    for (place, at) in at.iter().enumerate() {
        match records.cache.get(*at) {
            Some(record) => found.push(accept(*at, record)?),
            None => {
                cold.push((*at, place));
                found.push(None);
            }
        }
    }
    cold.sort_unstable();
    let mut take = |(at, place): (Revision, usize), record: Bytes| -> Result<(), ReadError> {
        if let Some(slot) = found.get_mut(place) {
            *slot = accept(at, record)?;
        }
        Ok(())
    };
    for run in cold.chunk_by(|(one, _), (next, _)| are_near(*one, *next)) {
        let scanned = if run.len() < WORTH_A_SCAN { 0 } else { scan(records, run, &mut take)? };
        for wanted in run.iter().skip(scanned) {
            let record = records.fetch(wanted.0)?;
            take(*wanted, record.ok_or(StateError::MissingRecord(wanted.0))?)?;
        }
    }
    Ok(found.into_iter().flatten().collect())
}

fn are_near(one: Revision, next: Revision) -> bool {
    let (main, sub) = (next.main - one.main, next.sub - one.sub);
    if main == 0 { sub <= GAP } else { main <= GAP }
}

/// Reads a run of ascending revisions by one scan; tells how many of them, from the first on. It
/// gives up where one is missing, or where more lies between them than their numbers say.
fn scan(
    records: &Records,
    run: &[(Revision, usize)],
    take: &mut impl FnMut((Revision, usize), Bytes) -> Result<(), ReadError>,
) -> Result<usize, ReadError> {
    let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else { return Ok(0) };
    let (from, to) = (first.to_bytes(), last.to_bytes());
    let bounds = (Bound::Included(&from[..]), Bound::Included(&to[..]));
    let mut wanted = run.iter();
    let mut next = wanted.next();
    let mut passes = run.len() * GAP as usize;
    for pair in records.engine.scan(Space::Records, bounds.0, bounds.1) {
        let (key, record) = pair.map_err(StateError::from)?;
        let Some(&(at, place)) = next else { break };
        let (here, tombstone) = read_key(&key)?;
        if here == at && !tombstone {
            take((at, place), record)?;
            next = wanted.next();
        } else if here > at || passes == 0 {
            break;
        } else {
            passes -= 1;
        }
    }
    Ok(run.len() - wanted.len() - usize::from(next.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::mvcc::cache::ValueCache;
    use crate::state::mvcc::record::StoredKey;
    use crate::storage::engine::{Engine, Options};

    /// Records of three hundred transactions of up to thirty changes, some of them deletions, with
    /// holes as compaction leaves them; the values tell the revision.
    fn records(dir: &tempfile::TempDir, cache: usize) -> (Records, Vec<Revision>) {
        let engine = Engine::open(dir.path(), &Options::default()).unwrap();
        let mut puts = Vec::new();
        let mut batch = engine.batch();
        for main in 2..302 {
            for sub in 0..(main * 7 % 31) {
                let at = Revision::new(main, sub);
                let tombstone = (main + sub) % 11 == 0;
                if (main * 31 + sub) % 5 == 0 {
                    continue;
                }
                let key = StoredKey::new(at, tombstone);
                batch.put(Space::Records, key.as_bytes(), format!("{at:?}").as_bytes());
                if !tombstone {
                    puts.push(at);
                }
            }
        }
        batch.commit().unwrap();
        (Records { engine, cache: ValueCache::new(cache) }, puts)
    }

    fn told(records: &Records, at: &[Revision]) -> Result<Vec<String>, ReadError> {
        let text = |_, record: Bytes| Ok(Some(String::from_utf8(record.to_vec()).unwrap()));
        fetch_each(records, at, &text)
    }

    #[test]
    fn gives_what_single_look_ups_give_in_the_order_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let (records, puts) = records(&dir, 1 << 20);
        let mut scattered = puts.clone();
        scattered.sort_by_key(|at| (at.sub, at.main));
        let sparse: Vec<Revision> = puts.iter().copied().step_by(7).collect();
        let few = puts[40..44].to_vec();
        for at in [puts, scattered, sparse, few, Vec::new()] {
            let expected: Vec<String> = at.iter().map(|at| format!("{at:?}")).collect();
            assert_eq!(told(&records, &at).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_left_out_leaves_no_hole() {
        let dir = tempfile::tempdir().unwrap();
        let (records, puts) = records(&dir, 0);
        let even = |at: Revision, _| Ok((at.main % 2 == 0).then_some(at));
        let expected: Vec<Revision> = puts.iter().copied().filter(|at| at.main % 2 == 0).collect();
        assert_eq!(fetch_each(&records, &puts, &even).unwrap(), expected);
    }

    #[test]
    fn an_absent_record_is_named_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (records, puts) = records(&dir, 0);
        for place in [0, 100, puts.len() - 1] {
            let mut batch = records.engine.batch();
            records.delete(puts[place], false, &mut batch).unwrap();
            batch.commit().unwrap();
            let error = told(&records, &puts).unwrap_err();
            let named = matches!(error, ReadError::State(StateError::MissingRecord(at)) if at == puts[place]);
            assert!(named, "{error:?}");
            let record = format!("{:?}", puts[place]);
            let mut batch = records.engine.batch();
            batch.put(Space::Records, &puts[place].to_bytes(), record.as_bytes());
            batch.commit().unwrap();
        }
    }

    #[test]
    fn the_first_refusal_ends_the_read() {
        let dir = tempfile::tempdir().unwrap();
        let (records, puts) = records(&dir, 0);
        let seen = std::cell::Cell::new(0);
        let refuse = |_, _| -> Result<Option<()>, ReadError> {
            seen.set(seen.get() + 1);
            Err(ReadError::TooLarge(1))
        };
        assert!(matches!(fetch_each(&records, &puts, &refuse), Err(ReadError::TooLarge(1))));
        assert_eq!(seen.get(), 1);
    }
}
