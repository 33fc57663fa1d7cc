//! Many sequences, some at a time; what differs is made short, saved and told.

use std::path::PathBuf;
use std::time::Duration;

use etcd::types::clock::Clock;
use tokio::sync::Mutex;

use super::compare::{Counts, Parting, Verdict, side_by_side};
use super::generate;
use super::shrink::shrink;
use super::step::Sequence;
use crate::support::server::Kind;

/// Findings after which a campaign stops.
const ENOUGH: usize = 5;
/// Sequences that may be void because the machine was too slow, of a hundred.
const MOST_VOID: usize = 20;

/// What a campaign is to do.
#[derive(Clone, Copy, Debug)]
struct Orders {
    /// The first seed; the next sequences take the next numbers.
    seed: u64,
    /// Operations in all.
    operations: usize,
    /// Operations on one pair of servers.
    length: usize,
    /// Goes on for so long, if that is longer.
    duration: Duration,
    /// Pairs of servers at a time.
    lanes: usize,
    /// Replays spent on making one finding short.
    replays: usize,
}

fn setting(name: &str, default: u64) -> u64 {
    let name = format!("ETCD_DIFFERENTIAL_{name}");
    let Ok(text) = std::env::var(&name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a whole number"))
}

impl Orders {
    fn from_environment() -> Self {
        let size = |name: &str, default: u64| usize::try_from(setting(name, default)).unwrap();
        Self {
            seed: setting("SEED", 1),
            operations: size("OPERATIONS", 10_000),
            length: size("LENGTH", 500).max(1),
            duration: Duration::from_secs(setting("SECONDS", 0)),
            lanes: size("LANES", 3).max(1),
            replays: size("REPLAYS", 80),
        }
    }
}

#[derive(Default)]
struct Progress {
    started: u64,
    ended: usize,
    operations: usize,
    counts: Counts,
    void: Vec<u64>,
    findings: Vec<String>,
}

/// Plays sequences as the environment orders.
///
/// # Panics
/// When something differed; the message tells the shortest sequence found and where it is saved.
pub(super) async fn run(kinds: &(Kind, Kind)) {
    let orders = Orders::from_environment();
    let begun = Clock.now();
    let progress = Mutex::new(Progress::default());
    let lane = async || {
        while let Some(seed) = next_seed(&orders, &progress, Clock.now() - begun).await {
            let sequence = generate::sequence(seed, orders.length);
            let verdict = side_by_side(&kinds.0, &kinds.1, &sequence).await;
            file(kinds, &orders, &progress, sequence, verdict).await;
        }
    };
    futures::future::join_all((0..orders.lanes).map(|_| lane())).await;
    let progress = progress.lock().await;
    let seconds = (Clock.now() - begun).as_secs();
    eprintln!(
        "{} sequences from seed {} on: {} operations, {} lines compared, {} of them events, {} left \
         out, {} sequences void {:?}, {} findings, {seconds} s",
        progress.ended,
        orders.seed,
        progress.operations,
        progress.counts.lines,
        progress.counts.events,
        progress.counts.left_out,
        progress.void.len(),
        progress.void,
        progress.findings.len(),
    );
    assert!(progress.findings.is_empty(), "\n{}", progress.findings.join("\n"));
    let most = most_void(progress.ended);
    assert!(progress.void.len() <= most, "the machine is too slow to compare leases that run out");
}

fn most_void(sequences: usize) -> usize {
    sequences * MOST_VOID / 100 + 2
}

/// The seed of the next sequence, unless enough was played or found.
async fn next_seed(orders: &Orders, progress: &Mutex<Progress>, elapsed: Duration) -> Option<u64> {
    let mut progress = progress.lock().await;
    let started = usize::try_from(progress.started).unwrap();
    let planned = (started - progress.void.len()) * orders.length;
    if progress.findings.len() >= ENOUGH
        || progress.void.len() > most_void(started)
        || (planned >= orders.operations && elapsed >= orders.duration)
    {
        return None;
    }
    progress.started += 1;
    Some(orders.seed + progress.started - 1)
}

async fn file(
    kinds: &(Kind, Kind),
    orders: &Orders,
    progress: &Mutex<Progress>,
    sequence: Sequence,
    verdict: Verdict,
) {
    let finding = match verdict {
        Verdict::Parted(parting) => Some(report(kinds, orders, &sequence, parting).await),
        Verdict::Same(counts) => {
            let mut progress = progress.lock().await;
            progress.counts.lines += counts.lines;
            progress.counts.events += counts.events;
            progress.counts.left_out += counts.left_out;
            progress.operations += sequence.steps.len();
            None
        }
        Verdict::Void(_) => {
            progress.lock().await.void.push(sequence.seed);
            None
        }
    };
    let mut progress = progress.lock().await;
    progress.ended += 1;
    if let Some(finding) = finding {
        eprintln!("FINDING: {finding}");
        progress.findings.push(finding);
    }
    if progress.ended % 100 == 0 {
        eprintln!("{} sequences, {} operations", progress.ended, progress.operations);
    }
}

/// Makes a sequence that fails short, saves it, and tells the difference and how to see it again.
async fn report(
    kinds: &(Kind, Kind),
    orders: &Orders,
    sequence: &Sequence,
    parting: Parting,
) -> String {
    let first = save(sequence, "whole");
    let (shortest, difference) = shortened(kinds, orders.replays, sequence, parting).await;
    let short = save(&shortest, "short");
    format!(
        "{}{} steps; again with\n  ETCD_DIFFERENTIAL_REPLAY={}\nor, all {} of them,\n  {}\n",
        difference.describe(&shortest),
        shortest.steps.len(),
        short.display(),
        sequence.steps.len(),
        first.display(),
    )
}

/// The shortest sequence found in so many replays that still differs, and how.
pub(super) async fn shortened(
    (reference, subject): &(Kind, Kind),
    replays: usize,
    sequence: &Sequence,
    parting: Parting,
) -> (Sequence, Parting) {
    let steps: Vec<_> = sequence.steps.iter().take(parting.step + 1).cloned().collect();
    let (mut shortest, mut difference) = (sequence.clone(), parting);
    shrink(steps, replays, async |steps| {
        let candidate = Sequence { seed: sequence.seed, steps: steps.to_vec() };
        match side_by_side(reference, subject, &candidate).await {
            Verdict::Parted(parting) => {
                (shortest, difference) = (candidate, parting);
                true
            }
            _ => false,
        }
    })
    .await;
    (shortest, difference)
}

fn save(sequence: &Sequence, name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("differential");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{}-{name}.steps", sequence.seed));
    std::fs::write(&path, sequence.to_text()).unwrap();
    path
}
