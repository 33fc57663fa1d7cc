//! Leases, granted, renewed and watched through every member.

use std::time::Duration;

use etcd::client::Client;
use etcd::proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest};
use etcd::types::clock::Clock;

use super::leadership::hand_over;
use super::watches::{from, open};
use crate::support::cluster::Cluster;
use crate::support::cluster::requests::{answer, get, grant, put_held, time_to_live};
use crate::support::wait::{comes_true, within};

const LONG: i64 = 300;
const SHORT: i64 = 2;
/// How much later than promised a lease may end on a loaded machine: it is looked for every half
/// second, and its end is agreed on.
const LATE: Duration = Duration::from_secs(8);

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap())
}

/// Renews a lease and tells for how long.
pub(super) async fn keep_alive(client: &Client, id: i64) -> i64 {
    let request = tokio_stream::once(LeaseKeepAliveRequest { id });
    let mut answers = answer(client.lease().lease_keep_alive(request)).await.unwrap();
    within("a renewal", answers.message()).await.unwrap().unwrap().ttl
}

/// The lease is the cluster's: each member renews it, tells what is left, and may end it.
pub(super) async fn every_member_serves_every_lease(cluster: &Cluster) {
    for (place, member) in cluster.members.iter().enumerate() {
        let key = format!("lease/{place}");
        let lease = grant(&member.client, LONG).await;
        put_held(&member.client, &key, lease).await;
        for other in &cluster.members {
            assert_eq!(keep_alive(&other.client, lease).await, LONG, "through {}", other.name);
            let left = time_to_live(&other.client, lease).await;
            assert_eq!((left.granted_ttl, left.keys), (LONG, vec![key.clone().into()]));
            assert!((LONG - 5..=LONG).contains(&left.ttl), "{} left", left.ttl);
            comes_true("a member to list the lease", async || {
                let leases = other.client.lease().lease_leases(LeaseLeasesRequest {}).await;
                let leases = leases.unwrap().into_inner().leases;
                leases.iter().any(|held| held.id == lease).then_some(())
            })
            .await;
        }
        let last = &cluster.members[cluster.members.len() - 1 - place].client;
        answer(last.lease().lease_revoke(LeaseRevokeRequest { id: lease })).await.unwrap();
        for other in &cluster.members {
            assert_eq!(get(&other.client, &key).await, None, "at {}", other.name);
            assert_eq!(time_to_live(&other.client, lease).await.ttl, -1);
            assert_eq!(keep_alive(&other.client, lease).await, 0, "through {}", other.name);
        }
    }
}

/// Not before its time, and soon after it.
pub(super) async fn a_lease_ends_on_time_and_takes_its_keys_along(cluster: &Cluster) {
    let last = &cluster.members.last().unwrap().client;
    let mut watch = open(last, from("brief", 0)).await;
    let asked = Clock.now();
    let lease = grant(last, SHORT).await;
    put_held(last, "brief/a", lease).await;
    put_held(last, "brief/b", lease).await;
    let granted = Clock.now();
    let mut deleted = 0;
    while deleted == 0 {
        let response = watch.next().await;
        deleted = response.events.iter().filter(|event| event.r#type == 1).count();
    }
    assert_eq!(deleted, 2, "both keys at one revision");
    assert!(asked.elapsed() >= seconds(SHORT), "ended after {:?}", asked.elapsed());
    assert!(granted.elapsed() <= seconds(SHORT) + LATE, "ended after {:?}", granted.elapsed());
    for member in &cluster.members {
        assert_eq!(time_to_live(&member.client, lease).await.ttl, -1, "at {}", member.name);
    }
}

/// A new leader grants every lease its time anew: none ends early, none never.
pub(super) async fn a_lease_outlives_its_leader_and_still_ends(cluster: &Cluster) {
    let client = &cluster.members[0].client;
    let mut watch = open(client, from("moved", 0)).await;
    let asked = Clock.now();
    let (long, short) = (grant(client, LONG).await, grant(client, SHORT).await);
    put_held(client, "moved", short).await;
    let moved = hand_over(cluster).await;
    let elected = Clock.now();
    for member in &cluster.members {
        let left = time_to_live(&member.client, long).await;
        let past = i64::try_from(asked.elapsed().as_secs()).unwrap();
        // The time of an election is added, for those who could not renew meanwhile.
        assert!((LONG - past - 1..=LONG + 2).contains(&left.ttl), "{} left", left.ttl);
        assert_eq!(left.granted_ttl, LONG);
    }
    while watch.next().await.events[0].r#type == 0 {}
    assert!(asked.elapsed() >= seconds(SHORT), "ended after {:?}", asked.elapsed());
    let longest = seconds(SHORT) + cluster.election_timeout() + LATE;
    assert!(elected.elapsed() <= longest, "ended after {:?}, moved: {moved}", elected.elapsed());
    answer(client.lease().lease_revoke(LeaseRevokeRequest { id: long })).await.unwrap();
}
