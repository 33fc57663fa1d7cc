//! What the members of a cluster say about it, and whether they agree.

use etcd::client::Client;
use etcd::proto::etcdserverpb::{
    HashKvRequest, Member, MemberListRequest, StatusRequest, StatusResponse,
};
use tonic::Status;

use super::Cluster;
use super::requests::{answer, answer_soon, local, one, range};
use crate::support::wait::comes_true;

/// A hash over everything, of which revision, after which compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash {
    /// Of the state at this revision.
    pub(crate) revision: i64,
    /// What was compacted before.
    pub(crate) compacted: i64,
    /// The sum.
    pub(crate) hash: u32,
}

/// One attempt to learn how a member is.
pub(super) async fn status(client: &Client) -> Result<StatusResponse, Status> {
    answer_soon(client.maintenance().status(StatusRequest {})).await
}

impl Cluster {
    /// How a member is.
    pub(crate) async fn status(&self, member: usize) -> StatusResponse {
        let client = &self.members[member].client;
        answer(client.maintenance().status(StatusRequest {})).await.unwrap()
    }

    /// The id of a member.
    pub(crate) async fn id(&self, member: usize) -> u64 {
        self.status(member).await.header.unwrap().member_id
    }

    /// The members as this one lists them, agreed on by a quorum.
    pub(crate) async fn list(&self, member: usize) -> Vec<Member> {
        let request = MemberListRequest { linearizable: true };
        let client = &self.members[member].client;
        comes_true("the list of members", async || {
            Some(answer_soon(client.cluster().member_list(request)).await.ok()?.members)
        })
        .await
    }

    /// The members as this one lists them by itself.
    pub(crate) async fn own_list(&self, member: usize) -> Vec<Member> {
        let request = MemberListRequest { linearizable: false };
        answer(self.members[member].client.cluster().member_list(request)).await.unwrap().members
    }

    /// The member that all running members say leads; waits until they agree.
    pub(crate) async fn leader(&self) -> usize {
        self.leader_of(&self.running()).await
    }

    /// The same for some of them, who must have the leader among them.
    pub(crate) async fn leader_of(&self, members: &[usize]) -> usize {
        comes_true("one leader", async || self.agreed_leader(members).await).await
    }

    async fn agreed_leader(&self, members: &[usize]) -> Option<usize> {
        let mut told = Vec::new();
        for member in members {
            let status = status(&self.members[*member].client).await.ok()?;
            told.push((*member, status));
        }
        let (leader, term) = told.first().map(|(_, status)| (status.leader, status.raft_term))?;
        let agreed =
            told.iter().all(|(_, status)| (status.leader, status.raft_term) == (leader, term));
        let own = |status: &StatusResponse| status.header.map(|header| header.member_id);
        let found = told.iter().find(|(_, status)| own(status) == Some(leader));
        found.filter(|_| agreed && leader != 0).map(|(member, _)| *member)
    }

    /// A running member that does not lead.
    pub(crate) async fn follower(&self) -> usize {
        let leader = self.leader().await;
        self.running().into_iter().find(|member| *member != leader).unwrap()
    }

    /// The term, which all running members agree on with the leader.
    pub(crate) async fn term(&self) -> u64 {
        let leader = self.leader().await;
        self.status(leader).await.raft_term
    }

    /// Waits until every running member has everything that was acknowledged before, and tells what
    /// they all have.
    ///
    /// # Panics
    /// When they differ.
    pub(crate) async fn same_everywhere(&self) -> Hash {
        let running = self.running();
        let leader = self.leader().await;
        let newest = range(&self.members[leader].client, one("x")).await.header.unwrap().revision;
        for member in &running {
            comes_true("a member to catch up", async || self.has(*member, newest).await).await;
        }
        let mut hashes = Vec::new();
        for member in &running {
            // A learner tells no hash.
            if !self.status(*member).await.is_learner {
                hashes.push((*member, self.hash(*member, newest).await));
            }
        }
        let first = hashes[0].1;
        assert!(hashes.iter().all(|(_, hash)| *hash == first), "members differ: {hashes:?}");
        first
    }

    /// Whether a member has applied that revision.
    async fn has(&self, member: usize, revision: i64) -> Option<()> {
        let own = local(&self.members[member].client, one("x")).await.header?.revision;
        (own >= revision).then_some(())
    }

    /// The hash over a member's state at a revision.
    pub(crate) async fn hash(&self, member: usize, revision: i64) -> Hash {
        let request = HashKvRequest { revision };
        let client = &self.members[member].client;
        let told = answer(client.maintenance().hash_kv(request)).await.unwrap();
        Hash { revision, compacted: told.compact_revision, hash: told.hash }
    }
}
