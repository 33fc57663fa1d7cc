//! Death at a random place, over and over, half of the time with a power cut; TESTING.md says how to
//! run this for longer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use etcd::failpoint::Point;

use super::history::History;
use super::power::{Dice, Disk};
use super::subject::{Start, Subject};
use crate::support::process::Process;

/// Rounds unless `CRASH_ROUNDS` says otherwise.
const ROUNDS: usize = 30;
/// Acknowledged transactions in a round in which the chosen place is not reached.
const ENOUGH: usize = 400;
/// Segments of 256 KiB, so that they roll and go within seconds.
const SCALE: &str = "256";
const FLAGS: [&str; 3] =
    ["--snapshot-count=60", "--experimental-snapshot-catchup-entries=20", "--log-level=info"];

fn number(name: &str, default: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// Where the start after a power cut dies too: what it mends is half mended then.
const AGAIN: [Point; 3] = [Point::RecoveryRewritten, Point::RecoveryErased, Point::StartState];

/// A member, what it was told to keep, and what its disk would keep.
struct Member {
    subject: Subject,
    history: History,
    disk: Disk,
    lives: usize,
}

impl Member {
    fn new() -> Self {
        let subject = Subject::new(&FLAGS);
        std::fs::DirBuilder::new().mode(0o700).create(subject.data()).unwrap();
        let disk = Disk::settled(&subject.data());
        Self { subject, history: History::default(), disk, lives: 0 }
    }

    fn trace(&self) -> PathBuf {
        self.subject.home().join(format!("trace-{}", self.lives))
    }

    fn start(&mut self, fail_point: Option<&str>) -> Start {
        self.lives += 1;
        let trace = self.trace();
        let mut environment =
            vec![("STORAGE_SCALE", SCALE), ("SHIM_TRACE", trace.to_str().unwrap())];
        environment.extend(fail_point.map(|point| ("FAIL_POINT", point)));
        self.subject.start_on_shim(&environment)
    }

    /// Takes note of what the last life did to the disk.
    fn buried(&mut self) {
        let trace = self.trace();
        self.disk.replay(&trace);
        let _absent = std::fs::remove_file(trace);
    }

    /// Dies at once on the way to serving, if it comes to that place.
    fn die_starting(&mut self, point: Point) {
        match self.start(Some(&format!("{}:1", point.name()))) {
            Start::Serving(mut process, _) => process.kill(),
            Start::Ended(status, lines) => assert_died(status, &lines),
        }
        self.buried();
    }

    /// Starts undisturbed and compares with what was acknowledged.
    async fn check(&mut self, fate: &str) {
        let (mut process, url) = self.start(None).serving(fate);
        self.history.check(&url).await;
        process.kill();
        self.buried();
    }
}

/// What to do in one round.
struct Script {
    point: Point,
    visits: usize,
    power_cut: bool,
    /// Where the start after a power cut dies, before there is another.
    again: Option<Point>,
    /// Ends by SIGTERM, so that places on the way out are come to.
    orderly: bool,
}

impl Script {
    fn draw(dice: &mut Dice) -> Self {
        use Point::{
            ApplyCommitted, ApplyUnanswered, ApplyUncommitted, LogAsked, WalSynced, WalUnwritten,
            WalWritten,
        };
        // A member without others never takes over a state.
        let single = |point: &Point| !point.needs_others();
        let points: Vec<Point> = Point::ALL.iter().copied().filter(single).collect();
        let point = points[dice.below(points.len())];
        let often = [
            ApplyCommitted,
            ApplyUnanswered,
            ApplyUncommitted,
            LogAsked,
            WalSynced,
            WalUnwritten,
            WalWritten,
        ];
        let most = match point {
            point if often.contains(&point) => 120,
            Point::HeaderWritten | Point::HeaderRenamed => 3,
            point if point.is_first_start() => 1,
            _ => 2,
        };
        let visits = 1 + dice.below(most);
        let (power_cut, orderly) = (dice.heads(), dice.below(4) == 0);
        let again = (dice.below(3) == 0).then(|| AGAIN[dice.below(AGAIN.len())]);
        Self { point, visits, power_cut, again, orderly }
    }

    async fn play(&self, member: &mut Member) -> bool {
        let fail_point = format!("{}:{}", self.point.name(), self.visits);
        let process = match member.start(Some(&fail_point)) {
            Start::Serving(mut process, url) => {
                member.history.load(&url, ENOUGH).await;
                if self.orderly && !process.has_ended() {
                    process.signal("TERM");
                    process.wait_end();
                }
                process.kill();
                process
            }
            Start::Ended(status, lines) => {
                assert_died(status, &lines);
                member.buried();
                return true;
            }
        };
        let reached = reached(process);
        member.buried();
        reached
    }
}

fn assert_died(status: ExitStatus, lines: &[String]) {
    let reached = lines.iter().any(|line| line.starts_with("fail point"));
    assert!(reached, "ended by itself: {status}\n{}", lines.join("\n"));
}

fn reached(mut process: Process) -> bool {
    process.wait_end();
    process.output().iter().any(|line| line.starts_with("fail point"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_death_anywhere() {
    let rounds = number("CRASH_ROUNDS", ROUNDS);
    let seed = number("CRASH_SEED", usize::try_from(std::process::id()).unwrap());
    eprintln!("CRASH_SEED={seed} CRASH_ROUNDS={rounds}");
    let mut dice = Dice::new(seed as u64);
    let mut old = Member::new();
    let mut count: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for round in 0..rounds {
        let script = Script::draw(&mut dice);
        let fate = format!(
            "CRASH_SEED={seed}, round {round}: {}:{}, power cut: {}, then {:?}",
            script.point.name(),
            script.visits,
            script.power_cut,
            script.again.filter(|_| script.power_cut),
        );
        eprintln!("{fate}");
        let mut fresh = script.point.is_first_start().then(Member::new);
        let member = fresh.as_mut().unwrap_or(&mut old);
        let reached = script.play(member).await;
        if script.power_cut {
            member.disk.cut_power(&mut dice);
            if let Some(point) = script.again {
                member.die_starting(point);
                member.disk.cut_power(&mut dice);
            }
        }
        member.check(&fate).await;
        let (hits, tries) = count.entry(script.point.name()).or_default();
        *hits += usize::from(reached);
        *tries += 1;
    }
    let mut table = String::new();
    for (point, (hits, tries)) in &count {
        writeln!(table, "{point}: reached in {hits} of {tries}").unwrap();
    }
    eprintln!("{table}");
    let died: usize = count.values().map(|(hits, _)| hits).sum();
    assert!(died * 2 > rounds, "too few rounds came to their place:\n{table}");
}
