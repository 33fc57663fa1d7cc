//! What goes wrong: one trouble after the other, now and then several at once.

use std::time::Duration;

use super::member::{Death, ELECTION, Pace};
use super::network::Weather;
use super::run::Cluster;

/// A kind of trouble.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    OneDies,
    LeaderDies,
    MajorityDies,
    AllDie,
    PowerFails,
    DiesAgainAndAgain,
    LeaderIsCutOff,
    LeaderIsDeaf,
    LeaderIsMute,
    WaysAreCut,
    NetworkIsSplit,
    NetworkIsBad,
    DiskIsSlow,
    LeadershipMoves,
    LeaderStops,
    MemberLeaves,
    MemberIsReplaced,
}

const ALL: [Trouble; 17] = [
    Trouble::OneDies,
    Trouble::LeaderDies,
    Trouble::MajorityDies,
    Trouble::AllDie,
    Trouble::PowerFails,
    Trouble::DiesAgainAndAgain,
    Trouble::LeaderIsCutOff,
    Trouble::LeaderIsDeaf,
    Trouble::LeaderIsMute,
    Trouble::WaysAreCut,
    Trouble::NetworkIsSplit,
    Trouble::NetworkIsBad,
    Trouble::DiskIsSlow,
    Trouble::LeadershipMoves,
    Trouble::LeaderStops,
    Trouble::MemberLeaves,
    Trouble::MemberIsReplaced,
];

/// What happens in the middle of a replacement.
const MEANWHILE: [Trouble; 10] = [
    Trouble::OneDies,
    Trouble::LeaderDies,
    Trouble::MajorityDies,
    Trouble::AllDie,
    Trouble::PowerFails,
    Trouble::LeaderIsCutOff,
    Trouble::LeaderIsMute,
    Trouble::NetworkIsSplit,
    Trouble::LeadershipMoves,
    Trouble::LeaderStops,
];

const BAD_WEATHER: Weather = Weather { delay: (0, 40), loss: 30 };
const SLOW_DISK: Pace = Pace { usual: (5, 60), stalls: 100, stall: (200, 900) };

impl Cluster {
    /// One round: some troubles, a while with them, and their end.
    pub(super) async fn trouble(&mut self) {
        let troubles = if self.world.chance(300) { 2 } else { 1 };
        for _ in 0..troubles {
            let trouble = self.world.pick(&ALL);
            self.world.note(format_args!("trouble: {trouble:?}"));
            self.begin(trouble).await;
            let is_replacement = matches!(trouble, Trouble::MemberIsReplaced);
            if is_replacement && self.world.chance(600) && self.is_between().await {
                let trouble = self.world.pick(&MEANWHILE);
                self.world.note(format_args!("trouble meanwhile: {trouble:?}"));
                self.begin(trouble).await;
            }
            self.pause(20, 400).await;
        }
        self.pause(0, 1200).await;
        self.world.note(format_args!("the trouble is over"));
        self.heal();
        self.start_all().await;
        self.finish_exchange().await;
        self.replace_leavers().await;
    }

    async fn begin(&mut self, trouble: Trouble) {
        let places = self.places();
        let (count, first) = (places.len(), self.world.below(places.len()));
        let chosen = places[first];
        let leader = self.leader().unwrap_or(chosen);
        match trouble {
            Trouble::OneDies => self.die(chosen).await,
            Trouble::LeaderDies => self.die(leader).await,
            Trouble::MajorityDies => {
                self.all_die((0..=count / 2).map(|next| places[(first + next) % count])).await;
            }
            Trouble::AllDie => self.all_die(places.into_iter()).await,
            Trouble::PowerFails => self.power_fails(leader).await,
            Trouble::DiesAgainAndAgain => {
                for _ in 0..3 {
                    self.die(chosen).await;
                    self.pause(0, 150).await;
                    self.start(chosen).await;
                    self.pause(0, 150).await;
                }
            }
            Trouble::LeaderIsCutOff => {
                self.others(leader).into_iter().for_each(|other| self.part(leader, other));
            }
            Trouble::LeaderIsDeaf => {
                self.others(leader).into_iter().for_each(|other| self.network.cut(other, leader));
            }
            Trouble::LeaderIsMute => {
                self.others(leader).into_iter().for_each(|other| self.network.cut(leader, other));
            }
            Trouble::WaysAreCut => self.cut_ways(),
            Trouble::NetworkIsSplit => self.split(first),
            Trouble::LeadershipMoves => self.move_leader(leader, chosen).await,
            Trouble::LeaderStops => self.stop(leader).await,
            Trouble::MemberLeaves => self.ask_to_leave(chosen),
            Trouble::MemberIsReplaced => self.ask_to_replace(chosen).await,
            Trouble::NetworkIsBad => self.network.set_weather(BAD_WEATHER),
            Trouble::DiskIsSlow => *self.slots[&chosen].pace.lock() = SLOW_DISK,
        }
    }

    /// Some ways, each in one direction.
    fn cut_ways(&self) {
        for from in self.places() {
            for to in self.others(from) {
                if self.world.chance(300) {
                    self.network.cut(from, to);
                }
            }
        }
    }

    /// Neighbours from the `first` on, and the others.
    fn split(&self, first: usize) {
        let mut places = self.places();
        places.rotate_left(first);
        let (one, other) = places.split_at(1 + self.world.below(places.len() - 1));
        for near in one {
            other.iter().for_each(|far| self.part(*near, *far));
        }
    }

    /// One member hands leadership to another, or gives up.
    async fn move_leader(&self, from: usize, to: usize) {
        if let Some(running) = self.running(from) {
            let moved = running.node.move_leader(self.slots[&to].id);
            let moved = tokio::time::timeout(2 * ELECTION, moved).await;
            self.world.note(format_args!("leadership moves from {from} to {to}: {moved:?}"));
        }
    }

    /// As a daemon stops that is told to.
    async fn stop(&mut self, place: usize) {
        if let Some(running) = self.running(place) {
            running.node.hand_over().await;
            running.stop().await;
            self.crash(place, Death::Process);
        }
    }

    /// The power mostly fails while something is written.
    pub(super) async fn die(&mut self, place: usize) {
        let death = if self.world.chance(600) { Death::Power } else { Death::Process };
        if matches!(death, Death::Power) && self.world.chance(800) {
            self.writes(place).await;
        }
        self.crash(place, death);
    }

    /// Everybody's power fails at the same moment, while a member writes.
    pub(super) async fn power_fails(&mut self, writer: usize) {
        self.writes(writer).await;
        self.places().into_iter().for_each(|place| self.crash(place, Death::Power));
    }

    /// Waits for a moment at which a member writes to its log.
    async fn writes(&self, place: usize) {
        let Some(running) = self.running(place) else { return };
        let writes = async {
            while !running.is_writing() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = tokio::time::timeout(ELECTION, writes).await;
    }

    async fn all_die(&mut self, places: impl Iterator<Item = usize>) {
        for place in places {
            self.die(place).await;
        }
    }

    fn part(&self, one: usize, other: usize) {
        self.network.cut(one, other);
        self.network.cut(other, one);
    }

    pub(super) fn others(&self, place: usize) -> Vec<usize> {
        self.places().into_iter().filter(|other| *other != place).collect()
    }

    /// No more trouble for those that live.
    fn heal(&self) {
        self.network.heal();
        self.slots.values().for_each(|slot| *slot.pace.lock() = Pace::FAST);
    }

    pub(super) async fn pause(&self, from: usize, to: usize) {
        let pause: Duration = self.world.millis(from, to);
        tokio::time::sleep(pause).await;
    }
}
