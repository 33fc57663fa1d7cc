//! How many bytes of large answers may exist at one time.
//!
//! An answer holds its share from before it is read until the connection has written it. Clients
//! that take too long lose theirs, but only when others wait for room.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::Status;

use super::status;
use crate::types::clock::Clock;

/// Bytes one permit of the semaphore stands for: its counter is too small to count bytes.
const UNIT: usize = 1024;

/// How long an answer waits for others to leave. Shorter than clients wait, so that they learn the
/// reason.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often those who wait look for answers that may be dropped.
const LOOK: Duration = Duration::from_millis(250);

/// How long any answer may take to be read by its client while others wait.
const GRACE: Duration = Duration::from_secs(10);
/// What a client has to read per second beyond that: a connection of 32 Mbit/s keeps up.
const BYTES_PER_SECOND: usize = 4 << 20;

/// Bytes shared by all large answers of the server.
#[derive(Clone)]
pub(super) struct Budget {
    free: Arc<Semaphore>,
    units: u32,
    /// Answers on their way, in the order they were made.
    answers: Arc<Mutex<Vec<Weak<Slot>>>>,
    clock: Clock,
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    permit: OwnedSemaphorePermit,
    whole: bool,
}

/// An answer that waits for its client, with its share; empty once it was dropped.
#[derive(Debug)]
pub(super) struct Slot {
    content: Mutex<Option<(Bytes, Share)>>,
    due: Instant,
}

impl Budget {
    pub(super) fn new(bytes: usize, clock: Clock) -> Self {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let units = u32::try_from(bytes / UNIT).unwrap_or(most).clamp(1, most);
        Self {
            free: Arc::new(Semaphore::new(units as usize)),
            units,
            answers: Arc::default(),
            clock,
        }
    }

    /// Waits for a share of `bytes`. More than there is means all of it: such an answer comes
    /// alone.
    ///
    /// # Errors
    /// When others do not make room in time.
    pub(super) async fn take(&self, bytes: usize) -> Result<Share, Status> {
        let full = || status::answers_in_flight(self.units as usize * UNIT);
        match timeout(PATIENCE, self.wait(bytes)).await {
            Ok(Ok(share)) => Ok(share),
            Ok(Err(_)) | Err(_) => Err(full()),
        }
    }

    /// As [`Self::take`], for as long as it takes.
    ///
    /// # Errors
    /// Never: the budget is not closed.
    pub(super) async fn wait(&self, bytes: usize) -> Result<Share, AcquireError> {
        let units = self.units_for(bytes);
        let share = |permit| Share { permit, whole: units == self.units };
        let mut permit = Box::pin(Arc::clone(&self.free).acquire_many_owned(units));
        loop {
            if let Ok(taken) = timeout(Duration::ZERO, permit.as_mut()).await {
                return taken.map(share);
            }
            self.drop_overdue(self.clock.now());
            if let Ok(taken) = timeout(LOOK, permit.as_mut()).await {
                return taken.map(share);
            }
        }
    }

    /// Puts an answer where it can be dropped if its client does not read it.
    pub(super) fn keep(&self, answer: Bytes, share: Share) -> Arc<Slot> {
        let read = Duration::from_secs((answer.len() / BYTES_PER_SECOND) as u64);
        let due = self.clock.now() + GRACE + read;
        let slot = Arc::new(Slot { content: Mutex::new(Some((answer, share))), due });
        let mut answers = self.answers.lock();
        answers.retain(|slot| slot.strong_count() > 0);
        answers.push(Arc::downgrade(&slot));
        slot
    }

    fn drop_overdue(&self, now: Instant) {
        for slot in self.answers.lock().iter().filter_map(Weak::upgrade) {
            if slot.due <= now {
                *slot.content.lock() = None;
            }
        }
    }

    fn units_for(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units)
    }
}

impl Share {
    /// Bytes of this share.
    pub(super) fn bytes(&self) -> usize {
        self.permit.num_permits() * UNIT
    }

    /// Whether there is no more than this.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Gives back what is above `bytes`.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let needed = bytes.div_ceil(UNIT).min(self.permit.num_permits());
        drop(self.permit.split(self.permit.num_permits() - needed));
    }

    /// Parts with `bytes`, or with all there is. Rounded down, so that the last bytes of an answer
    /// keep the rest.
    pub(super) fn split(&mut self, bytes: usize) -> Option<Self> {
        let units = (bytes / UNIT).min(self.permit.num_permits());
        self.permit.split(units).map(|permit| Self { permit, whole: false })
    }
}

impl Slot {
    /// The next bytes with their part of the share, and whether they are the last; `None` if the
    /// answer was dropped.
    pub(super) fn next(&self, most: usize) -> Option<(Bytes, Option<Share>, bool)> {
        let mut content = self.content.lock();
        let (bytes, share) = content.as_mut()?;
        let piece = bytes.split_to(bytes.len().min(most));
        if bytes.is_empty() {
            let (_, share) = content.take()?;
            return Some((piece, Some(share), true));
        }
        let part = share.split(piece.len());
        Some((piece, part, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(units: usize) -> Budget {
        Budget::new(units * UNIT, Clock)
    }

    #[tokio::test]
    async fn shares_are_counted_and_given_back() {
        let budget = budget(10);
        let mut share = budget.take(6 * UNIT).await.unwrap();
        assert_eq!((budget.free.available_permits(), share.bytes()), (4, 6 * UNIT));
        share.shrink(1);
        assert_eq!(budget.free.available_permits(), 9);
        drop(share);
        let all = budget.take(100 * UNIT).await.unwrap();
        assert!(all.is_whole() && budget.free.available_permits() == 0);
        drop(all);
        assert_eq!(budget.free.available_permits(), 10);
    }

    #[tokio::test]
    async fn pieces_hold_their_part_until_they_are_written() {
        let budget = budget(10);
        let share = budget.take(10 * UNIT).await.unwrap();
        let slot = budget.keep(vec![7; 10 * UNIT - 1].into(), share);
        let (first, part, last) = slot.next(6 * UNIT).unwrap();
        assert_eq!((first.len(), last), (6 * UNIT, false));
        drop(part);
        assert_eq!(budget.free.available_permits(), 6);
        let (rest, part, last) = slot.next(6 * UNIT).unwrap();
        assert_eq!((rest.len(), last, budget.free.available_permits()), (4 * UNIT - 1, true, 6));
        drop(part);
        assert_eq!(budget.free.available_permits(), 10);
        assert!(slot.next(1).is_none());
    }

    #[tokio::test]
    async fn an_answer_nobody_reads_goes_when_it_is_overdue_and_others_wait() {
        let budget = budget(10);
        let share = budget.take(8 * UNIT).await.unwrap();
        let slot = budget.keep(vec![7; 8 * UNIT].into(), share);
        budget.drop_overdue(slot.due - Duration::from_millis(1));
        assert!(budget.take(4 * UNIT).await.is_err(), "its time is not up");
        budget.drop_overdue(slot.due);
        assert!(slot.next(UNIT).is_none());
        assert!(budget.take(10 * UNIT).await.is_ok());
    }
}
