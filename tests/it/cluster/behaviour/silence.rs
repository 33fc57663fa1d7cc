//! A member that lost its leader, and with it everything that needs one.

use etcd::proto::etcdserverpb::{LeaseTimeToLiveRequest, PutRequest};
use tonic::{Code, Status};

use super::watches::{from, open};
use crate::support::cluster::Cluster;
use crate::support::cluster::requests::{answer, grant, local, one, put, refusal, value};
use crate::support::session::{self, WatchSession};
use crate::support::wait::{comes_true, within};

const NO_LEADER: &str = "etcdserver: no leader";

fn request(value: &str) -> PutRequest {
    session::put("silence", value)
}

/// Whoever asks for what the cluster agrees on is refused after a while, whoever demands a leader at
/// once; a member's own state is told on, and what was open goes on with the next leader.
pub(super) async fn without_a_leader_members_say_so(cluster: &mut Cluster) {
    if cluster.members.len() == 1 {
        return;
    }
    let survivor = cluster.follower().await;
    let client = cluster.client(survivor);
    put(&client, "silence", "before").await;
    let lease = grant(&client, 300).await;
    let mut patient = open(&client, from("silence", 0)).await;
    let demanding = cluster.another_client(survivor).requiring_leader();
    let mut strict = open(&demanding, from("silence", 0)).await;
    let others: Vec<usize> =
        (0..cluster.members.len()).filter(|other| *other != survivor).collect();
    others.iter().for_each(|other| cluster.pause(*other));
    comes_true("the leader to be missed", async || {
        (cluster.status(survivor).await.leader == 0).then_some(())
    })
    .await;
    assert_eq!(cluster.status(survivor).await.errors, [NO_LEADER]);
    refuses(cluster, survivor, lease, &mut strict).await;
    others.iter().for_each(|other| cluster.resume(*other));
    cluster.leader().await;
    let revision = put(&client, "silence", "after").await;
    let event = patient.next().await.events.remove(0).kv.unwrap();
    assert_eq!((event.value.as_ref(), event.mod_revision), (b"after".as_slice(), revision));
}

async fn refuses(cluster: &Cluster, survivor: usize, lease: i64, strict: &mut WatchSession) {
    let client = cluster.client(survivor);
    let demanding = client.clone().requiring_leader();
    let at_once = (Code::Unavailable, NO_LEADER.to_owned());
    let refused = answer(demanding.kv().put(request("never"))).await;
    assert_eq!(refusal(refused), at_once);
    let serializable =
        etcd::proto::etcdserverpb::RangeRequest { serializable: true, ..one("silence") };
    let refused = answer(demanding.kv().range(serializable)).await;
    assert_eq!(refusal(refused), at_once);
    assert_eq!(value(&local(&client, one("silence")).await).as_deref(), Some("before"));

    let (mut kv, mut reading, mut leases) = (client.kv(), client.kv(), client.lease());
    let time_to_live = LeaseTimeToLiveRequest { id: lease, keys: false };
    let (written, read, left, watched) = tokio::join!(
        answer(kv.put(request("never"))),
        answer(reading.range(one("silence"))),
        answer(leases.lease_time_to_live(time_to_live)),
        within("the strict watch to end", ended(strict)),
    );
    let too_late = (Code::DeadlineExceeded, "context deadline exceeded".to_owned());
    assert_eq!(refusal(written), too_late);
    let unread = (Code::Unavailable, "etcdserver: request timed out".to_owned());
    assert_eq!(refusal(read), unread);
    assert_eq!(refusal(left), at_once);
    assert_eq!((watched.code(), watched.message().to_owned()), at_once);
}

/// How a watch ends that has nothing to tell.
async fn ended(watch: &mut WatchSession) -> Status {
    match watch.receive().await {
        Ok(response) => panic!("told {response:?} without a leader"),
        Err(status) => status,
    }
}
