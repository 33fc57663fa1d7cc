//! What the service manager shows of the node: one line for each moment of its life, and, until it
//! serves, the wish for more time as long as it gets on.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

use crate::consensus::{Node, Reach};
use crate::proto::etcdserverpb::AlarmType;
use crate::state::Reader;
use crate::storage::space::Space;
use crate::systemd::Notifier;
use crate::tasks::{Stage, Supervisor};
use crate::transport::{Credentials, Expiry};
use crate::types::clock::Clock;
use crate::types::ids::MemberId;

/// How often to look, and to ask for time.
const LOOK: Duration = Duration::from_secs(1);
/// Time asked for at each look: so much is left when a start stands still.
const EXTENSION: Duration = Duration::from_secs(60);
/// Processor time between two looks that shows work; looking itself takes far less.
const WORK: Duration = Duration::from_millis(1);
const DAY: i64 = 86_400;

/// Where the node is in its life.
#[derive(Clone)]
pub(super) enum Moment {
    /// It does something that takes as long as there is data.
    Works(&'static str),
    /// It waits for whoever makes room on the disk.
    WaitsForSpace(Space),
    /// It waits for other members.
    Waits(&'static str),
    /// It runs, and applies what its log holds and what the others agree on.
    Joins {
        /// Consensus.
        node: Node,
        /// The newest entry the log held at the start, counted from one.
        logged: u64,
    },
    /// It serves.
    Serves(Serving),
}

/// What is shown of a node that serves.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) node: Node,
    pub(super) reader: Reader,
    pub(super) credentials: Vec<Credentials>,
}

/// Tells the service manager; clones tell the same.
#[derive(Clone)]
pub(super) struct Telling {
    notifier: Arc<Notifier>,
    moment: watch::Sender<Moment>,
}

impl Telling {
    /// Starts telling, if anybody listens.
    pub(super) fn start(notifier: Arc<Notifier>, supervisor: &Supervisor) -> Self {
        let (moment, changes) = watch::channel(Moment::Works("opening the data directory"));
        if notifier.is_heard() {
            let (own, stop) = (Arc::clone(&notifier), supervisor.stop_token(Stage::Upkeep));
            supervisor.spawn("status", Stage::Upkeep, async move {
                tokio::select! {
                    () = stop.stopped() => {}
                    () = tell(&own, changes) => {}
                }
            });
        }
        Self { notifier, moment }
    }

    /// The node is somewhere else in its life now.
    pub(super) fn is(&self, moment: Moment) {
        self.moment.send_replace(moment);
    }

    /// The node serves from now on.
    pub(super) fn begins(&self, serving: Serving) {
        self.is(Moment::Serves(serving));
        self.serves("");
    }

    /// The node serves, from now on or again; `note` is what else there is to say.
    pub(super) fn serves(&self, note: &str) {
        self.notifier.ready(&format!("{}{note}", describe(&self.moment.borrow())));
    }

