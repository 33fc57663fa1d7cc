//! Asking all members for the hash of what they hold, at a place that all of them have passed.

use std::time::Duration;

use futures::future::join_all;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::{Response, Status};

use super::judge::{Held, Verdict, judge};
use crate::consensus::{Node, PeerChannel};
use crate::proto::peer::checks_client::ChecksClient;
use crate::proto::peer::{AppliedHashAnswer, AppliedHashQuestion, KvHashAnswer, KvHashQuestion};
use crate::state::reader::Hash;
use crate::state::{AppliedHash, Reader};
use crate::types::ids::MemberId;

/// Longest time for a hash that is at hand.
const AT_HAND: Duration = Duration::from_secs(2);
/// Longest time for a hash over everything: enough to read the largest store etcd recommends.
const READING: Duration = Duration::from_secs(120);

/// What each of the others said, or why it said nothing.
type Told<T> = Vec<(MemberId, Result<T, String>)>;

/// What one comparison found.
#[derive(Debug)]
pub(super) struct Round {
    /// What was compared, and where: an entry or a revision.
    pub(super) what: Compared,
    /// What members hold, this one first.
    pub(super) held: Vec<Held>,
    /// Members that could not be compared, and why.
    pub(super) skipped: Vec<(MemberId, String)>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// The hashes over all that was applied, at this entry.
    Applied(u64),
    /// The hashes over all keys, at this revision.
    Keys(i64),
}

impl std::fmt::Display for Compared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Applied(index) => write!(f, "everything applied up to entry {index}"),
            Self::Keys(revision) => write!(f, "all keys at revision {revision}"),
        }
    }
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, held) in self.held.iter().enumerate() {
            let before = if place == 0 { "" } else { ", " };
            write!(f, "{before}{held}")?;
        }
        Ok(())
    }
}

impl Round {
    /// What the hashes say about a cluster of everybody who was asked.
    pub(super) fn verdict(&self) -> Verdict {
        judge(&self.held, self.members())
    }

    /// How many members there are.
    pub(super) fn members(&self) -> usize {
        self.held.len() + self.skipped.len()
    }

    /// Enters what a member said.
    fn enter(&mut self, member: MemberId, hash: Result<u64, String>) {
        match hash {
            Ok(hash) => self.held.push(Held { member, hash }),
            Err(why) => self.skipped.push((member, why)),
        }
    }
}

/// Asks in the name of one member.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) node: Node,
    pub(super) reader: Reader,
}

impl Asker {
    /// Compares the hashes that members keep as they apply: nothing is read for it.
    pub(super) async fn applied(&self) -> Round {
        let newest = self.applied_hashes(0).await;
        // A member that has applied nothing yet has nothing to compare, and zero asks for the newest.
        let oldest = self.reader.oldest_applied_hash().max(1);
        let own = self.reader.applied_hash().applied;
        let at = meeting(own, oldest, &newest, |told| told.index);
        let what = Compared::Applied(at);
        let mut round = Round { what, held: Vec::new(), skipped: Vec::new() };
        let Some(ours) = self.reader.applied_hash_at(at) else {
            let why = "this member has gone too far meanwhile, or has taken over another state";
            round.skipped =
                newest.into_iter().map(|(member, _)| (member, why.to_owned())).collect();
            return round;
        };
        round.enter(self.node.id(), Ok(ours.hash));
        for (member, told) in self.applied_hashes(at).await {
            round.enter(member, told.and_then(|told| comparable(&ours, &told)));
        }
        round
    }

    /// Compares the hashes over all keys, for which every member reads all of them.
    ///
    /// # Errors
    /// Why this member has no hash itself.
    pub(super) async fn keys(&self) -> Result<Round, String> {
        let newest = self.applied_hashes(0).await;
        let at = meeting(self.reader.revision(), 1, &newest, |told| told.revision);
        let reader = self.reader.clone();
        let question = KvHashQuestion { revision: at };
        let (ours, told) = tokio::join!(
            spawn_blocking(move || reader.hash_kv(at)),
            self.ask(READING, move |mut client| async move { client.kv_hash(question).await })
        );
        let ours = ours.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let own = Held { member: self.node.id(), hash: u64::from(ours.hash) };
        let mut round = Round { what: Compared::Keys(at), held: vec![own], skipped: Vec::new() };
        for (member, told) in told {
            round.enter(member, told.and_then(|told| comparable_keys(&ours, &told)));
        }
        Ok(round)
    }

