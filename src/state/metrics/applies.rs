//! How long applying a request took, by its kind and whether it was refused.

use std::sync::OnceLock;
use std::time::Duration;

use crate::proto::internal::request::Op;
use crate::telemetry::metrics::{Histogram, HistogramVec, Registry, buckets};

const KINDS: usize = 22;

/// A histogram for each kind and success, which appears when first used, as etcd's do.
pub(super) struct Applies {
    all: HistogramVec,
    /// Found once: this is on the way of every write.
    found: [[OnceLock<Histogram>; 2]; KINDS],
}

impl Applies {
    pub(super) fn new(registry: &Registry) -> Self {
        let all = registry.histogram_vec(
            "etcd_server_apply_duration_seconds",
            "How long applying a request took, in seconds, without the commit.",
            buckets::apply(),
            &["version", "op", "success"],
        );
        Self { all, found: Default::default() }
    }

    /// Counts one request.
    pub(super) fn observe(&self, op: &Op, success: bool, took: Duration) {
        let (place, name) = kind(op);
        let Some(found) = self.found.get(place).and_then(|both| both.get(usize::from(success)))
        else {
            return;
        };
        let labels = ["v3", name, if success { "true" } else { "false" }];
        found.get_or_init(|| self.all.with_label_values(&labels)).observe(took.as_secs_f64());
    }
}

/// A place among the kinds and etcd's word for it.
const fn kind(op: &Op) -> (usize, &'static str) {
    match op {
        Op::Put(_) => (0, "Put"),
        Op::DeleteRange(_) => (1, "DeleteRange"),
        Op::Txn(_) => (2, "Txn"),
        Op::Compaction(_) => (3, "Compaction"),
        Op::LeaseGrant(_) => (4, "LeaseGrant"),
        Op::LeaseRevoke(_) => (5, "LeaseRevoke"),
        Op::LeaseCheckpoint(_) => (6, "LeaseCheckpoint"),
        Op::Alarm(_) => (7, "Alarm"),
        Op::MemberAttributes(_) => (8, "ClusterMemberAttrSet"),
        Op::ClusterVersion(_) => (9, "ClusterVersionSet"),
        Op::AuthEnable(_) => (10, "AuthEnable"),
        Op::AuthDisable(_) => (11, "AuthDisable"),
        Op::Authenticate(_) => (12, "Authenticate"),
        Op::UserAdd(_) => (13, "AuthUserAdd"),
        Op::UserDelete(_) => (14, "AuthUserDelete"),
        Op::UserChangePassword(_) => (15, "AuthUserChangePassword"),
        Op::UserGrantRole(_) => (16, "AuthUserGrantRole"),
        Op::UserRevokeRole(_) => (17, "AuthUserRevokeRole"),
        Op::RoleAdd(_) => (18, "AuthRoleAdd"),
        Op::RoleDelete(_) => (19, "AuthRoleDelete"),
        Op::RoleGrantPermission(_) => (20, "AuthRoleGrantPermission"),
        Op::RoleRevokePermission(_) => (21, "AuthRoleRevokePermission"),
    }
}
