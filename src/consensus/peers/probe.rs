//! Asking the others every now and then whether they are there: so every member is connected to every
//! other before it has something to say, and knows how long an answer takes.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::guard::says_removed;
use super::link::PeerChannel;
use super::network::Network;
use crate::proto::peer::ProbeQuestion;
use crate::proto::peer::raft_client::RaftClient;
use crate::tasks::Stop;
use crate::types::ids::MemberId;

/// How often, as in etcd.
const EVERY: Duration = Duration::from_secs(4);

impl Network {
    /// Asks until told to stop. A member that says that this one was removed is heard.
    pub(crate) async fn probe(self, stop: Stop) {
        loop {
            let round = self.links.all().into_iter().map(|(id, way)| self.ask(id, way));
            tokio::select! {
                () = stop.stopped() => return,
                _ = join_all(round) => {}
            }
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn ask(&self, id: MemberId, way: PeerChannel) {
        let began = self.shared.clock.now();
        let mut client = RaftClient::new(way);
        let limit = self.links.identity().patience;
        match timeout(limit, client.probe(ProbeQuestion {})).await {
            Ok(Ok(_)) => self.links.metrics().answered(id, self.shared.clock.now() - began),
            Ok(Err(status)) => {
                if says_removed(&status) {
                    self.removal.heard();
                }
                self.links.metrics().not_sent(id);
            }
            Err(_) => self.links.metrics().not_sent(id),
        }
    }
}