    async fn applied_hashes(&self, index: u64) -> Told<AppliedHashAnswer> {
        let question = AppliedHashQuestion { index };
        self.ask(AT_HAND, move |mut client| async move { client.applied_hash(question).await })
            .await
    }

    /// Asks all other members at once.
    async fn ask<T, F>(
        &self,
        limit: Duration,
        call: impl Fn(ChecksClient<PeerChannel>) -> F,
    ) -> Told<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let own = self.node.id();
        let others = self.node.members().into_iter().map(|member| member.id);
        let asked = others.filter(|id| *id != own).map(|id| {
            let channel = self.node.peer(id);
            let called = channel.map(|channel| timeout(limit, call(ChecksClient::new(channel))));
            async move {
                let Some(called) = called else {
                    return (id, Err("its addresses are not known yet".to_owned()));
                };
                let told = match called.await {
                    Ok(told) => told.map(Response::into_inner).map_err(|s| s.message().to_owned()),
                    Err(_) => Err(format!("no answer within {limit:?}")),
                };
                (id, told)
            }
        });
        join_all(asked).await
    }
}

/// The newest place that everybody has passed who is not too far behind to be compared at all.
fn meeting<T, P: Ord + Copy>(own: P, oldest: P, told: &Told<T>, place: impl Fn(&T) -> P) -> P {
    let others = told.iter().filter_map(|(_, told)| told.as_ref().ok()).map(place);
    others.filter(|place| *place >= oldest).fold(own, Ord::min)
}

fn comparable(ours: &AppliedHash, told: &AppliedHashAnswer) -> Result<u64, String> {
    if told.unknown || told.index != ours.applied {
        let (wanted, has) = (ours.applied, told.index);
        return Err(format!("it is at entry {has} and does not know its hash at entry {wanted}"));
    }
    if told.since != ours.since {
        let (theirs, ours) = (told.since, ours.since);
        return Err(format!("its hash begins after entry {theirs}, this member's after {ours}"));
    }
    Ok(told.hash)
}

fn comparable_keys(ours: &Hash, told: &KvHashAnswer) -> Result<u64, String> {
    if told.unknown {
        let revision = ours.revision;
        return Err(format!("it has revision {revision} not yet, or not any more"));
    }
    if told.compacted != ours.compacted {
        let (theirs, ours) = (told.compacted, ours.compacted);
        return Err(format!("it is compacted at revision {theirs}, this member at {ours}"));
    }
    Ok(u64::from(told.hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_meet_where_all_that_matter_have_been() {
        let told = |places: &[Option<u64>]| -> Told<u64> {
            let say = |place: &Option<u64>| (MemberId(1), place.ok_or_else(|| "gone".to_owned()));
            places.iter().map(say).collect()
        };
        let meet = |places: &[Option<u64>]| meeting(100, 90, &told(places), |place| *place);
        assert_eq!(meet(&[]), 100);
        assert_eq!(meet(&[Some(101), Some(150)]), 100);
        assert_eq!(meet(&[Some(95), None, Some(99)]), 95);
        // One that lags too much must not keep the others from being compared.
        assert_eq!(meet(&[Some(50), Some(97)]), 97);
    }

    #[test]
    fn only_like_is_compared_with_like() {
        let ours = AppliedHash { applied: 9, since: 3, hash: 5 };
        let told = AppliedHashAnswer { index: 9, since: 3, hash: 6, ..Default::default() };
        assert_eq!(comparable(&ours, &told), Ok(6));
        assert!(comparable(&ours, &AppliedHashAnswer { since: 0, ..told }).is_err());
        assert!(comparable(&ours, &AppliedHashAnswer { unknown: true, ..told }).is_err());
        assert!(comparable(&ours, &AppliedHashAnswer { index: 8, ..told }).is_err());
        let ours = Hash { hash: 5, compacted: 2, revision: 7, current: 8 };
        let told = KvHashAnswer { unknown: false, hash: 6, compacted: 2 };
        assert_eq!(comparable_keys(&ours, &told), Ok(6));
        assert!(comparable_keys(&ours, &KvHashAnswer { compacted: -1, ..told }).is_err());
        assert!(comparable_keys(&ours, &KvHashAnswer { unknown: true, ..told }).is_err());
    }
}