    /// A reload begins.
    pub(super) fn reloads(&self) {
        self.notifier.reloading();
    }
}

/// Tells what changes, and asks for time as long as anything moves, until nobody can change anything.
async fn tell(notifier: &Notifier, mut changes: watch::Receiver<Moment>) {
    let (mut shown, mut worked) = (String::new(), Duration::ZERO);
    loop {
        let moment = changes.borrow_and_update().clone();
        let text = describe(&moment);
        if !matches!(moment, Moment::Serves(_)) {
            let now = processor_time();
            if gets_on(&moment, now.saturating_sub(worked)) {
                notifier.extend(EXTENSION);
            }
            worked = now;
        }
        if text != shown {
            notifier.status(&text);
            shown = text;
        }
        drop(moment);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Whether more time would help. Whoever waits for others may wait for long; whoever works must be seen
/// to work, as a disk that does not answer is no reason to wait.
fn gets_on(moment: &Moment, worked: Duration) -> bool {
    match moment {
        Moment::Works(_) => worked >= WORK,
        Moment::Joins { node, logged } => node.status().applied >= *logged || worked >= WORK,
        _ => true,
    }
}

fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.cast_unsigned(), u32::try_from(used.tv_nsec).unwrap_or_default())
}

fn describe(moment: &Moment) -> String {
    match moment {
        Moment::Works(what) => format!("starting: {what}"),
        Moment::WaitsForSpace(space) => {
            format!("waiting for space on the disk: {} MiB are free", space.free() >> 20)
        }
        Moment::Waits(what) => format!("waiting: {what}"),
        Moment::Joins { node, logged } => {
            let status = node.status();
            match status.leader {
                // Before there is a leader nobody knows how much of the log holds.
                Some(_) if status.applied < *logged => {
                    format!("starting: replaying the log: {} of {logged}", status.applied)
                }
                Some(leader) => format!(
                    "starting: catching up with {}: {} of {}",
                    named(node, leader),
                    status.applied,
                    status.committed.max(status.applied)
                ),
                None => leaderless(node.reach()),
            }
        }
        Moment::Serves(serving) => serving.describe(),
    }
}

fn leaderless(reach: Reach) -> String {
    let Reach { reached, voters, needed } = reach;
    if voters == 0 {
        "waiting to be told who belongs to the cluster".to_owned()
    } else if reached < needed {
        format!("waiting for quorum: {reached} of {voters} members reachable, {needed} needed")
    } else {
        format!("waiting for an election: {reached} of {voters} members reachable")
    }
}

fn named(node: &Node, id: MemberId) -> String {
    let found = node.members().into_iter().find(|member| member.id == id);
    let name = found.map(|member| member.name).filter(|name| !name.is_empty());
    name.map_or_else(|| id.to_string(), |name| format!("{name} ({id})"))
}

impl Serving {
    fn describe(&self) -> String {
        let status = self.node.status();
        let (term, revision) = (status.term, self.reader.revision());
        let role = match status.leader {
            None => format!("{}; reads that may be old are served", leaderless(self.node.reach())),
            Some(_) if status.is_leader => format!("serving as leader in term {term}"),
            Some(leader) => {
                let role = if status.is_learner { " as learner" } else { "" };
                format!("serving{role}, led by {} in term {term}", named(&self.node, leader))
            }
        };
        let count = self.node.members().len();
        let members = if count == 1 { "member" } else { "members" };
        let mut text = format!("{role}; revision {revision}; {count} {members}");
        let alarms = self.reader.alarms().list(AlarmType::None);
        for kind in [AlarmType::Nospace, AlarmType::Corrupt] {
            if alarms.iter().any(|alarm| alarm.alarm() == kind) {
                text.push_str(&format!("; ALARM {}", kind.as_str_name()));
            }
        }
        let expiries: Vec<_> =
            self.credentials.iter().flat_map(|held| held.live().expiries.to_vec()).collect();
        text + &first_end(&expiries, Clock.unix().as_secs().cast_signed())
    }
}

/// What is to be said of the certificate or authority that ends first.
fn first_end(expiries: &[Expiry], now: i64) -> String {
    let certificates = expiries.iter().filter(|expiry| expiry.kind != "revocations");
    let Some(first) = certificates.min_by_key(|expiry| expiry.not_after) else {
        return String::new();
    };
    let file = first.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match first.not_after - now {
        left @ ..0 => format!("; {file} EXPIRED {} days ago", -left / DAY),
        left if left < 2 * DAY => format!("; {file} expires in {} hours", left / 3600),
        left => format!("; {file} expires in {} days", left / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_is_told_in_days_and_at_last_in_hours() {
        let expiry = |file: &str, kind: &'static str, not_after: i64| Expiry {
            file: file.into(),
            kind,
            name: String::new(),
            not_before: 0,
            not_after,
        };
        let all = [
            expiry("/pki/client-ca.crt", "authority", 3000 * DAY),
            expiry("/pki/server.crt", "certificate", 90 * DAY),
            expiry("/pki/peer.crt", "certificate", 91 * DAY),
            expiry("/pki/client.crl", "revocations", DAY),
        ];
        let at = |days: i64| first_end(&all, days * DAY);
        assert_eq!(at(0), "; server.crt expires in 90 days");
        assert_eq!(at(89), "; server.crt expires in 24 hours");
        assert_eq!(at(95), "; server.crt EXPIRED 5 days ago");
        assert_eq!(first_end(&[], 0), "");
    }

    #[test]
    fn a_quorum_that_is_missing_is_told_apart_from_an_election() {
        let reach = |reached| leaderless(Reach { reached, voters: 3, needed: 2 });
        let nobody = leaderless(Reach { reached: 0, voters: 0, needed: 1 });
        assert_eq!(nobody, "waiting to be told who belongs to the cluster");
        assert_eq!(reach(1), "waiting for quorum: 1 of 3 members reachable, 2 needed");
        assert_eq!(reach(2), "waiting for an election: 2 of 3 members reachable");
    }

    #[test]
    fn whoever_stands_still_gets_no_more_time() {
        let (idle, busy) = (Duration::from_micros(100), Duration::from_millis(20));
        let works = Moment::Works("opening the log");
        assert!(!gets_on(&works, idle) && gets_on(&works, busy));
        assert!(gets_on(&Moment::WaitsForSpace(Space::unlimited()), idle));
        assert!(gets_on(&Moment::Waits("others"), idle));
    }
}
