//! Whether there is an order of operations, each at some moment between question and answer, in
//! which a single register would have given the same answers: the search of Wing and Gong, with the
//! memory of Lowe, key by key. Because every write writes another value, a value that was overwritten
//! never comes back: no order is tried that overwrites one before everybody saw it who did.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::operation::{Operation, Value};

/// Fails with the operations on the first key that no order explains.
pub(super) fn check(history: &[Operation]) -> Result<(), Vec<Operation>> {
    let mut keys: BTreeMap<usize, Vec<Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(operation.key).or_default().push(*operation);
    }
    keys.into_values().try_for_each(|operations| {
        if Search::new(&operations).succeeds() { Ok(()) } else { Err(operations) }
    })
}

/// A question or an answer in the order of time.
#[derive(Clone, Copy)]
struct Moment {
    operation: usize,
    is_answer: bool,
}

/// The moments that are left, as a list out of which operations are taken and put back in.
struct Search<'a> {
    operations: &'a [Operation],
    moments: Vec<Moment>,
    /// Where the answer to the operation is.
    answers: Vec<usize>,
    /// The list begins after the place behind the last moment, and ends there.
    next: Vec<usize>,
    before: Vec<usize>,
    end: usize,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation]) -> Self {
        let mut timed: Vec<(u64, Moment)> = Vec::new();
        for (operation, told) in operations.iter().enumerate() {
            let returned = if told.known() { told.returned } else { u64::MAX };
            timed.push((told.called, Moment { operation, is_answer: false }));
            timed.push((returned, Moment { operation, is_answer: true }));
        }
        // What happened at one time is taken for concurrent.
        timed.sort_by_key(|(time, moment)| (*time, moment.is_answer));
        let moments: Vec<Moment> = timed.into_iter().map(|(_, moment)| moment).collect();
        let end = moments.len();
        let mut answers = vec![0; operations.len()];
        for (place, moment) in moments.iter().enumerate().filter(|(_, moment)| moment.is_answer) {
            answers[moment.operation] = place;
        }
        let next = (1..=end).chain([0]).collect();
        let before = [end].into_iter().chain(0..end).collect();
        Self { operations, moments, answers, next, before, end }
    }

    fn succeeds(mut self) -> bool {
        let mut left = self.operations.iter().filter(|operation| operation.known()).count();
        let mut done = vec![0_u64; self.operations.len().div_ceil(64)];
        let (mut seen, mut taken) = (HashSet::new(), Vec::new());
        let mut held = None;
        let mut unseen: HashMap<Value, usize> = HashMap::new();
        for value in self.operations.iter().filter_map(Operation::saw) {
            *unseen.entry(value).or_default() += 1;
        }
        let mut place = self.next[self.end];
        while left > 0 {
            let moment = self.moments[place];
            let operation = &self.operations[moment.operation];
            if moment.is_answer {
                // Something before this answer was put in the wrong order.
                let Some((last, previous)) = taken.pop() else { return false };
                let undone: Moment = self.moments[last];
                done[undone.operation / 64] ^= 1 << (undone.operation % 64);
                left += usize::from(self.operations[undone.operation].known());
                if let Some(value) = self.operations[undone.operation].saw() {
                    *unseen.entry(value).or_default() += 1;
                }
                held = previous;
                self.put_back(last);
                place = self.next[last];
                continue;
            }
            let waiting = |value: &Value| unseen.get(value).copied().unwrap_or(0);
            let own = usize::from(held.is_some() && operation.saw() == held);
            let final_for_held = held.as_ref().is_none_or(|value| waiting(value) == own);
            let after = operation.after(held).filter(|after| *after == held || final_for_held);
            if let Some(after) = after {
                done[moment.operation / 64] ^= 1 << (moment.operation % 64);
                if seen.insert((done.clone(), after)) {
                    taken.push((place, held));
                    if let Some(value) = operation.saw() {
                        *unseen.entry(value).or_default() -= 1;
                    }
                    left -= usize::from(operation.known());
                    held = after;
                    self.take(place);
                    place = self.next[self.end];
                    continue;
                }
                done[moment.operation / 64] ^= 1 << (moment.operation % 64);
            }
            place = self.next[place];
        }
        true
    }

    /// Takes a question and its answer out of the list.
    fn take(&mut self, question: usize) {
        for place in [question, self.answers[self.moments[question].operation]] {
            let (before, next) = (self.before[place], self.next[place]);
            self.next[before] = next;
            self.before[next] = before;
        }
    }

    /// Undoes the last [`Self::take`].
    fn put_back(&mut self, question: usize) {
        for place in [self.answers[self.moments[question].operation], question] {
            let (before, next) = (self.before[place], self.next[place]);
            self.next[before] = place;
            self.before[next] = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::Action::{Delete, Get, Put, Swap};
    use super::super::operation::Outcome::{Done, Read, Swapped, Unknown};
    use super::super::operation::{Action, Outcome};
    use super::*;

    type Told = (u64, u64, Action, Outcome);

    fn operations(told: &[Told]) -> Vec<Operation> {
        let operation = |(client, told): (usize, &Told)| Operation {
            client,
            key: 0,
            called: told.0,
            returned: told.1,
            action: told.2,
            outcome: told.3,
        };
        told.iter().enumerate().map(operation).collect()
    }

    const SWAP: Action = Swap { from: Some(1), to: 2 };

    #[test]
    fn histories_of_one_register_pass() {
        let good: [&[Told]; 10] = [
            &[],
            &[(0, 1, Get, Read(None)), (2, 3, Put(1), Done), (4, 5, Get, Read(Some(1)))],
            // A write under way may be seen or not, and by one reader after another.
            &[(0, 9, Put(1), Done), (1, 2, Get, Read(None)), (3, 4, Get, Read(Some(1)))],
            &[(0, 9, Put(1), Done), (0, 9, Put(2), Done), (10, 11, Get, Read(Some(1)))],
            // What was never answered may have been done, late, or not at all.
            &[(0, 0, Put(1), Unknown), (5, 6, Get, Read(None)), (7, 8, Get, Read(Some(1)))],
            &[(0, 0, Put(1), Unknown), (5, 6, Get, Read(None))],
            // Nobody read what made the swap fail.
            &[
                (0, 0, Put(1), Unknown),
                (5, 6, Get, Read(None)),
                (7, 8, Swap { from: None, to: 2 }, Swapped(false)),
                (9, 10, Put(3), Done),
            ],
            &[(0, 1, Put(1), Done), (2, 3, SWAP, Swapped(true)), (4, 5, Get, Read(Some(2)))],
            &[(0, 1, Put(1), Done), (2, 0, SWAP, Unknown), (4, 5, Get, Read(Some(2)))],
            &[(0, 1, Put(1), Done), (2, 0, Delete, Unknown), (4, 5, Get, Read(None))],
        ];
        for told in good {
            assert_eq!(check(&operations(told)), Ok(()));
        }
    }

    #[test]
    fn what_no_register_would_tell_is_found() {
        let bad: [&[Told]; 9] = [
            // Old, lost, invented, seen and gone again.
            &[(0, 1, Put(1), Done), (2, 3, Put(2), Done), (4, 5, Get, Read(Some(1)))],
            &[(0, 1, Put(1), Done), (2, 3, Get, Read(None))],
            &[(0, 1, Get, Read(Some(7)))],
            &[(0, 9, Put(1), Done), (1, 2, Get, Read(Some(1))), (3, 4, Get, Read(None))],
            &[(0, 0, Put(1), Unknown), (5, 6, Get, Read(Some(1))), (7, 8, Get, Read(None))],
            // Seen before it was asked for.
            &[(0, 1, Get, Read(Some(1))), (2, 0, Put(1), Unknown)],
            // Two that exclude each other.
            &[
                (0, 1, Put(1), Done),
                (2, 9, SWAP, Swapped(true)),
                (2, 9, Swap { from: Some(1), to: 3 }, Swapped(true)),
            ],
            &[(0, 1, Put(1), Done), (2, 3, SWAP, Swapped(false))],
            &[(0, 1, Put(1), Done), (2, 3, Delete, Done), (4, 5, Get, Read(Some(1)))],
        ];
        for told in bad {
            assert!(check(&operations(told)).is_err(), "{told:?}");
        }
    }

    #[test]
    fn keys_are_looked_at_one_by_one() {
        let mut told = operations(&[(0, 1, Put(1), Done), (2, 3, Get, Read(None))]);
        told[1].key = 1;
        assert_eq!(check(&told), Ok(()));
    }

    #[test]
    fn much_at_once_is_no_trouble() {
        let mut told: Vec<Told> = (0..40).map(|value| (0, 0, Put(value), Unknown)).collect();
        told.extend(
            (0..40).map(|value| (100 + 2 * value, 101 + 2 * value, Get, Read(Some(value)))),
        );
        assert_eq!(check(&operations(&told)), Ok(()));
        told.push((500, 501, Get, Read(Some(3))));
        assert!(check(&operations(&told)).is_err());
    }
}
