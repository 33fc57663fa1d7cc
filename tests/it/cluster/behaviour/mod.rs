//! One suite, several kinds of clusters: whoever is asked, and however many there are, the answers
//! are those of one store.

mod keys;
mod leadership;
mod leases;
mod members;
mod silence;
mod watches;

use crate::support::cluster::{Cluster, Plan};

/// Everything a cluster must do, on one cluster of this kind.
async fn behaves(plan: Plan) {
    let mut cluster = Cluster::start(plan).await;
    members::every_member_lists_the_same(&cluster).await;
    members::every_header_names_cluster_and_member(&cluster).await;
    leadership::every_member_names_the_same_leader(&cluster).await;
    keys::every_member_takes_every_request(&cluster).await;
    keys::a_linearizable_read_sees_what_another_member_acknowledged(&cluster).await;
    keys::a_serializable_read_catches_up(&cluster).await;
    keys::concurrent_transactions_through_all_members_exclude_each_other(&cluster).await;
    watches::every_member_tells_every_event_in_order(&cluster).await;
    watches::a_watch_resumes_at_another_member(&cluster).await;
    leases::every_member_serves_every_lease(&cluster).await;
    leases::a_lease_ends_on_time_and_takes_its_keys_along(&cluster).await;
    leases::a_lease_outlives_its_leader_and_still_ends(&cluster).await;
    leadership::leadership_moves_where_it_is_told_to(&cluster).await;
    leadership::only_the_leader_hands_over(&cluster).await;
    silence::without_a_leader_members_say_so(&mut cluster).await;
    watches::a_compaction_counts_at_every_member(&cluster).await;
    members::a_learner_serves_little(&mut cluster).await;
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_behaves() {
    behaves(Plan::of(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_in_this_process_behaves() {
    behaves(Plan::of(1).inside()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_in_this_process_behave() {
    behaves(Plan::of(3).inside()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_behave() {
    behaves(Plan::of(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_members_behave() {
    behaves(Plan::of(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_behind_certificates_behave() {
    behaves(Plan::of(3).with_mutual_tls()).await;
}
