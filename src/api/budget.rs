//! How many bytes of large answers may exist at one time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::Status;

use super::status;

/// Bytes one permit of the semaphore stands for: its counter is too small to count bytes.
const UNIT: usize = 1024;

/// How long an answer waits for others to leave. Shorter than clients wait, so that they learn the
/// reason.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes shared by all large answers of the server.
#[derive(Clone)]
pub(super) struct Budget {
    free: Arc<Semaphore>,
    units: u32,
}

/// A share of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    permit: OwnedSemaphorePermit,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let units = u32::try_from(bytes / UNIT).unwrap_or(most).clamp(1, most);
        Self { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Waits for a share of `bytes`. More than there is means all of it: such an answer comes
    /// alone.
    ///
    /// # Errors
    /// When others do not make room in time.
    pub(super) async fn take(&self, bytes: usize) -> Result<Share, Status> {
        let units = self.units_for(bytes);
        let permit = Arc::clone(&self.free).acquire_many_owned(units);
        match timeout(PATIENCE, permit).await {
            Ok(Ok(permit)) => Ok(Share { permit }),
            Ok(Err(_)) | Err(_) => Err(status::answers_in_flight(self.units as usize * UNIT)),
        }
    }

    /// Makes a share fit an answer that came out larger or smaller than was thought.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) async fn fit(&self, mut share: Share, bytes: usize) -> Result<Share, Status> {
        let held = share.permit.num_permits();
        let needed = self.units_for(bytes) as usize;
        if needed > held {
            let more = self.take((needed - held) * UNIT).await?;
            share.permit.merge(more.permit);
        } else {
            drop(share.permit.split(held - needed));
        }
        Ok(share)
    }

    fn units_for(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shares_are_counted_and_given_back() {
        let budget = Budget::new(10 * UNIT);
        let share = budget.take(6 * UNIT).await.unwrap();
        assert_eq!(budget.free.available_permits(), 4);
        let share = budget.fit(share, 8 * UNIT).await.unwrap();
        assert_eq!(budget.free.available_permits(), 2);
        let share = budget.fit(share, 1).await.unwrap();
        assert_eq!(budget.free.available_permits(), 9);
        drop(share);
        let all = budget.take(100 * UNIT).await.unwrap();
        assert_eq!(budget.free.available_permits(), 0);
        drop(all);
        assert_eq!(budget.free.available_permits(), 10);
    }
}
