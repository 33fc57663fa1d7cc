//! Clients of all members at once, what they were told, and whether one store could have told it.

mod checker;
mod client;
mod operation;
mod report;
mod watcher;
mod workload;

pub(super) use workload::Workload;

use crate::support::cluster::{Cluster, Plan};

/// Enough that every kind of operation met every other one.
const OPERATIONS: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_of_all_members_are_told_is_one_history() {
    for plan in [Plan::of(1), Plan::of(3), Plan::of(3).with_mutual_tls()] {
        let cluster = Cluster::start(plan).await;
        let workload = Workload::start(&cluster, "calm", 1).await;
        workload.progress(OPERATIONS).await;
        workload.finish(&cluster).await;
    }
}
