//! The comparison before a member serves.

use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::ask::{Compared, Round};
use super::judge::Verdict;
use super::{Comparing, skipped};
use crate::types::ids::MemberId;

/// Pause before others are asked again that could not be compared yet.
const AGAIN: Duration = Duration::from_millis(100);

/// This member holds other data than others, and must not serve.
#[derive(Debug, thiserror::Error)]
#[error("{member} found data inconsistency with peers: of {what}, {held}; {advice}")]
pub struct Differs {
    member: MemberId,
    what: Compared,
    held: String,
    advice: &'static str,
}

/// What a comparison says about the member that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opinion {
    /// A quorum holds what it holds.
    Right,
    /// A quorum holds something else.
    Wrong,
    /// Somebody holds something else, and there is no quorum.
    Unclear,
    /// Nobody holds anything else, but too few could be compared.
    Open,
}

impl Opinion {
    fn of(round: &Round, member: MemberId) -> Self {
        match round.verdict() {
            Verdict::Apart(members) if members.contains(&member) => Self::Wrong,
            Verdict::Apart(_) => Self::Right,
            Verdict::Unclear => Self::Unclear,
            Verdict::Same if round.held.len() > round.members() / 2 => Self::Right,
            Verdict::Same => Self::Open,
        }
    }

    /// What is to be done about it.
    fn advice(self) -> &'static str {
        match self {
            Self::Wrong => {
                "a quorum holds something else: remove this member from the cluster, delete its \
                 data directory, and add it again"
            }
            _ => {
                "no quorum says who is right: start more members, or compare them with \
                 `etcdctl endpoint hashkv --cluster` and replace those that are wrong"
            }
        }
    }
}

impl Comparing {
    /// Compares this member with the others before it serves: by the hashes over everything applied
    /// and by those over all keys. For `limit` it asks again while members cannot be compared, because
    /// they start as well or because this one has to catch up first; after that it goes without them,
    /// as etcd does.
    ///
    /// # Errors
    /// It must not serve. Unlike in etcd, a member with a quorum on its side may.
    pub async fn before_serving(&self, limit: Duration) -> Result<(), Differs> {
        let id = self.asker.node.id();
        tracing::info!(
            "local-member-id" = %id,
            timeout = ?limit,
            "starting initial corruption check"
        );
        let mut end = pin!(sleep(limit));
        self.settle(false, end.as_mut()).await?;
        self.settle(true, end).await?;
        tracing::info!(
            "local-member-id" = %id,
            "initial corruption checking passed; no corruption"
        );
        Ok(())
    }

    /// Compares until it is clear whether this member is right, at the latest when time is up.
    async fn settle(&self, keys: bool, mut end: Pin<&mut Sleep>) -> Result<(), Differs> {
        let member = self.asker.node.id();
        loop {
            let round = if keys { self.asker.keys().await } else { Ok(self.asker.applied().await) };
            let is_last = end.is_elapsed();
            match round.as_ref().map(|round| (Opinion::of(round, member), round)) {
                Ok((Opinion::Right, round)) => {
                    skipped(round);
                    return Ok(());
                }
                Ok((opinion @ (Opinion::Wrong | Opinion::Unclear), round))
                    if is_last || opinion == Opinion::Wrong =>
                {
                    let (what, held) = (round.what, round.to_string());
                    return Err(Differs { member, what, held, advice: opinion.advice() });
                }
                Ok((_, round)) if is_last => {
                    skipped(round);
                    return Ok(());
                }
                Err(error) if is_last => {
                    tracing::warn!(error, "failed to check hash KV");
                    return Ok(());
                }
                Ok(_) | Err(_) => {}
            }
            tokio::select! {
                () = end.as_mut() => {}
                () = sleep(AGAIN) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::Held;
    use super::*;

    fn opinion(hashes: &[u64], skipped: usize) -> Opinion {
        let held =
            hashes.iter().zip(1..).map(|(hash, id)| Held { member: MemberId(id), hash: *hash });
        let skipped = (0..skipped).map(|place| (MemberId(90 + place as u64), "away".to_owned()));
        let (held, skipped) = (held.collect(), skipped.collect());
        Opinion::of(&Round { what: Compared::Keys(1), held, skipped }, MemberId(1))
    }

    #[test]
    fn a_member_serves_with_a_quorum_on_its_side() {
        for (hashes, skipped, expected) in [
            (&[7, 7][..], 1, Opinion::Right),
            (&[7, 7, 8], 0, Opinion::Right),
            (&[8, 7, 7], 0, Opinion::Wrong),
            (&[7, 8], 1, Opinion::Unclear),
            (&[7], 2, Opinion::Open),
            (&[7, 7], 2, Opinion::Open),
            // Alone it is its own quorum.
            (&[7], 0, Opinion::Right),
        ] {
            assert_eq!(opinion(hashes, skipped), expected, "{hashes:?} and {skipped}");
        }
    }
}
