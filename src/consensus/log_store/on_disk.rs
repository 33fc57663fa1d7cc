//! How far the log is safely on disk.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

/// Tells which entries a crash cannot take away any more. Clones share it.
#[derive(Clone)]
pub(crate) struct OnDisk {
    /// The index behind the newest such entry; none once the log has failed.
    end: Arc<watch::Sender<Option<u64>>>,
}

impl OnDisk {
    /// Everything before `end` is there.
    pub(super) fn before(end: u64) -> Self {
        Self { end: Arc::new(watch::Sender::new(Some(end))) }
    }

    /// Everything before `end` was written, or could not be. Called in the order of the writes.
    pub(super) fn written(&self, end: u64, result: &io::Result<()>) {
        self.end.send_replace(result.is_ok().then_some(end));
    }

    /// Everything from `end` on was removed.
    pub(super) fn truncated(&self, end: u64) {
        self.end.send_modify(|known| *known = known.map(|known| known.min(end)));
    }

    /// Waits until the entry at `index` is there.
    ///
    /// # Errors
    /// When the log has failed.
    pub(crate) async fn holds(&self, index: u64) -> io::Result<()> {
        let reached = |end: &Option<u64>| end.is_none_or(|end| end > index);
        let mut end = self.end.subscribe();
        match end.wait_for(reached).await.as_deref() {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => Err(io::Error::other("the Raft log has failed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn an_entry_is_there_when_it_was_written_and_not_removed() {
        let on_disk = OnDisk::before(5);
        on_disk.holds(4).await.unwrap();
        let mut waits = pin!(on_disk.holds(5));
        assert!(poll!(&mut waits).is_pending());
        on_disk.written(7, &Ok(()));
        waits.await.unwrap();
        on_disk.truncated(6);
        on_disk.holds(5).await.unwrap();
        assert!(poll!(pin!(on_disk.holds(6))).is_pending());
        on_disk.truncated(9);
        assert!(poll!(pin!(on_disk.holds(6))).is_pending());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_log_that_has_failed() {
        let on_disk = OnDisk::before(5);
        on_disk.written(7, &Err(io::Error::other("disk")));
        on_disk.holds(4).await.unwrap_err();
        on_disk.truncated(3);
        on_disk.holds(9).await.unwrap_err();
    }
}
