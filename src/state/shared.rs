//! What the machine publishes and readers look at.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::broadcast;

use super::alarm::Alarms;
use super::auth::Auth;
use super::lease::{LeaseEvent, Leases};
use super::membership::Members;
use super::metrics::Metrics;
use super::mvcc::index::Root;
use super::mvcc::read::View;
use super::mvcc::recent::Recent;
use super::mvcc::record::Records;
use super::rolling::AppliedHash;
use super::trail::Trail;
use crate::tokens::SimpleTokens;

/// The state after one batch; replaced as a whole, so that a reader sees one revision, and records that
/// belong to it.
pub(super) struct Published {
    pub(super) records: Arc<Records>,
    pub(super) root: Root,
    pub(super) revision: i64,
    pub(super) compacted: i64,
    pub(super) applied: u64,
    pub(super) hash: AppliedHash,
    /// Bytes of all records, as the quota counts them.
    pub(super) live: u64,
    pub(super) alarms: Arc<Alarms>,
    pub(super) members: Arc<Members>,
    pub(super) auth: Arc<Auth>,
}

impl Published {
    pub(super) fn view(&self) -> View<'_> {
        View { root: &self.root, revision: self.revision, compacted: self.compacted }
    }
}

/// Everything the machine and its readers share.
pub(super) struct Shared {
    /// The only place where a new state becomes visible.
    pub(super) published: ArcSwap<Published>,
    /// The hashes of the newest entries.
    pub(super) trail: Trail,
    pub(super) leases: Arc<Leases>,
    pub(super) lease_events: broadcast::Sender<LeaseEvent>,
    pub(super) recent: Recent,
    pub(super) tokens: Arc<SimpleTokens>,
    pub(super) quota: u64,
    pub(super) metrics: Metrics,
}
