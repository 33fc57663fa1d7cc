//! The news that this member is none any more.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells once that the member was removed from its cluster. Clones share it.
#[derive(Clone, Debug)]
pub struct Removal {
    heard: Arc<watch::Sender<bool>>,
}

impl Removal {
    /// Not removed, as far as is known.
    pub(crate) fn new() -> Self {
        Self { heard: Arc::new(watch::Sender::new(false)) }
    }

    /// The log, or another member, says that it was removed.
    pub(crate) fn heard(&self) {
        self.heard.send_replace(true);
    }

    /// Waits until the member is removed.
    pub async fn removed(&self) {
        let mut heard = self.heard.subscribe();
        if heard.wait_for(|heard| *heard).await.is_err() {
            // Cannot be: we hold the sender.
            std::future::pending::<()>().await;
        }
    }
}
