//! Members come, change and go while the cluster serves.

mod beginnings;
mod growing;
mod learners;
mod recovery;
mod refusals;
mod removal;
mod replace;
mod strangers;

use etcd::client::Client;
use etcd::proto::etcdserverpb::{
    Member, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest,
};
use tonic::{Code, Status};

use crate::support::cluster::requests::answer;
use crate::support::cluster::{Cluster, accepted};
use crate::support::wait::comes_true;

/// One attempt to remove a member; the answer is who is left.
async fn remove(client: &Client, id: u64) -> Result<Vec<Member>, Status> {
    let request = MemberRemoveRequest { id };
    Ok(answer(client.cluster().member_remove(request)).await?.members)
}

/// One attempt to give a learner a vote.
async fn promote(client: &Client, id: u64) -> Result<Vec<Member>, Status> {
    let request = MemberPromoteRequest { id };
    Ok(answer(client.cluster().member_promote(request)).await?.members)
}

/// One attempt to tell where a member is.
async fn update(client: &Client, id: u64, url: &str) -> Result<Vec<Member>, Status> {
    let request = MemberUpdateRequest { id, peer_ur_ls: vec![url.to_owned()] };
    Ok(answer(client.cluster().member_update(request)).await?.members)
}

/// Removes a member, asking again while the cluster is not quiet.
pub(super) async fn remove_at_last(cluster: &Cluster, through: usize, id: u64) -> Vec<Member> {
    let client = cluster.client(through);
    comes_true("a member to be removed", async || accepted(remove(&client, id).await)).await
}

fn told(code: Code, words: &str) -> (Code, String) {
    (code, format!("etcdserver: {words}"))
}
