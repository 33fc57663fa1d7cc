//! Compaction: the revision is recorded here; the machine deletes the records later.

use tokio::sync::oneshot;

use super::{Apply, Waiter};
use crate::proto::etcdserverpb::CompactionRequest;
use crate::state::error::ApplyError;
use crate::state::rolling::Change;

impl Apply<'_> {
    /// Accepts a compaction. Gives something to wait on if the request wants to wait for the
    /// deletion.
    pub(super) fn compact(
        &mut self,
        request: CompactionRequest,
    ) -> Result<Option<oneshot::Receiver<()>>, ApplyError> {
        let at = request.revision;
        if at <= self.tables.compactions.scheduled {
            return Err(ApplyError::Compacted);
        }
        if at > self.tables.writer.visible() {
            return Err(ApplyError::FutureRevision);
        }
        self.tables.compactions.scheduled = at;
        // How far it has been carried out differs from member to member.
        self.tables.compactions.store(self.changes.apart());
        self.changes.rolling.add(Change::Compaction, &at.to_be_bytes(), &[]);
        self.tables.writer.set_compacted(at);
        Ok(request.physical.then(|| {
            let (done, wait) = oneshot::channel();
            self.tables.waiters.push(Waiter { at, done });
            wait
        }))
    }
}
